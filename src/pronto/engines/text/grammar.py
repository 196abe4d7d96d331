"""The outer bounds of a grammar, checked before any engine compiles it. Knows no compiler."""

import json
import re
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.request import Grammar

MAX_BYTES = 16 * 1024
MAX_DEPTH = 16
_PLAIN = re.compile(
    r"\\.|\[[^\]]*\]", re.DOTALL
)  # escaped characters and character classes, where a parenthesis is just one


def check_shape(grammar: Grammar) -> None:
    """Raises InvalidInput when the grammar is of an unknown kind, too large, too deep, or no JSON where JSON is due."""
    if len(grammar.value.encode()) > MAX_BYTES:
        raise invalid(f"it may have at most {MAX_BYTES // 1024} KiB")
    if grammar.kind == "json_schema":
        _check_schema(grammar.value)
    elif grammar.kind == "regex":
        if not grammar.value:
            raise invalid("the regular expression is empty")
        if _depth(_PLAIN.sub("", grammar.value), "(", ")") > MAX_DEPTH:
            raise invalid(f"it may be nested at most {MAX_DEPTH} deep")
    else:
        raise invalid(f"its type must be json_schema or regex, not {grammar.kind!r}")


def invalid(reason: str) -> InvalidInput:
    """The error that says why a grammar cannot be used."""
    return InvalidInput(f"grammar is not valid: {reason}", "grammar")


def _check_schema(text: str) -> None:
    # Counted on the text first: the JSON parser itself recurses.
    if _depth(_without_strings(text), "{[", "}]") > MAX_DEPTH:
        raise invalid(f"it may be nested at most {MAX_DEPTH} deep")
    try:
        schema: Any = json.loads(text)
    except ValueError as error:
        raise invalid(f"the schema is not JSON ({error})") from None
    if not isinstance(schema, dict):
        raise invalid("the schema must be a JSON object")


def _without_strings(text: str) -> str:
    kept: list[str] = []
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted, escaped = escaped or character != '"', not escaped and character == "\\"
        elif character == '"':
            quoted = True
        else:
            kept.append(character)
    return "".join(kept)


def _depth(text: str, opening: str, closing: str) -> int:
    depth = deepest = 0
    for character in text:
        if character in opening:
            depth += 1
            deepest = max(deepest, depth)
        elif character in closing:
            depth -= 1
    return deepest
