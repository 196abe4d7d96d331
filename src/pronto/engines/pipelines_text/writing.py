"""Models that write a text for a text: summaries, translations, answers. Looks up between any two tokens."""

import copy
from collections.abc import Sequence
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.tasks import Task
from pronto.core.text_work import Converse, WriteText, Writing, Written
from pronto.engines.base import Failed
from pronto.engines.batched import Item
from pronto.engines.pipelines_text.head import NOT_FINITE
from pronto.engines.pipelines_text.languages import Told, code_ids, tell
from pronto.engines.pipelines_text.loading import Loaded, check_length, padded
from pronto.engines.pipelines_text.watch import Watch

USUAL_NEW_TOKENS = 256  # where neither the request nor the model says how many
MAX_BEAMS = 16
_LENGTHS = {"max_length": "max_new_tokens", "max_new_tokens": "max_length"}


class _Piece(msgspec.Struct, frozen=True):
    encoding: dict[str, list[int]]
    config: Any  # transformers' GenerationConfig
    seed: int | None  # None: nothing is drawn


class WritingHead:
    """See Head. What draws runs alone, so that the same seed gives the same text."""

    works = (WriteText, Converse)

    def __init__(self, loaded: Loaded, task: Task) -> None:
        self._loaded = loaded
        self._codes = frozenset(code_ids(loaded.tokenizer))

    def split(self, work: Any) -> Sequence[Item]:
        if isinstance(work, Converse):
            return [self._item({"input_ids": self._history(work)}, work, Told(), 0)]
        tokenizer = self._loaded.tokenizer
        told = tell(tokenizer, self._loaded.model, work)
        if told.source is not None:
            tokenizer.src_lang = told.source
        cut = {"truncation": True, "max_length": self._loaded.window} if work.truncate else {}
        items = []
        for index, text in enumerate(work.texts):
            said = tokenizer(told.prefix + text, **cut)
            check_length(self._loaded, len(said["input_ids"]), "inputs")
            encoding = {name: list(said[name]) for name in tokenizer.model_input_names if name in said}
            items.append(self._item(encoding, work, told, index))
        return items

    def _item(self, encoding: dict[str, list[int]], work: WriteText | Converse, told: Told, index: int) -> Item:
        if not encoding["input_ids"]:
            raise InvalidInput("`inputs` has no words in it.", "inputs")
        config = self._config(work.writing, told)
        seed = (work.seed or 0) + index if config.do_sample else None
        kind = object() if config.do_sample else (work.writing, tuple(sorted(told.settings.items())))
        length = len(encoding["input_ids"])
        cost = (length + config.max_new_tokens // 4) * config.num_beams * config.num_return_sequences
        return Item(value=_Piece(encoding, config, seed), cost=cost, kind=kind)

    def _config(self, writing: Writing, told: Told) -> Any:
        """The model's own settings, beneath those of the task, beneath those of the request. Raises InvalidInput."""
        config = copy.deepcopy(self._loaded.model.generation_config)
        known = set(config.to_dict()) | {"max_new_tokens", "min_new_tokens", "max_time"}
        asked = {name: value for name in Writing.__struct_fields__ if (value := getattr(writing, name)) is not None}
        for name, value in [*told.settings.items(), *asked.items()]:
            if name in known or hasattr(config, name):
                setattr(config, name, value)
                if name in _LENGTHS:
                    setattr(config, _LENGTHS[name], None)
        if "do_sample" not in asked and _draws(writing):
            config.do_sample = True
        config.num_beams, config.num_return_sequences = config.num_beams or 1, config.num_return_sequences or 1
        config.do_sample = bool(config.do_sample)
        self._bound(config, writing)
        _check_counts(config)
        try:
            config.validate()
        except ValueError as error:
            raise InvalidInput(f"`parameters`: {str(error).splitlines()[0][:300]}", "parameters") from None
        return config

    def _bound(self, config: Any, asked: Writing) -> None:
        """Say the length in new tokens: the decoder begins with one token of its own. Raises InvalidInput."""
        if config.max_new_tokens is None:
            length = config.max_length
            config.max_new_tokens = USUAL_NEW_TOKENS if length is None else max(1, length - 1)
            config.max_length = None
        positions = getattr(self._loaded.config, "max_position_embeddings", None)
        if positions is None or config.max_new_tokens < positions:
            return
        for name, most in (("max_new_tokens", positions - 1), ("max_length", positions)):
            if (given := getattr(asked, name)) is not None:
                raise InvalidInput(f"`{name}` must be <= {most}. Given: {given}", name)
        config.max_new_tokens = positions - 1

    def _history(self, work: Converse) -> list[int]:
        """The conversation as the model was trained on it; the beginning of one that is too long is forgotten."""
        tokenizer, window = self._loaded.tokenizer, self._loaded.window
        turns = [text for pair in zip(work.asked, work.answered, strict=True) for text in pair] + [work.text]
        if "blenderbot" in self._loaded.config.model_type:
            said = [(" " if index % 2 == 0 else "") + text for index, text in enumerate(turns)]
            ids = list(tokenizer("  ".join(said))["input_ids"])
        else:
            end = tokenizer.eos_token_id
            ids = [id for text in turns for id in (*tokenizer(text, add_special_tokens=False)["input_ids"], end)]
            ids = [id for id in ids if id is not None]
        return ids[-window:]

    def predict(self, items: Sequence[Item]) -> Sequence[tuple[int, list[list[int]]] | Failed]:
        import torch

        piece: _Piece = items[0].value
        if piece.seed is not None:
            torch.manual_seed(piece.seed)
        batch = padded(self._loaded, [item.value.encoding for item in items])
        owners = [item.owner for item in items]
        rows = owners if piece.config.num_beams * piece.config.num_return_sequences == 1 else None
        try:
            made = self._loaded.model.generate(
                **batch,
                generation_config=piece.config,
                stopping_criteria=_stopping(self._loaded.watch, rows),
                logits_processor=_checking(),
            )
        except _NotFinite:
            if len(items) > 1:
                raise  # each is tried alone then
            return [NOT_FINITE]
        made = made.view(len(items), piece.config.num_return_sequences, -1).tolist()
        return [(len(item.value.encoding["input_ids"]), texts) for item, texts in zip(items, made, strict=True)]

    def _without_codes(self, ids: list[int]) -> list[int]:
        """Not every tokenizer counts the tokens of its languages as special."""
        return [id for id in ids if id not in self._codes] if self._codes else ids

    def join(self, work: Any, values: Sequence[tuple[int, list[list[int]]]]) -> tuple[Value, Usage]:
        tokenizer, tidy = self._loaded.tokenizer, getattr(work, "tidy_spaces", None)
        options = {} if tidy is None else {"clean_up_tokenization_spaces": tidy}
        rows = tuple(
            tuple(
                tokenizer.decode(self._without_codes(ids), skip_special_tokens=True, **options).strip() for ids in texts
            )
            for _, texts in values
        )
        padding = tokenizer.pad_token_id
        generated = sum(id != padding for _, texts in values for ids in texts for id in ids[1:])
        return Written(rows), Usage(prompt_tokens=sum(count for count, _ in values), generated_tokens=generated)


def _draws(writing: Writing) -> bool:
    """As for text generation: what shades the sampling switches it on."""
    shades = (writing.temperature not in (None, 0, 1), writing.top_k not in (None, 0))
    return any((*shades, writing.top_p not in (None, 1), writing.typical_p not in (None, 1)))


def _check_counts(config: Any) -> None:
    beams, count = config.num_beams, config.num_return_sequences
    if beams > MAX_BEAMS:
        raise InvalidInput(f"`num_beams` must be <= {MAX_BEAMS}. Given: {beams}", "num_beams")
    if not config.do_sample and count > beams:
        message = f"`num_return_sequences` must be <= `num_beams` ({beams}) without sampling. Given: {count}"
        raise InvalidInput(message, "num_return_sequences")
    if config.temperature == 0:
        config.do_sample, config.temperature = False, None


class _NotFinite(Exception):
    """The scores of the next token are no numbers."""


def _stopping(watch: Watch, owners: list[int] | None) -> Any:
    """Looks up after each token. `owners` of the rows, where each row is one text: those who left stop alone."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Stopping(StoppingCriteria):  # type: ignore[misc]  # the library ships no types
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            watch.look()
            left = [False] * len(input_ids) if owners is None else [owner in watch.gone for owner in owners]
            return torch.tensor(left, device=input_ids.device)

    return StoppingCriteriaList([Stopping()])


def _checking() -> Any:
    import torch
    from transformers import LogitsProcessor, LogitsProcessorList

    class Checking(LogitsProcessor):  # type: ignore[misc]  # the library ships no types
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if torch.isnan(scores).any():
                raise _NotFinite
            return scores

    return LogitsProcessorList([Checking()])
