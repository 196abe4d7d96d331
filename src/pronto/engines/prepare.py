"""Turns prompts into token ids, and checks that prompt and output fit the context. Needs tokenizers, no model.

Messages are text-generation-inference's, without the prefix that its dialect adds.
"""

from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Output, Prepared
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, Prepare, TextGeneration, TextPrompt, TokenPrompt
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick
from pronto.engines.text.detokenize import load_tokenizer
from pronto.engines.text.source import read_json
from pronto.engines.text.words import from_code_points, to_code_points

_KEPT = 8  # tokenizers in memory; a large one takes some 30 MB


class PrepareEngine:
    """Prepares one request a step, in the order in which they came."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, InferenceRequest]] = deque()
        self._cancelled: set[int] = set()
        self._encoders: OrderedDict[tuple[str, int], _Encoder] = OrderedDict()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        return Capabilities(slots=1)

    def add(self, id: int, request: InferenceRequest) -> None:
        self._queue.append((id, request))

    def cancel(self, id: int) -> None:
        if any(queued == id for queued, _ in self._queue):
            self._cancelled.add(id)

    def step(self) -> Step:
        if not self._queue:
            return ()
        id, request = self._queue.popleft()
        if id in self._cancelled:
            self._cancelled.discard(id)
            return ((id, Done()),)
        return tuple((id, event) for event in self._prepare(request))

    def stats(self) -> Stats:
        return Stats(waiting=len(self._queue))

    def _prepare(self, request: InferenceRequest) -> tuple[EngineEvent, ...]:
        work = request.work
        if not isinstance(work, Prepare):
            return (Failed("invalid_input", "This worker only prepares requests."),)
        try:
            encoder = _CODE_POINTS if work.engine == "echo" else self._encoder(Path(work.folder))
            prepared = prepare(work.work, encoder, work.context)
        except InvalidInput as error:
            return (Failed("invalid_input", error.message, error.param),)
        except ValueError as error:
            return (Failed("generation", str(error)),)
        return (Output(prepared), Done())

    def _encoder(self, folder: Path) -> "_Encoder":
        """The encoder of a folder, read again when its file has changed. Raises ValueError when there is none."""
        try:
            key = (str(folder), (folder / "tokenizer.json").stat().st_mtime_ns)
        except OSError:
            raise ValueError("The model has no tokenizer.json. Please pull or export it again.") from None
        if key not in self._encoders:
            self._encoders[key] = _Tokens(folder)
        self._encoders.move_to_end(key)
        while len(self._encoders) > _KEPT:
            self._encoders.popitem(last=False)
        return self._encoders[key]


class _Encoder:
    """Code points as ids: what the echo engine takes."""

    def encode(self, text: str) -> list[int]:
        return to_code_points(text)

    def length(self, ids: list[int]) -> int:
        """Characters of a prompt that came as ids. Raises InvalidInput when they are no prompt."""
        try:
            return len(from_code_points(ids))
        except (ValueError, OverflowError):
            raise InvalidInput("the prompt has token ids that the model does not know", "inputs") from None


class _Tokens(_Encoder):
    """A model's own tokenizer."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = load_tokenizer(folder)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        config = read_json(folder / "tokenizer_config.json")
        named = config.get("bos_token")
        bos = named.get("content") if isinstance(named, dict) else named
        added = self._tokenizer.encode("", add_special_tokens=True).ids
        if not isinstance(bos, str) and added:
            bos = self._tokenizer.id_to_token(added[0])
        self._bos: str | None = bos if isinstance(bos, str) and bos else None
        self._adds_itself = bool(added)
        # Says more than tokenizer.json where it is set: the published tools follow it too.
        self._wanted: bool | None = config.get("add_bos_token")

    def encode(self, text: str) -> list[int]:
        doubled = self._bos is not None and text.startswith(self._bos)
        plain = doubled or self._wanted is False
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=not plain).ids
        if self._wanted and not doubled and not self._adds_itself and self._bos is not None:
            first = self._tokenizer.token_to_id(self._bos)
            return ids if first is None else [first, *ids]
        return ids

    def length(self, ids: list[int]) -> int:
        try:
            return len(self._tokenizer.decode(ids, skip_special_tokens=False))
        except (TypeError, OverflowError):
            raise InvalidInput("the prompt has token ids that the model does not know", "inputs") from None


_CODE_POINTS = _Encoder()


def prepare(work: TextGeneration, encoder: _Encoder, context: int) -> Prepared:
    """Ids, truncated and checked, and the room that is left. Raises InvalidInput."""
    prompt = work.prompt
    _check_truncate(work.truncate, context)
    if isinstance(prompt, TextPrompt):
        if not prompt.text:
            raise InvalidInput("`inputs` cannot be empty", "inputs")
        ids, characters = _encode(encoder, prompt.text), len(prompt.text)
    elif not isinstance(prompt, TokenPrompt):
        raise InvalidInput("This kind of prompt is not served yet.", "inputs")
    else:
        ids, characters = prompt.ids, encoder.length(prompt.ids)
    if not ids:
        raise InvalidInput("`inputs` cannot be empty", "inputs")
    if work.truncate is not None:
        ids = ids[-work.truncate :]
    return Prepared(ids, _room(len(ids), work.max_new_tokens, context), characters)


def _encode(encoder: _Encoder, text: str) -> list[int]:
    try:
        return encoder.encode(text)
    except (TypeError, UnicodeEncodeError):
        raise InvalidInput("`inputs` must be valid Unicode text", "inputs") from None


def _check_truncate(truncate: int | None, context: int) -> None:
    if truncate is not None and not 0 < truncate < context:
        message = f"`truncate` must be strictly positive and less than {context}. Given: {truncate}"
        raise InvalidInput(message, "truncate")


def _room(tokens: int, wanted: int | None, context: int) -> int:
    """Tokens that may be generated after a prompt of so many. Raises InvalidInput when it does not fit."""
    if wanted is not None and wanted < 1:
        raise InvalidInput("`max_new_tokens` must be strictly positive", "max_new_tokens")
    if wanted is not None and tokens + wanted > context:
        raise InvalidInput(
            f"`inputs` tokens + `max_new_tokens` must be <= {context}. "
            f"Given: {tokens} `inputs` tokens and {wanted} `max_new_tokens`",
            "max_new_tokens",
        )
    if tokens >= context:
        raise InvalidInput(f"`inputs` must have less than {context} tokens. Given: {tokens}", "inputs")
    return context - tokens if wanted is None else wanted
