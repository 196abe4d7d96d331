"""The field `grammar` of Hugging Face and TGI, to a Grammar of bounded size. Shared by the dialects."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Grammar
from pronto.wire.json_text import MAX_BYTES, MAX_DEPTH, is_deeper

_SCHEMA_TYPES = ("json", "json_object", "json_schema")


class GrammarBody(msgspec.Struct, frozen=True):
    """`{"type": "json" | "json_object" | "json_schema" | "regex", "value": ...}`."""

    type: str
    value: msgspec.Raw


def read_grammar(body: GrammarBody) -> Grammar:
    """Raises InvalidInput for a kind or a value that cannot be a grammar; whether it compiles is seen later."""
    if len(body.value) > MAX_BYTES:
        raise _invalid(f"it may have up to {MAX_BYTES} bytes")
    value = _value(body.value)
    if body.type == "regex":
        if not isinstance(value, str):
            raise _invalid("the value of a regex must be a string")
        return Grammar("regex", value)
    if body.type not in _SCHEMA_TYPES:
        raise _invalid(f"its type must be one of {', '.join(_SCHEMA_TYPES)}, regex")
    if isinstance(value, str):
        value = _value(value.encode())
    if body.type == "json_schema" and isinstance(value, dict) and "schema" in value:
        value = value["schema"]
    if not isinstance(value, dict):
        raise _invalid("a JSON schema must be an object")
    if "properties" not in value:
        raise _invalid("Grammar must have a 'properties' field")
    if is_deeper(value, MAX_DEPTH):
        raise _invalid(f"it is nested more than {MAX_DEPTH} deep")
    return Grammar("json_schema", msgspec.json.encode(value).decode())


def _value(document: bytes | msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(document)
    except (ValueError, RecursionError):
        raise _invalid("its value is not valid JSON") from None


def _invalid(reason: str) -> InvalidInput:
    return InvalidInput(f"grammar is not valid: {reason}", "grammar")
