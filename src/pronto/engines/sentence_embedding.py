"""Vectors of texts, by encoders in OpenVINO's form: sentence models with their pooling and layers, and bare encoders.

Neither torch nor sentence-transformers is loaded. Knows work and values; no wire format.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Usage
from pronto.core.model import Model
from pronto.core.request import InferenceRequest
from pronto.core.vector_work import Compare, Embed, Rank, Scores, Text, Vectors
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Item
from pronto.engines.encoders import pooling
from pronto.engines.encoders.model import NOT_FINITE, EncoderModel
from pronto.engines.encoders.recipe import Recipe
from pronto.engines.encoders.tokens import Cut, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MAX_NUMBERS = 2_200_000  # of one answer: 2,048 vectors of 1,024 numbers fit
_PASSAGES = ("document", "passage")  # what models call the prompt of a text that is looked for
TEXT, TOKENS = "text", "tokens"  # kinds of items: one vector, or one for each token


class _Asked:
    """One text on its way; `tokens` counts for usage."""

    __slots__ = ("tokens", "vectors")

    def __init__(self, tokens: int, vectors: "Floats") -> None:
        self.tokens, self.vectors = tokens, vectors


class SentenceEmbedding(EncoderModel):
    """The BatchModel of embeddings."""

    def prepare(self, folder: Path, recipe: Recipe) -> None:
        self._recipe = recipe
        layers = recipe.layers
        self._normalizes = bool(layers) and layers[-1].kind == "normalize"
        self._layers = pooling.load_layers(folder, layers[:-1] if self._normalizes else layers)

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        capabilities = super().load(model, device, tick)
        tokens = [self._tokenizing.read("a", Cut())]
        self._widths = {
            kind: cast(_Asked, self._vectors(tokens, per_token=kind == TOKENS)[0]).vectors.shape[-1]
            for kind in (TEXT, TOKENS)
        }
        return capabilities

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        if isinstance(work, Embed):
            return self._embed(work)
        if isinstance(work, Compare):
            cut = self._cut(work.prompt_name, work)
            return [self._item(text, cut) for text in (work.source, *work.sentences)]
        if isinstance(work, Rank):
            queries, passages = self._cut(self._named("query"), work), self._cut(self._named(*_PASSAGES), work)
            return [self._item(work.query, queries, "query"), *(self._item(text, passages) for text in work.texts)]
        raise Unsupported("This model makes vectors of texts, and nothing else. Please ask it for feature-extraction.")

    def compute(self, items: Sequence[Item]) -> Sequence[Any | Failed]:
        return self._vectors([item.value for item in items], items[0].kind == TOKENS)

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Vectors | Scores, Usage]:
        import numpy as np

        work, usage = request.work, Usage(prompt_tokens=sum(value.tokens for value in values))
        if isinstance(work, Embed):
            rows = tuple(len(value.vectors) for value in values) if self._is_per_token(work) else ()
            stacked = self._finished(np.concatenate([np.atleast_2d(value.vectors) for value in values]), work)
            return Vectors(stacked.astype("<f4", copy=False).tobytes(), stacked.shape[1], rows), usage
        units = pooling.normalized(np.stack([value.vectors for value in values]))
        return Scores(tuple((units[1:] @ units[0]).clip(-1.0, 1.0).tolist())), usage

    def _embed(self, work: Embed) -> Sequence[Item]:
        kind = TOKENS if self._is_per_token(work) else TEXT
        width = self._widths[kind]
        if work.dimensions is not None and not 1 <= work.dimensions <= width:
            raise InvalidInput(f"`dimensions` must be >= 1 and <= {width}. Given: {work.dimensions}", "dimensions")
        cut = self._cut(work.prompt_name, work)
        items: list[Item] = []
        count = 0
        for text in work.texts:
            items.append(self._item(text, cut, kind=kind))
            count += width * (items[-1].cost if kind == TOKENS else 1)
            if count > MAX_NUMBERS:
                raise InvalidInput(
                    f"`inputs` has so many texts that the answer would have over {MAX_NUMBERS} numbers. "
                    "Please send fewer of them at once.",
                    "inputs",
                )
        return items

    def _item(self, text: Text, cut: Cut, param: str = "inputs", kind: str = TEXT) -> Item:
        tokens = self._tokenizing.read(text, cut, param)
        if not tokens.ids:
            raise InvalidInput(f"`{param}` has a text without a single token", param)
        return Item(value=tokens, cost=len(tokens.ids), kind=kind)

    def _is_per_token(self, work: Embed) -> bool:
        return not self._recipe.is_sentence_model if work.per_token is None else work.per_token

    def _cut(self, prompt_name: str | None, work: Embed | Compare | Rank) -> Cut:
        prompts = self._recipe.prompts
        name = self._recipe.default_prompt if prompt_name is None else prompt_name
        if name is not None and name not in prompts:
            known = (
                f"must be one of: {', '.join(sorted(prompts))}"
                if prompts
                else "must be left out: this model has no prompts"
            )
            raise InvalidInput(f"`prompt_name` {known}. Given: {name[:100]}", "prompt_name")
        return Cut(allows=work.truncate, left=work.truncate_left, prefix=prompts[name] if name is not None else "")

    def _named(self, *names: str) -> str | None:
        return next((name for name in names if name in self._recipe.prompts), None)

    def _vectors(self, batch: Sequence[Tokens], per_token: bool) -> list[_Asked | Failed]:
        import numpy as np

        hidden, mask = self._graph.run(batch)
        lengths = [len(tokens.ids) for tokens in batch]
        made: Sequence[Floats]
        if per_token:
            made = [hidden[row, :length].copy() for row, length in enumerate(lengths)]
        else:
            weights = mask.astype(np.float32)
            for row, tokens in enumerate(batch):
                weights[row, : min(tokens.prompt, lengths[row] - 1)] = 0.0
            pooled = pooling.pool(hidden, weights, self._recipe.modes)
            for apply in self._layers:
                pooled = apply(pooled)
            made = list(pooled)
        return [
            _Asked(length, vectors) if np.isfinite(vectors).all() else NOT_FINITE
            for length, vectors in zip(lengths, made, strict=True)
        ]

    def _finished(self, vectors: "Floats", work: Embed) -> "Floats":
        normalizes = self._normalizes if work.normalize is None else work.normalize
        if work.dimensions is not None:
            vectors = vectors[:, : work.dimensions]
        return pooling.normalized(vectors) if normalizes else vectors


def engine() -> BatchedEngine:
    return BatchedEngine(SentenceEmbedding())
