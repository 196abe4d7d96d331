"""The shape of an answer that a request asks for, as a grammar."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Grammar
from pronto.wire.json_text import MAX_BYTES, is_given, read_schema, read_value

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
            schema = _schema(body.value) if is_given(body.value) else ANY_OBJECT
            return Grammar("json_schema", schema)
        case FormatBody(type="json_schema"):
            wanted = body.json_schema.schema if body.json_schema is not None else body.value
            if not is_given(wanted):
                raise _wrong("response_format", "of the type json_schema needs `json_schema.schema`")
            return Grammar("json_schema", _schema(wanted))
        case FormatBody(type="regex"):
            return Grammar("regex", _pattern(body.value))
    raise _wrong("response_format", "must have the type text, json_object, json_schema or regex")


def _schema(document: msgspec.Raw) -> str:
    return read_schema(document, "`response_format`", "response_format")


def _pattern(value: msgspec.Raw) -> str:
    pattern = read_value(value, "`response_format`", "response_format") if is_given(value) else None
    if not isinstance(pattern, str) or len(pattern) > MAX_BYTES:
        raise _wrong("response_format", f"of the type regex needs `value`, a string of at most {MAX_BYTES} bytes")
    return pattern


def _wrong(param: str, rule: str) -> InvalidInput:
    return InvalidInput(f"`{param}` {rule}", param)
