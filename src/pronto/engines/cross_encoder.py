"""How well texts answer a query, and labels of texts, by encoders with a classification head in OpenVINO's form.

Knows work and values; no wire format.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Progress, Usage
from pronto.core.labels import Label, Labels
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.core.text_work import ClassifyText
from pronto.core.vector_work import Rank, Scores
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item
from pronto.engines.encoders.graph import Graph, dtype_of, groups, precision_of
from pronto.engines.encoders.recipe import read_recipe
from pronto.engines.encoders.tokens import Cut, Tokenizing
from pronto.engines.text import manifest
from pronto.engines.text.source import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SLOTS = 128  # requests; each holds little until its turn
ITEMS = 32
WASTE = 0.12  # of a group, as padding
SMALL = 256  # padded tokens of a group that may waste more
NOT_FINITE = Failed("generation", "The model's answer has numbers that are not finite, so it was not sent.")
LEFT = Failed("generation", "The request was stopped.")


class _Judged:
    """One input's logits; `tokens` counts for usage."""

    __slots__ = ("logits", "tokens")

    def __init__(self, tokens: int, logits: "Floats") -> None:
        self.tokens, self.logits = tokens, logits


class CrossEncoder:
    """The BatchModel of reranking. A head with one label ranks; with several, it classifies."""

    batches = Batches(items=ITEMS)

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        if model.exported is None:
            raise ValueError("The model was not exported yet. Run `pronto models pull` for it.")
        folder = Path(model.exported)
        tick(((0, Progress(0, 2, unit="stages", stage="verify")),))
        origin = manifest.verify(folder).origin
        recipe = read_recipe(folder)
        config = read_json(folder / "config.json")
        self._labels = _labels(config)
        self._is_multi_label = config.get("problem_type") == "multi_label_classification"
        self._tokenizing = Tokenizing(folder, recipe)
        tick(((0, Progress(1, 2, unit="stages", stage="load")),))
        precision = precision_of(model)
        self._graph = Graph(folder, device, precision, self._tokenizing.pad)
        self._graph.warm(recipe.max_tokens)
        self._fit_batches()
        return Capabilities(
            slots=model.settings.slots or SLOTS, context=recipe.max_tokens, dtype=dtype_of(origin.weights, precision)
        )

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        if isinstance(work, Rank):
            if len(self._labels) != 1:
                raise Unsupported(f"This model tells {len(self._labels)} labels apart; it does not rank texts.")
            cut = Cut(allows=work.truncate, left=work.truncate_left)
            inputs = [self._tokenizing.read_pair(work.query, text, cut) for text in work.texts]
        elif isinstance(work, ClassifyText):
            inputs = [self._tokenizing.read(text, Cut()) for text in work.texts]
        else:
            raise Unsupported("This model ranks and classifies texts; it makes no vectors of them.")
        if not all(tokens.ids for tokens in inputs):
            raise InvalidInput("`inputs` has a text without a single token", "inputs")
        return [Item(value=tokens, cost=len(tokens.ids)) for tokens in inputs]

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        import numpy as np

        values: list[Any] = [LEFT] * len(items)
        left: frozenset[int] = frozenset()
        for number, group in enumerate(groups([item.cost for item in items], WASTE, SMALL)):
            if number:
                left |= tick(())
            group = [index for index in group if items[index].owner not in left]
            if not group:
                continue
            logits, _ = self._graph.run([items[index].value for index in group])
            for row, index in enumerate(group):
                is_sound = np.isfinite(logits[row]).all()
                values[index] = _Judged(items[index].cost, logits[row].copy()) if is_sound else NOT_FINITE
        self._fit_batches()
        return values

    def _fit_batches(self) -> None:
        self.batches = Batches(items=ITEMS, cost=self._graph.cost(self._tokenizing.max_tokens))

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Scores | Labels, Usage]:
        import numpy as np

        work, usage = request.work, Usage(prompt_tokens=sum(value.tokens for value in values))
        logits: Floats = np.stack([value.logits for value in values])
        if isinstance(work, Rank):
            scores = logits[:, 0] if work.raw else _sigmoid(logits[:, 0])
            return Scores(tuple(scores.tolist())), usage
        assert isinstance(work, ClassifyText)  # split let nothing else through
        rows = self._function(work.function)(logits).tolist()
        return Labels(tuple(self._ordered(row, work.top_k) for row in rows)), usage

    def _ordered(self, scores: list[float], top: int | None) -> tuple[Label, ...]:
        labels = [Label(name, score) for name, score in zip(self._labels, scores, strict=True)]
        return tuple(sorted(labels, key=lambda label: -label.score)[:top])

    def _function(self, name: str | None) -> Any:
        """As transformers' pipeline chooses where nobody says it."""
        if name is None:
            name = "sigmoid" if self._is_multi_label or len(self._labels) == 1 else "softmax"
        if name not in _FUNCTIONS:
            raise InvalidInput(f"`function_to_apply` must be one of {', '.join(_FUNCTIONS)}", "function_to_apply")
        return _FUNCTIONS[name]


def _labels(config: dict[str, Any]) -> tuple[str, ...]:
    named = config.get("id2label")
    if isinstance(named, dict) and named:
        return tuple(str(named[key]) for key in sorted(named, key=int))
    return tuple(f"LABEL_{index}" for index in range(int(config.get("num_labels") or 2)))


def _sigmoid(logits: "Floats") -> "Floats":
    import numpy as np

    wide = logits.astype(np.float64)  # so that a logit of -100 is no overflow
    return (1.0 / (1.0 + np.exp(-wide))).astype(np.float32)


def _softmax(logits: "Floats") -> "Floats":
    import numpy as np

    powers = np.exp(logits - logits.max(-1, keepdims=True))
    chances: Floats = powers / powers.sum(-1, keepdims=True)
    return chances


_FUNCTIONS = {"sigmoid": _sigmoid, "softmax": _softmax, "none": lambda logits: logits}


def engine() -> BatchedEngine:
    return BatchedEngine(CrossEncoder())
