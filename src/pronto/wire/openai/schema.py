"""JSON schemas of bounded size, for tools and for the shape of an answer."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Grammar

MAX_BYTES = 16 * 1024
MAX_DEPTH = 32
ANY_OBJECT = '{"type":"object"}'


class JsonSchemaBody(msgspec.Struct, frozen=True, kw_only=True):
    """The field `json_schema` of a response format."""

    name: str | None = None
    schema: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    strict: bool | None = None


class FormatBody(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's `response_format`, and what Hugging Face's clients make of it (`value`)."""

    type: str
    json_schema: JsonSchemaBody | None = None
    value: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


def read_format(body: FormatBody | None) -> Grammar | None:
    """Raises InvalidInput."""
    match body:
        case None | FormatBody(type="text"):
            return None
        case FormatBody(type="json_object" | "json"):
            schema = read_schema(body.value, "response_format") if is_given(body.value) else ANY_OBJECT
            return Grammar("json_schema", schema)
        case FormatBody(type="json_schema"):
            wanted = body.json_schema.schema if body.json_schema is not None else body.value
            if not is_given(wanted):
                raise _wrong("response_format", "of the type json_schema needs `json_schema.schema`")
            return Grammar("json_schema", read_schema(wanted, "response_format"))
        case FormatBody(type="regex"):
            return Grammar("regex", _pattern(body.value))
    raise _wrong("response_format", "must have the type text, json_object, json_schema or regex")


def is_given(value: msgspec.Raw) -> bool:
    """Whether a field is there and not null: msgspec knows no Raw that may be None."""
    return bytes(value) not in (b"", b"null")


def read_schema(document: msgspec.Raw, param: str) -> str:
    """A schema as compact JSON text. Raises InvalidInput."""
    if len(document) > MAX_BYTES:
        raise _wrong(param, f"holds a JSON schema of more than {MAX_BYTES} bytes")
    value = read_value(document, param)
    if not isinstance(value, dict):
        raise _wrong(param, "needs a JSON schema that is an object")
    if _depth(value) > MAX_DEPTH:
        raise _wrong(param, f"holds a JSON schema that is nested more than {MAX_DEPTH} deep")
    return msgspec.json.encode(value).decode()


def read_value(document: bytes | msgspec.Raw, param: str) -> Any:
    """Raises InvalidInput for what the first, skipping reading let through."""
    try:
        return msgspec.json.decode(document)
    except (ValueError, RecursionError):
        raise _wrong(param, "holds something that is not valid JSON") from None


def _pattern(value: msgspec.Raw) -> str:
    pattern = read_value(value, "response_format") if is_given(value) else None
    if not isinstance(pattern, str) or len(pattern) > MAX_BYTES:
        raise _wrong("response_format", f"of the type regex needs `value`, a string of at most {MAX_BYTES} bytes")
    return pattern


def _depth(value: Any, depth: int = 1) -> int:
    if depth > MAX_DEPTH or not isinstance(value, dict | list):
        return depth
    inner = value.values() if isinstance(value, dict) else value
    return max((_depth(item, depth + 1) for item in inner), default=depth)


def _wrong(param: str, rule: str) -> InvalidInput:
    return InvalidInput(f"`{param}` {rule}", param)
