"""What the bodies of the text tasks have in common: texts as one or as a list, and how their answers are written."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from pronto.core.errors import InvalidInput
from pronto.wire.base import Encoder, Raw
from pronto.wire.faults import Malformed
from pronto.wire.json_body import decode_json
from pronto.wire.output_reply import OutputEncoder

MAX_TEXTS = 512  # in one request
MAX_TOP_K = 1000

Text = str | int | float  # the old API took numbers for texts
TextOrTexts = Text | list[Text] | None

_SPACE = b" \t\r\n"
_Body = TypeVar("_Body")
_encode = msgspec.json.Encoder().encode


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is written. `is_list`: a list was sent, so that each of its texts has an answer of its own."""

    characters: int
    is_list: bool = False
    more: Any = None  # the format's own


def read_body(raw: Raw, decoder: "msgspec.json.Decoder[_Body]") -> _Body:
    """The body as the format's struct. Plain text and bare JSON texts count as `inputs`. Raises Malformed."""
    return decode_json(decoder, _object_of(raw))


def _object_of(raw: Raw) -> bytes:
    body = raw.body.strip(_SPACE)
    kind = raw.headers.get("content-type", "")
    if kind.startswith("text/plain") or (body[:1] not in (b"{", b"[", b'"') and body and "json" not in kind):
        try:
            return b'{"inputs":' + _encode(raw.body.decode()) + b"}"
        except UnicodeDecodeError:
            raise Malformed("The request body must be UTF-8 text, or JSON with `inputs`.") from None
    return b'{"inputs":' + body + b"}" if body[:1] in (b"[", b'"') else body


def texts_of(value: TextOrTexts, name: str = "inputs") -> tuple[tuple[str, ...], bool]:
    """The texts, none of them empty, and whether a list was sent. Raises InvalidInput."""
    if value is None:
        raise Malformed(f"missing field `{name}`", name)
    texts = tuple(map(str, value)) if isinstance(value, list) else (str(value),)
    if not texts or not all(texts):
        raise InvalidInput(f"`{name}` cannot be empty", name)
    if len(texts) > MAX_TEXTS:
        raise InvalidInput(f"`{name}` may have up to {MAX_TEXTS} texts. Given: {len(texts)}", name)
    return texts, isinstance(value, list)


def check_range(name: str, value: float | None, least: float, most: float) -> None:
    """Raises InvalidInput. None passes."""
    if value is not None and not least <= value <= most:
        raise InvalidInput(f"`{name}` must be >= {least:g} and <= {most:g}. Given: {value}", name)


def cut_of(truncation: bool | str | None) -> bool:
    """transformers' `truncation`: whether a text that is too long is cut. Raises InvalidInput."""
    if isinstance(truncation, str):
        if truncation not in _CUTS:
            raise InvalidInput(
                f"`truncation` must be one of {', '.join(_CUTS)}. Given: {truncation[:40]!r}", "truncation"
            )
        return _CUTS[truncation]
    return bool(truncation)


_CUTS = {"do_not_truncate": False, "longest_first": True, "only_first": True, "only_second": True}


def json_encoder(write: Callable[[Any, Shape], Any]) -> Callable[[Shape], Encoder]:
    """For TaskFormat: `write` makes of the Output's value what JSON shall say."""

    def make(shape: Shape) -> Encoder:
        return OutputEncoder(lambda value, _: (b"application/json", _encode(write(value, shape))), shape.characters)

    return make
