"""What a text model can be asked for beside continuing a text, by its files, and by its name where there are none."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from pronto.catalog.sources import MAX_DOCUMENT
from pronto.core.infill import STYLES

# Until a model's files are here, its name and its one line say it.
_CHATS = re.compile(r"chat|instruct|assistant|conversation|(?:^|[-_/])it(?:$|[-_/])", re.IGNORECASE)


class Abilities(msgspec.Struct, frozen=True):
    """`chats`: it has a template for conversations. `infills`: its vocabulary has the tokens of a hole."""

    chats: bool
    infills: bool


def read_abilities(folder: Path) -> Abilities:
    """Looks at the tokenizer's files alone; a file that is missing or broken says nothing."""
    return Abilities(chats=_has_template(folder), infills=_has_infill_tokens(folder))


def guess_chats(id: str, use: str) -> bool:
    """`use` is the line that the catalog has for people."""
    return bool(_CHATS.search(id) or _CHATS.search(use))


def guess_infills(use: str) -> bool:
    return "infill" in use


def _has_template(folder: Path) -> bool:
    named = _read(folder / "tokenizer_config.json").get("chat_template")
    if named or (folder / "chat_template.jinja").is_file():
        return True
    return bool(_read(folder / "chat_template.json").get("chat_template"))


def _has_infill_tokens(folder: Path) -> bool:
    # Searched as bytes: the vocabulary is many megabytes of JSON, and this runs where requests are served.
    try:
        vocabulary = (folder / "tokenizer.json").read_bytes()
    except OSError:
        return False
    return any(all(_is_in(mark, vocabulary) for mark in style.marks) for style in STYLES)


def _is_in(mark: str, vocabulary: bytes) -> bool:
    return any(json.dumps(mark, ensure_ascii=is_ascii).encode() in vocabulary for is_ascii in (False, True))


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_DOCUMENT))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
