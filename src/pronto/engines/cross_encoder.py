"""How well texts answer a query, and labels of texts, by encoders with a classification head in OpenVINO's form.

Knows work and values; no wire format.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Usage
from pronto.core.labels import Label, Labels
from pronto.core.request import InferenceRequest
from pronto.core.text_work import ClassifyText
from pronto.core.vector_work import Rank, Scores
from pronto.engines.base import Failed
from pronto.engines.batched import BatchedEngine, Item
from pronto.engines.encoders.model import NOT_FINITE, EncoderModel
from pronto.engines.encoders.recipe import Recipe
from pronto.engines.encoders.tokens import Cut
from pronto.engines.text.source import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


class _Judged:
    """One input's logits; `tokens` counts for usage."""

    __slots__ = ("logits", "tokens")

    def __init__(self, tokens: int, logits: "Floats") -> None:
        self.tokens, self.logits = tokens, logits


class CrossEncoder(EncoderModel):
    """The BatchModel of reranking. A head with one label ranks; with several, it classifies."""

    def prepare(self, folder: Path, recipe: Recipe) -> None:
        config = read_json(folder / "config.json")
        self._labels = _labels(config)
        self._is_multi_label = config.get("problem_type") == "multi_label_classification"

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

    def compute(self, items: Sequence[Item]) -> Sequence[Any | Failed]:
        import numpy as np

        logits, _ = self._graph.run([item.value for item in items])
        return [
            _Judged(item.cost, row.copy()) if np.isfinite(row).all() else NOT_FINITE
            for item, row in zip(items, logits, strict=True)
        ]

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
