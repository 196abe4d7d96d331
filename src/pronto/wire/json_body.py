"""JSON bodies to typed structs, with faults as sentences that name the field. Shared by the dialects."""

import re
from typing import Any, TypeVar

import msgspec

from pronto.wire.faults import Malformed

_Body = TypeVar("_Body")

_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_MISMATCH = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")


def null() -> msgspec.Raw:
    """The default of raw fields: a union of Raw and None would not be decoded as raw."""
    return msgspec.Raw(b"null")


def decode_json(decoder: "msgspec.json.Decoder[_Body]", body: bytes) -> _Body:
    """Raises Malformed for everything that is not the JSON that was asked for, however hostile."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_type(str(error)) from None
    except msgspec.DecodeError as error:
        raise _no_json(str(error) if body.strip() else "the body is empty") from None
    except UnicodeError:
        raise _no_json("the text is not valid UTF-8") from None
    except RecursionError:
        raise _no_json("it is nested too deeply") from None


def convert(value: Any, kind: type[_Body], field: str) -> _Body:
    """A value that was decoded without a type, as one of this type. Raises Malformed; `field` is where it stands."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        inner = text.replace("`$", f"`$.{field}") if "`$" in text else f"{text} - at `$.{field}`"
        raise _wrong_type(inner) from None


def _no_json(reason: str) -> Malformed:
    return Malformed(f"Failed to parse the request body as JSON: {reason}")


def _wrong_type(message: str) -> Malformed:
    path = _PATH.search(message)
    field = path.group(1) if path else ""
    reason = message[: path.start()] if path else message
    if missing := _MISSING.search(reason):
        field, reason = "", f"missing field `{missing.group(1)}`"
    elif mismatch := _MISMATCH.fullmatch(reason):
        expected = " or ".join(_name(part) for part in mismatch.group(1).split(" | ") if part != "null")
        reason = f"expected {expected}, got {_name(mismatch.group(2))}"
    else:
        reason = reason[:1].lower() + reason[1:]
    where = f"{field}: " if field else ""
    return Malformed(f"Failed to deserialize the JSON body into the target type: {where}{reason}", field or None)


def _name(kind: str) -> str:
    return _NAMES.get(kind, kind)
