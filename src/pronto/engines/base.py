"""The Engine seam: a loaded model inside a worker. Synchronous, owns the main thread, knows no HTTP and no asyncio."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from pronto.core.events import Event
from pronto.core.model import Model
from pronto.core.request import InferenceRequest


class Failed(msgspec.Struct, frozen=True, tag="failed", array_like=True):
    """A request's end that is not an answer. `kind`: invalid_input (its own fault) | unsupported | generation."""

    kind: str
    message: str
    param: str | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker may use."""

    kind: str = "cpu"  # cpu | cuda:0 | ...
    threads: int = 0  # 0: the engine decides
    memory_bytes: int = 0  # for weights and KV cache together; 0: unknown


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a loaded model can do."""

    slots: int  # requests (choices) that run at once
    context: int = 0  # tokens, prompt and output together; 0: the notion does not apply
    kv_tokens: int = 0  # tokens that the KV cache holds, all requests together; 0: the notion does not apply
    memory_bytes: int = 0  # measured after loading
    dtype: str = ""
    step_tokens: int = 0  # tokens that one step computes at most, prompts included; 0: the notion does not apply


class Stats(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What an engine is doing right now; sent along with frames."""

    running: int = 0
    waiting: int = 0
    kv_used: float = 0.0  # share of the KV cache, 0 to 1
    prefix_tokens: int | None = None  # of prompts, since the model was loaded; None: the engine does not count hits
    prefix_hits: int = 0  # of those, the ones that the prefix cache had already


EngineEvent = Event | Failed
Step = Sequence[tuple[int, EngineEvent]]
Tick = Callable[[Step], frozenset[int]]


class Engine(Protocol):
    """Every id that was added ends with exactly one `Done` or `Failed`, also when it was cancelled.

    A cancelled id ends with `Finish(reason=cancelled)` for each choice still open, and a `Done` that counts what was
    produced.
    An exception out of `step()` is the worker's death.
    """

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        """Load the model from `model.exported` or `model.folder`.

        `tick` takes `(0, Progress)` events and may be called at any time. Raises ValueError with a sentence for
        the operator when the files cannot be served.
        """
        ...

    def add(self, id: int, request: InferenceRequest) -> None:
        """Take a request on; never blocks, and never raises for a bad request: that one ends as `Failed`."""
        ...

    def cancel(self, id: int) -> None:
        """End a request at the next step. Unknown ids are ignored."""
        ...

    def step(self) -> Step:
        """Advance everybody a little, at most some 250 ms; empty when idle."""
        ...

    def stats(self) -> Stats:
        """A cheap snapshot."""
        ...
