"""How models are told of tools and how they write calls; and the grammar that makes a call certain. Knows no wire."""

import json
import re
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.request import ChatPrompt, Grammar, Tool
from pronto.engines.text.grammar import MAX_DEPTH, check_shape

HERMES, MISTRAL, LLAMA3, JSON = "hermes", "mistral", "llama3", "json"

MAX_TOOLS = 128
_MAX_CALLS = 8  # of one answer that must call
_WRAPPING = 4  # levels that the grammar of a call puts around a tool's schema
_NAME = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_REF = re.compile(r"#/(\$defs|definitions)/")
_MARKS = (("[TOOL_CALLS]", MISTRAL), ("<tool_call>", HERMES), ("<|python_tag|>", LLAMA3), ('"parameters":', LLAMA3))
_DESCRIPTION = """You may call these tools, each described by a JSON schema:
{tools}

To call a tool, answer with nothing but a JSON object: {{"name": "the tool's name", "arguments": {{...}}}}{several}.
If no tool is needed, answer in plain text."""


def detect_style(template: str) -> str:
    """How a model writes calls, by the words of its template; `json` when nothing tells."""
    return next((style for mark, style in _MARKS if mark in template), JSON)


def is_forced(prompt: ChatPrompt) -> bool:
    """Whether the answer must be a call."""
    return prompt.tool_choice in ("required", "named")


def offered(prompt: ChatPrompt) -> tuple[Tool, ...]:
    """The tools that the model may know of. Raises InvalidInput for tools or a choice that cannot be used."""
    _check(prompt.tools)
    names = {tool.name for tool in prompt.tools}
    if is_forced(prompt) and not names:
        raise InvalidInput("`tool_choice` asks for a tool, but `tools` is empty.", "tool_choice")
    if prompt.tool_choice == "named" and prompt.tool_name not in names:
        raise InvalidInput(f"Tool with name {prompt.tool_name} not found", "tool_choice")
    return () if prompt.tool_choice == "none" else prompt.tools


def as_variables(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    """As templates expect them: OpenAI's form."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def describe(prompt: ChatPrompt) -> str:
    """What is added to the system message of a model whose template knows nothing of tools."""
    lines = "\n".join(json.dumps(_function(tool), ensure_ascii=False) for tool in prompt.tools)
    several = ", or with a JSON array of such objects to call several" if prompt.parallel_tools else ""
    return _DESCRIPTION.format(tools=lines, several=several)


def forcing_grammar(prompt: ChatPrompt) -> Grammar:
    """The shape of an answer that is a call and nothing else. Raises InvalidInput when the tools are too large."""
    chosen = [tool for tool in prompt.tools if prompt.tool_choice != "named" or tool.name == prompt.tool_name]
    definitions: dict[str, Any] = {}
    calls = [_call(tool, f"tool{position}_", definitions) for position, tool in enumerate(chosen)]
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    if prompt.tool_choice == "required" and prompt.parallel_tools:
        schema = {"type": "array", "items": schema, "minItems": 1, "maxItems": _MAX_CALLS}
    if definitions:
        schema = {**schema, "$defs": definitions}
    grammar = Grammar("json_schema", json.dumps(schema, ensure_ascii=False, separators=(",", ":")))
    _check_grammar(grammar, "`tools` are too much for a call that must be made")
    return grammar


def _function(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)}


def _call(tool: Tool, prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a call. References point to the root of a schema, so what they name moves there."""
    schema = json.loads(_REF.sub(f"#/$defs/{prefix}", tool.parameters))
    for key in ("$defs", "definitions"):
        named = schema.pop(key, None)
        if isinstance(named, dict):
            definitions.update({prefix + name: value for name, value in named.items()})
    schema.pop("$schema", None)
    schema.setdefault("type", "object")
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": schema},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _check(tools: tuple[Tool, ...]) -> None:
    if len(tools) > MAX_TOOLS:
        raise InvalidInput(f"`tools` may have at most {MAX_TOOLS} tools, not {len(tools)}.", "tools")
    seen: set[str] = set()
    for tool in tools:
        if not _NAME.fullmatch(tool.name):
            raise InvalidInput("The name of a tool must have 1 to 128 letters, digits, `_`, `-`, `.` or `:`.", "tools")
        if tool.name in seen:
            raise InvalidInput(f"`tools` has two tools with the name {tool.name}.", "tools")
        seen.add(tool.name)
        _check_grammar(
            Grammar("json_schema", tool.parameters), f"The parameters of the tool {tool.name} cannot be used"
        )
        _check_depth(tool)


def _check_grammar(grammar: Grammar, what: str) -> None:
    try:
        check_shape(grammar)
    except InvalidInput as error:
        raise InvalidInput(f"{what}: {error.message.removeprefix('grammar is not valid: ')}.", "tools") from None


def _check_depth(tool: Tool) -> None:
    depth, allowed = _depth(json.loads(tool.parameters)), MAX_DEPTH - _WRAPPING
    if depth > allowed:
        message = f"The parameters of the tool {tool.name} cannot be used: they may be nested at most {allowed} deep."
        raise InvalidInput(message, "tools")


def _depth(value: Any) -> int:
    """Levels of objects and arrays; bounded, for the schema's shape was checked before."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((_depth(each) for each in inner), default=0)
