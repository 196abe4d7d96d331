"""Models that label each token of a text: names, places, parts of speech. Long texts are read in windows."""

from collections.abc import Sequence
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.tasks import Task
from pronto.core.text_work import ClassifyTokens, Entities, Entity
from pronto.engines.base import Failed
from pronto.engines.batched import Item
from pronto.engines.pipelines_text.head import MAX_WINDOWS, NOT_FINITE
from pronto.engines.pipelines_text.loading import Loaded, check_length, padded

OVERLAP = 4  # windows of a long text have a fourth in common, where nobody says how much


class TokenHead:
    """See Head. How tokens become entities is transformers' own code; batches, windows and bounds are ours."""

    works = (ClassifyTokens,)

    def __init__(self, loaded: Loaded, task: Task) -> None:
        from transformers import TokenClassificationPipeline

        self._loaded = loaded
        self._pipeline = TokenClassificationPipeline(model=loaded.model, tokenizer=loaded.tokenizer)
        self._special = loaded.tokenizer.num_special_tokens_to_add(pair=False)

    def split(self, work: ClassifyTokens) -> Sequence[Item]:
        items = [item for text in work.texts for item in self._windows(text, work)]
        if len(items) > MAX_WINDOWS:
            raise _too_long()
        return items

    def _windows(self, text: str, work: ClassifyTokens) -> list[Item]:
        tokens = len(self._loaded.tokenizer(text)["input_ids"])
        if tokens == self._special:
            raise InvalidInput("`inputs` has no words in it.", "inputs")
        before, _, _ = self._pipeline._sanitize_parameters(
            aggregation_strategy=work.aggregation, stride=self._stride(tokens, work)
        )
        items = []
        for window in self._pipeline.preprocess(text, **before):
            names = self._loaded.tokenizer.model_input_names
            lists = {name: window[name][0].tolist() for name in names if name in window}
            items.append(Item(value=(window, lists), cost=len(lists["input_ids"]), kind="tokens"))
        return items

    def _stride(self, tokens: int, work: ClassifyTokens) -> int | None:
        """None: the text is one window. Raises InvalidInput."""
        window, room = self._loaded.window, self._loaded.window - self._special
        if work.aggregation == "none":
            if work.stride is not None:
                raise InvalidInput("`stride` needs an `aggregation_strategy` other than `none`.", "stride")
            check_length(self._loaded, tokens, "inputs", "Please send less, or set another `aggregation_strategy`.")
            return None
        if work.stride is not None and work.stride >= room:
            raise InvalidInput(f"`stride` must be < {room}. Given: {work.stride}", "stride")
        if tokens <= window:
            return None
        stride = room // OVERLAP if work.stride is None else work.stride
        if tokens / (room - stride) > MAX_WINDOWS:
            raise _too_long()
        return stride

    def predict(self, items: Sequence[Item]) -> Sequence[dict[str, Any] | Failed]:
        import torch

        logits = self._loaded.model(
            **padded(self._loaded, [lists for _, lists in (item.value for item in items)])
        ).logits
        found: list[Any] = []
        for row, item in zip(logits.float().cpu(), items, strict=True):
            window, _ = item.value
            own = row[: item.cost]
            found.append({**window, "logits": own.unsqueeze(0)} if torch.isfinite(own).all() else NOT_FINITE)
        return found

    def join(self, work: ClassifyTokens, values: Sequence[dict[str, Any]]) -> tuple[Value, Usage]:
        *_, after = self._pipeline._sanitize_parameters(
            aggregation_strategy=work.aggregation, ignore_labels=None if work.ignored is None else list(work.ignored)
        )
        rows: list[tuple[Entity, ...]] = []
        windows: list[dict[str, Any]] = []
        for value in values:
            windows.append(value)
            if value["is_last"]:
                rows.append(tuple(map(_entity, self._pipeline.postprocess(windows, **after))))
                windows = []
        tokens = sum(int(value["attention_mask"].sum()) for value in values)
        return Entities(tuple(rows)), Usage(prompt_tokens=tokens)


def _entity(found: dict[str, Any]) -> Entity:
    start, end, index = found.get("start"), found.get("end"), found.get("index")
    return Entity(
        label=str(found.get("entity_group", found.get("entity"))),
        score=float(found["score"]),
        word=found["word"],
        start=None if start is None else int(start),
        end=None if end is None else int(end),
        index=None if index is None else int(index),
    )


def _too_long() -> InvalidInput:
    return InvalidInput(f"`inputs` is too long: it takes more than {MAX_WINDOWS} windows. Please send less.", "inputs")
