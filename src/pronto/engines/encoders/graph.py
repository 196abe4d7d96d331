"""An exported encoder on the CPU through OpenVINO: padded batches in, the graph's first output out.

Knows token ids and shapes; what the output means is its caller's.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronto.core.model import Model
from pronto.engines.base import Device
from pronto.engines.encoders.tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

XML = "openvino_model.xml"
LENGTH_STEP = 8  # tokens: lengths are padded to a multiple, since each new shape costs a moment
STEP = 0.2  # seconds that one batch may take
_PROBE, _PROBES = 64, 4  # tokens; calls
_FADING = 0.999  # of the fastest speed, with each call
_LEAST_COST, _MOST_COST = 512, 8192  # padded tokens of a batch


class Graph:
    """`precision` f32 or bf16. Raises ValueError with a sentence when the graph cannot be loaded."""

    def __init__(
        self,
        folder: Path,
        device: Device,
        precision: str,
        pad: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        import openvino

        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": device.threads,
        }
        try:
            compiled = openvino.Core().compile_model(folder / XML, "CPU", options)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"OpenVINO cannot load {XML} of this model: {reason}") from None
        self._request = compiled.create_infer_request()
        self._names = [port.any_name for port in compiled.inputs]
        self._pad, self._clock = pad, clock
        self._speed = 0.0  # padded tokens a second
        unknown = set(self._names) - {"input_ids", "attention_mask", "token_type_ids", "position_ids"}
        if unknown:
            raise ValueError(f"The graph of this model asks for `{min(unknown)}`, which Pronto does not know.")

    def run(self, batch: Sequence[Tokens]) -> tuple[Any, "NDArray[np.int64]"]:
        """The output and the mask (texts, tokens). The output is valid until the next call."""
        import numpy as np

        longest = -(-max(len(tokens.ids) for tokens in batch) // LENGTH_STEP) * LENGTH_STEP
        ids = np.full((len(batch), longest), self._pad, np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            length = len(tokens.ids)
            ids[row, :length], mask[row, :length], types[row, :length] = tokens.ids, 1, tokens.types
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        if "position_ids" in self._names:
            given["position_ids"] = (mask.cumsum(1) - 1).clip(0)
        began = self._clock()
        result = self._request.infer({name: given[name] for name in self._names}, share_inputs=True, share_outputs=True)
        # The fastest that it was seen, forgotten slowly: a busy moment of the machine says little.
        self._speed = max(self._speed * _FADING, ids.size / max(1e-6, self._clock() - began))
        return result[0], mask

    def warm(self, longest: int) -> None:
        """The first call of a graph takes longer than the others, and the next ones tell its speed."""
        length = min(_PROBE, longest)
        for _ in range(_PROBES):
            self.run([Tokens([self._pad] * length, [0] * length)])

    def cost(self, longest: int) -> int:
        """Padded tokens that one batch may have, so that it takes no longer than STEP."""
        return int(min(_MOST_COST, max(_LEAST_COST, longest, self._speed * STEP)))


def precision_of(model: Model) -> str:
    """f32 where the entry says `exact`, else bf16 on a CPU that computes it natively.

    Measured with all-MiniLM-L6-v2: bf16 is 2.8 times as fast, and each vector's cosine to the exact one is over 0.9999.
    """
    import openvino

    is_native = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if model.settings.precision == "fast" and is_native else "f32"


def dtype_of(weights: str, precision: str) -> str:
    """For people: in what the model computes."""
    return "int8" if weights == "int8" else {"bf16": "bfloat16", "f32": "float32"}[precision]


def groups(lengths: Sequence[int], waste: float, least: int) -> Iterator[list[int]]:
    """Indices of inputs to be run together, the longest first: little of each group is padding.

    A group of up to `least` padded tokens takes any length, for a call costs something of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    group: list[int] = []
    real = 0
    for index in order:
        padded = lengths[group[0]] * (len(group) + 1) if group else 0
        if group and padded > least and real + lengths[index] < padded * (1 - waste):
            yield group
            group, real = [], 0
        group.append(index)
        real += lengths[index]
    if group:
        yield group
