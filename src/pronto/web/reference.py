"""The OpenAPI document as a page shows it: sections of operations, with their fields as rows. Knows no template."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_Document = Mapping[str, Any]
MAX_DEPTH = 3  # of fields within fields

# The sections in their order, and what begins the paths of each. Addresses that only repeat others are left out.
_SECTIONS = (
    ("Hugging Face", r"/models/\{id\}(/pipeline/.*)?$|/pipeline/"),
    ("OpenAI", r"/v1/(?!messages)"),
    ("Anthropic", r"/v1/messages"),
    ("text-generation-inference", r"/$|/(generate|tokenize|chat_tokenize|invocations|info)"),
    ("text-embeddings-inference", r"/(embed|rerank|similarity|predict)"),
    ("Ollama", r"/api/(generate|chat|tags|ps|version|show|embed)"),
    ("Models", r"/models|/status|/framework"),
    ("Your account", r"/api/(limits|usage|requests|credentials|whoami)"),
    ("Sign-in of devices", r"/oauth/"),
    ("The Hub's pages", r"/api/(models|tasks|agent)"),
    ("Administration", r"/api/admin"),
    ("The server", r"/"),
)
_REPEATED = re.compile(r"/hf-inference|/anthropic/|/models/\{id\}/(?!pipeline|info|health)")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a body. `fields` are those within it."""

    name: str
    kind: str
    is_required: bool = False
    default: str = ""
    text: str = ""
    fields: tuple["Field", ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method at one path. `names` are the parts of the path that one fills in."""

    id: str
    method: str
    path: str
    summary: str
    names: tuple[str, ...]
    needs_token: bool
    fields: tuple[Field, ...]
    takes_body: bool
    answers: tuple[tuple[str, str], ...]  # status and what it means


class Section(msgspec.Struct, frozen=True):
    """Operations that belong together."""

    name: str
    slug: str
    operations: tuple[Operation, ...]


def sections(document: _Document) -> tuple[Section, ...]:
    """Every section that has something."""
    found: dict[str, list[Operation]] = {name: [] for name, _ in _SECTIONS}
    for path, methods in document["paths"].items():
        if _REPEATED.match(path):
            continue
        name = next(name for name, begins in _SECTIONS if re.match(begins, path))
        found[name] += [_operation(document, path, method, facts) for method, facts in methods.items()]
    return tuple(Section(name, _slug(name), tuple(each)) for name, each in found.items() if each)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _operation(document: _Document, path: str, method: str, facts: _Document) -> Operation:
    body = facts.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return Operation(
        id=f"{method}-{_slug(path) or 'root'}",
        method=method.upper(),
        path=path,
        summary=facts.get("summary", ""),
        names=tuple(re.findall(r"\{(\w+)\}", path)),
        needs_token=bool(facts.get("security")),
        fields=tuple(_fields(document, body, MAX_DEPTH)) if body else (),
        takes_body=method in ("post", "put", "patch"),
        answers=tuple((status, answer.get("description", "")) for status, answer in facts["responses"].items()),
    )


def _fields(document: _Document, schema: _Document, depth: int) -> Iterator[Field]:
    schema = _resolve(document, schema)
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        within = _object_in(document, inner)
        yield Field(
            name=name,
            kind=_kind(document, inner),
            is_required=name in required,
            default="" if inner.get("default") is None else str(inner["default"]),
            text=inner.get("description", ""),
            fields=tuple(_fields(document, within, depth - 1)) if within and depth > 1 else (),
        )


def _resolve(document: _Document, schema: _Document) -> _Document:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: _Document = document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _object_in(document: _Document, schema: _Document) -> _Document | None:
    """The object that a field holds, alone, in a list or beside null."""
    for inner in (schema, *schema.get("anyOf", ()), schema.get("items") or {}):
        resolved = _resolve(document, inner)
        if resolved.get("properties"):
            return resolved
        items = resolved.get("items")
        if isinstance(items, Mapping) and _resolve(document, items).get("properties"):
            return _resolve(document, items)
    return None


def _kind(document: _Document, schema: _Document) -> str:
    """For people: `string`, `integer or null`, `list of objects`."""
    if choices := schema.get("anyOf"):
        kinds = dict.fromkeys(_kind(document, choice) for choice in choices)
        return " or ".join(kind for kind in kinds if kind != "null") or "null"
    schema = _resolve(document, schema)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(document, schema.get('items') or {})}"
    return str(kind) if isinstance(kind, str) else " or ".join(kind)
