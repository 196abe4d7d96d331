"""Tools as clients define them, to Tools of bounded size. Shared by the dialects."""

import re

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Tool
from pronto.wire.json_text import is_given, read_schema

MAX_TOOLS = 128
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}", re.ASCII)


def read_tool(name: str, description: str | None, schema: msgspec.Raw, place: str) -> Tool:
    """`place` is where it stands, like `tools[0]`. Raises InvalidInput; whether the schema compiles is seen later."""
    if _NAME.fullmatch(name) is None:
        rule = "1 to 128 letters, digits, `_`, `-`, `.` or `:`"
        raise InvalidInput(f"{place}: a tool's name has {rule}. Given: {name[:128]!r}", "tools")
    if not is_given(schema):
        return Tool(name=name, description=description or "")
    parameters = read_schema(schema, f"{place} ({name})", "tools")
    return Tool(name=name, description=description or "", parameters=parameters)


def check_tools(tools: tuple[Tool, ...]) -> None:
    """Raises InvalidInput for too many, or for two of one name."""
    if len(tools) > MAX_TOOLS:
        raise InvalidInput(f"tools: at most {MAX_TOOLS} tools can be given, and {len(tools)} were.", "tools")
    seen = set[str]()
    for tool in tools:
        if tool.name in seen:
            raise InvalidInput(f"tools: two tools are called `{tool.name}`. Please give each its own name.", "tools")
        seen.add(tool.name)
