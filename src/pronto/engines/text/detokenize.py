"""Token ids to text as they come: text leaves the moment its characters are whole. Knows tokenizer.json, no engine."""

import codecs
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from pronto.engines.text.source import read_json

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_PRIME = 8  # ids of the prompt that decide how the first new ones are spelled
_LONGEST_WAIT = 12  # ids; a character has at most 4 bytes, so what is not whole by then never will be


class TextStream(Protocol):
    """The text of one choice as it grows. Special ids are not fed."""

    def feed(self, id: int) -> str:
        """What has become whole with this id."""
        ...

    def flush(self) -> str:
        """The characters that stayed incomplete, as U+FFFD."""
        ...


class Detokenizer:
    """The text of a vocabulary's ids. `special` ids have a spelling, but are no part of an answer."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError with a sentence when tokenizer.json of `folder` cannot be used."""
        self._tokenizer = load_tokenizer(folder)
        description = read_json(folder / "tokenizer.json")
        added = description.get("added_tokens") or []
        self.spelling = {int(token["id"]): str(token["content"]) for token in added}
        self.special = frozenset(int(token["id"]) for token in added if token.get("special"))
        self.vocabulary = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self._table = _byte_table(self._tokenizer, description.get("decoder") or {})

    def stream(self, prompt: Sequence[int]) -> TextStream:
        """A stream that goes on after these ids."""
        if self._table is not None:
            return _ByteStream(self._table)
        return _WindowStream(self._tokenizer, prompt[-_PRIME:])

    def ids_of(self, texts: Sequence[str]) -> frozenset[int]:
        """Ids of those texts that are tokens."""
        ids = (self._tokenizer.token_to_id(text) for text in texts)
        return frozenset(id for id in ids if id is not None)

    def alone(self, id: int) -> str:
        """The text of a token without those before it; bytes that are no whole character read as U+FFFD."""
        if id in self.special:
            return self.literal(id)
        if self._table is not None:
            return self._table[id].decode("utf-8", "replace") if id < len(self._table) else ""
        return str(self._tokenizer.decode([id], skip_special_tokens=False))

    def literal(self, id: int) -> str:
        """How a token is written in the vocabulary."""
        return self.spelling.get(id) or self._tokenizer.id_to_token(id) or ""


def load_tokenizer(folder: Path) -> Any:
    """The `tokenizers.Tokenizer` of a folder. Raises ValueError with a sentence."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError("The model has no tokenizer.json. Please pull or export it again.")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for every fault of a file
        raise ValueError(f"tokenizer.json of the model cannot be read: {error}") from None


class _ByteStream:
    """For vocabularies whose tokens are pieces of UTF-8: 0.3 µs a token."""

    __slots__ = ("_decode", "_table")

    def __init__(self, table: list[bytes]) -> None:
        self._table = table
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, id: int) -> str:
        return self._decode(self._table[id]) if id < len(self._table) else ""

    def flush(self) -> str:
        return self._decode(b"", True)


class _WindowStream:
    """For every other decoder: decodes the last few ids twice, without and with the new one."""

    __slots__ = ("_done", "_ids", "_tokenizer")

    def __init__(self, tokenizer: Any, prime: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prime)
        self._done = len(self._ids)  # ids whose text has left

    def feed(self, id: int) -> str:
        self._ids.append(id)
        fresh = self._fresh()
        if fresh.endswith("\ufffd") and len(self._ids) - self._done < _LONGEST_WAIT:
            return ""
        self._settle()
        return fresh

    def flush(self) -> str:
        fresh = self._fresh() if len(self._ids) > self._done else ""
        self._settle()
        return fresh

    def _fresh(self) -> str:
        before = self._tokenizer.decode(self._ids[: self._done], skip_special_tokens=True)
        return str(self._tokenizer.decode(self._ids, skip_special_tokens=True)[len(before) :])

    def _settle(self) -> None:
        self._ids = self._ids[-_PRIME:]
        self._done = len(self._ids)


def _byte_table(tokenizer: Any, decoder: dict[str, Any]) -> list[bytes] | None:
    """The bytes of every id, or None when the decoder does more than put bytes together."""
    kinds = [step.get("type") for step in decoder.get("decoders", [decoder])]
    size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    tokens = [tokenizer.id_to_token(id) or "" for id in range(size)]
    if kinds == ["ByteLevel"]:
        alphabet = _byte_alphabet()
        return [_from_alphabet(token, alphabet) for token in tokens]
    if "ByteFallback" in kinds and set(kinds) <= {"Replace", "ByteFallback", "Fuse", "Strip"}:
        replaced = [step for step in decoder["decoders"] if step["type"] == "Replace"]
        if all(step.get("pattern") == {"String": "▁"} and step.get("content") == " " for step in replaced):
            return [_from_fallback(token) for token in tokens]
    return None


def _from_alphabet(token: str, alphabet: dict[str, int]) -> bytes:
    try:
        return bytes([alphabet[character] for character in token])
    except KeyError:  # an added token is written as it is
        return token.encode()


def _from_fallback(token: str) -> bytes:
    match = _BYTE.fullmatch(token)
    return bytes([int(match[1], 16)]) if match else token.replace("▁", " ").encode()


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's spelling of bytes: printable ones stand for themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    spelled = {chr(byte): byte for byte in printable}
    spelled.update({chr(256 + position): byte for position, byte in enumerate(others)})
    return spelled
