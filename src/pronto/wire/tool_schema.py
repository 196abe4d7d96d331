"""One tool as a client defines it, to a Tool of bounded size. Shared by the dialects."""

import re
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Tool

MAX_TOOLS = 128
MAX_SCHEMA_BYTES = 16 * 1024
MAX_SCHEMA_DEPTH = 16
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_NO_PARAMETERS = '{"type":"object","properties":{}}'


def read_tool(name: str, description: str | None, schema: msgspec.Raw, param: str) -> Tool:
    """`param` names the field in messages. Raises InvalidInput; whether the schema compiles is seen later."""
    if _NAME.fullmatch(name) is None:
        raise InvalidInput(f"{param}: a tool's name has 1 to 128 letters, digits, `_`, `-` or `.`.", param)
    return Tool(name=name, description=description or "", parameters=_schema(schema, f"{param} ({name})"))


def check_tools(tools: tuple[Tool, ...]) -> None:
    """Raises InvalidInput for too many, or for two of one name."""
    if len(tools) > MAX_TOOLS:
        raise InvalidInput(f"tools: at most {MAX_TOOLS} tools can be given, and {len(tools)} were.", "tools")
    seen = set[str]()
    for tool in tools:
        if tool.name in seen:
            raise InvalidInput(f"tools: two tools are called `{tool.name}`. Please give each its own name.", "tools")
        seen.add(tool.name)


def _schema(schema: msgspec.Raw, param: str) -> str:
    if len(schema) > MAX_SCHEMA_BYTES:
        raise InvalidInput(f"{param}: the schema may have up to {MAX_SCHEMA_BYTES} bytes.", param)
    try:
        value = msgspec.json.decode(schema)
        if value is None:
            return _NO_PARAMETERS
        text = msgspec.json.encode(value).decode()
    except (ValueError, RecursionError):
        raise InvalidInput(f"{param}: the schema is not valid JSON.", param) from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{param}: the schema must be an object, as JSON schemas of tools are.", param)
    if _is_deeper(value, MAX_SCHEMA_DEPTH):
        raise InvalidInput(f"{param}: the schema is nested more than {MAX_SCHEMA_DEPTH} deep.", param)
    return text


def _is_deeper(value: Any, most: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return most == 0 or any(_is_deeper(item, most - 1) for item in inner)
