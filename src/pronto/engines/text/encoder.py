"""Text to token ids, and what a model's tokenizer says about itself. Knows tokenizer files, and no requests."""

from datetime import datetime
from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Piece
from pronto.engines.text.chat_template import MISSING, ChatTemplate, find_template
from pronto.engines.text.conversation import Terms
from pronto.engines.text.detokenize import load_tokenizer
from pronto.engines.text.source import read_json
from pronto.engines.text.words import from_code_points, to_code_points

UNKNOWN = "the prompt has token ids that the model does not know"


class Encoder:
    """Code points as ids: what the echo engine takes."""

    has_template = False
    generation: dict[str, Any] = {}  # noqa: RUF012  nobody writes to it: what generation_config.json says

    def encode(self, text: str, *, is_rendered: bool = False) -> list[int]:
        """`is_rendered`: the text brings its own first token, or wants none."""
        return to_code_points(text)

    def pieces(self, text: str, *, is_rendered: bool = False) -> list[Piece]:
        return [Piece(ord(character), character, at, at + 1) for at, character in enumerate(text)]

    def length(self, ids: list[int]) -> int:
        """Characters of a prompt that came as ids. Raises InvalidInput when they are no prompt."""
        return len(self.decode(ids))

    def decode(self, ids: list[int]) -> str:
        try:
            return from_code_points(ids)
        except (ValueError, OverflowError):
            raise InvalidInput(UNKNOWN, "inputs") from None

    def literal(self, id: int) -> str:
        """How a token is written in the vocabulary."""
        return chr(id)

    def token_id(self, text: str) -> int | None:
        """The id of a text that is one token."""
        return None

    def chats(self, own: str | None) -> bool:
        """Whether conversations can be put to the model. `own`: the catalog's template."""
        return True

    def template(self, own: str | None, *, with_tools: bool) -> ChatTemplate:
        """Raises InvalidInput when there is none."""
        raise InvalidInput(MISSING, "messages")

    def terms(self, system_prompt: str | None, now: datetime) -> Terms:
        return Terms(system_prompt=system_prompt, now=lambda: now)


class Tokens(Encoder):
    """A model's own tokenizer."""

    has_template = True

    def __init__(self, folder: Path) -> None:
        """Raises ValueError with a sentence when tokenizer.json cannot be used."""
        self._folder = folder
        self._tokenizer: Any = load_tokenizer(folder)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.generation = read_json(folder / "generation_config.json")
        config = read_json(folder / "tokenizer_config.json")
        named, added = _text_of(config.get("bos_token")), self._tokenizer.encode("", add_special_tokens=True).ids
        if named is None and added:
            named = self._tokenizer.id_to_token(added[0])
        self._bos: str | None = named or None
        self._eos = _text_of(config.get("eos_token"))
        self._adds_itself = bool(added)
        # Says more than tokenizer.json where it is set: the published tools follow it too.
        self._wanted: bool | None = config.get("add_bos_token")

    def encode(self, text: str, *, is_rendered: bool = False) -> list[int]:
        ids: list[int] = self._encoding(text, is_rendered=is_rendered).ids
        first = self._missing_first(text, is_rendered=is_rendered)
        return ids if first is None else [first, *ids]

    def pieces(self, text: str, *, is_rendered: bool = False) -> list[Piece]:
        encoding = self._encoding(text, is_rendered=is_rendered)
        first = self._missing_first(text, is_rendered=is_rendered)
        told = [] if first is None else [Piece(first, self.literal(first), 0, 0)]
        for id, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
            told.append(Piece(id, text[start:stop] or self.literal(id), start, stop))
        return told

    def decode(self, ids: list[int]) -> str:
        try:
            return str(self._tokenizer.decode(ids, skip_special_tokens=False))
        except (TypeError, OverflowError):
            raise InvalidInput(UNKNOWN, "inputs") from None

    def literal(self, id: int) -> str:
        try:
            return self._tokenizer.id_to_token(id) or ""
        except OverflowError:
            raise InvalidInput(UNKNOWN, "inputs") from None

    def token_id(self, text: str) -> int | None:
        id: int | None = self._tokenizer.token_to_id(text)
        return id

    def chats(self, own: str | None) -> bool:
        return find_template(self._folder, own, with_tools=False) is not None

    def template(self, own: str | None, *, with_tools: bool) -> ChatTemplate:
        text = find_template(self._folder, own, with_tools=with_tools)
        if text is None:
            raise InvalidInput(MISSING, "messages")
        return ChatTemplate(text)

    def terms(self, system_prompt: str | None, now: datetime) -> Terms:
        return Terms(bos=self._bos or "", eos=self._eos or "", system_prompt=system_prompt, now=lambda: now)

    def _encoding(self, text: str, *, is_rendered: bool) -> Any:
        plain = is_rendered or self._begins_itself(text) or self._wanted is False
        return self._tokenizer.encode(text, add_special_tokens=not plain)

    def _begins_itself(self, text: str) -> bool:
        return self._bos is not None and text.startswith(self._bos)

    def _missing_first(self, text: str, *, is_rendered: bool) -> int | None:
        """The first token where the tokenizer's config asks for it, and tokenizer.json does not add it."""
        if is_rendered or not self._wanted or self._adds_itself or self._bos is None or self._begins_itself(text):
            return None
        return self.token_id(self._bos)


CODE_POINTS = Encoder()


def _text_of(named: Any) -> str | None:
    """A special token of tokenizer_config.json: a string, or an object around one."""
    text = named.get("content") if isinstance(named, dict) else named
    return text if isinstance(text, str) else None
