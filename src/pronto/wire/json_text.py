"""JSON documents inside a body, as text of bounded size: schemas and arguments. Shared by the dialects."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput

MAX_BYTES = 16 * 1024
MAX_DEPTH = 16


def is_given(value: msgspec.Raw) -> bool:
    """Whether a field is there and not null: msgspec knows no Raw that may be None."""
    return bytes(value) not in (b"", b"null")


def read_value(document: bytes | msgspec.Raw, place: str, param: str) -> Any:
    """Raises InvalidInput for what the first, skipping reading let through."""
    try:
        return msgspec.json.decode(document)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{place} holds something that is not valid JSON.", param) from None


def read_schema(document: msgspec.Raw, place: str, param: str) -> str:
    """A schema as compact text; whether it compiles is seen later. Raises InvalidInput."""
    if len(document) > MAX_BYTES:
        raise InvalidInput(f"{place} holds a JSON schema of more than {MAX_BYTES} bytes.", param)
    value = read_value(document, place, param)
    if not isinstance(value, dict):
        raise InvalidInput(f"{place} needs a JSON schema that is an object.", param)
    if is_deeper(value, MAX_DEPTH):
        raise InvalidInput(f"{place} holds a JSON schema that is nested more than {MAX_DEPTH} deep.", param)
    return msgspec.json.encode(value).decode()


def read_arguments(document: msgspec.Raw, place: str, param: str) -> str:
    """The arguments of an earlier call, which come as an object or as text that holds one. Raises InvalidInput."""
    value = read_value(document, place, param) if is_given(document) else None
    if value is None or value == "":
        return "{}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if not isinstance(value if not isinstance(value, str) else read_value(text.encode(), place, param), dict):
        raise InvalidInput(f"{place} holds arguments of a tool that are no object.", param)
    return text


def is_deeper(value: Any, most: int) -> bool:
    """Whether objects and lists are nested more than `most` deep."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(is_deeper(item, most - 1) for item in inner)
