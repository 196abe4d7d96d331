"""A model's own chat template: found in its files, compiled once, rendered in a sandbox.

Templates come from models and the catalog only, never from callers. Knows no tokens and no time limit.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, meta, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pronto.core.errors import InvalidInput
from pronto.engines.text.source import read_json

MISSING = (
    "This model has no chat template, so it cannot take conversations. Please send it a plain prompt, or ask the "
    "operator to set `chat_template` in the model's catalog entry."
)


_PARTS = re.compile(r"""\[['"]type['"]\]|\.type\b|get\(['"]type['"]""")


class Refused(Exception):
    """The template itself has raised: the conversation is not of a form that it knows."""


class ChatTemplate:
    """One compiled template. `text` is its source, from which the formats of a model's answers are read."""

    def __init__(self, text: str) -> None:
        """Raises InvalidInput when it is no template."""
        self.text = text
        self._template, self._variables = _compile(text)

    @property
    def takes_tools(self) -> bool:
        return "tools" in self._variables

    @property
    def takes_images(self) -> bool:
        """Whether it knows messages in parts, of which one may be an image."""
        return _PARTS.search(self.text) is not None and "image" in self.text

    def render(self, variables: dict[str, Any], now: Callable[[], datetime]) -> str:
        """Raises Refused with the template's own words, InvalidInput when the template itself is at fault."""
        try:
            return self._template.render(**variables, strftime_now=lambda format: now().strftime(format))
        except TemplateError as error:
            raise InvalidInput(f"The model's chat template cannot be rendered: {error}", "messages") from None
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"The model's chat template does not take this conversation: {error}", "messages"
            ) from None


def find_template(folder: Path, own: str | None, *, with_tools: bool) -> str | None:
    """The template's text: the catalog's own, else that of tokenizer_config.json, else of the file beside it."""
    if own:
        return own
    named = read_json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(named, list):
        named = _choose(named, with_tools=with_tools)
    if isinstance(named, str) and named:
        return named
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        value = read_json(folder / "chat_template.json").get("chat_template")
        return value if isinstance(value, str) and value else None


def _choose(named: list[Any], *, with_tools: bool) -> str | None:
    templates = {str(entry.get("name")): entry.get("template") for entry in named if isinstance(entry, dict)}
    chosen = (templates.get("tool_use") if with_tools else None) or templates.get("default")
    return chosen if isinstance(chosen, str) else None


class _Generation(Extension):
    """`{% generation %}` marks what was generated, for those who train; here its content is all that counts."""

    tags = {"generation"}  # noqa: RUF012  the base class declares it as a set

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@lru_cache(maxsize=32)
def _compile(text: str) -> tuple[Template, frozenset[str]]:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    try:
        variables = meta.find_undeclared_variables(environment.parse(text))
        return environment.from_string(text), frozenset(variables)
    except TemplateError as error:
        raise InvalidInput(f"The model's chat template cannot be read: {error}", "messages") from None


def _refuse(message: str) -> None:
    raise Refused(str(message))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers has it: Jinja's own would escape `<`, `>` and `&` for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
