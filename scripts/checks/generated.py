"""The parts of docs/ that are made from the code: the settings table, the command line, openapi.json.

Without arguments: says which of them are out of date, and exits with 1 when one is. --fix rewrites them.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


def settings_table() -> str:
    """One row for each setting: its name in pronto.toml, its environment variable, its default, what it does."""
    from pronto.settings import Settings

    rows = ["| `pronto.toml` | environment | default | what it does |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        variable = f"PRONTO_{name.upper()}"
        rows.append(f"| `{name}` | `{variable}` | {_default(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "none" if not value else ", ".join(f"`{one}`" for one in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def command_list() -> str:
    """Every command with its arguments and options, as the program itself describes them."""
    import typer.main

    from pronto.cli.main import app

    return "\n".join(_describe(typer.main.get_command(app), "pronto")).strip() + "\n"


def _describe(command: Any, path: str) -> Iterator[str]:
    """`command` is a click command or group; its options are listed with their help, a hidden one is left out."""
    children = getattr(command, "commands", {})
    if not children:
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        yield f"#### `{' '.join([path, *(_metavar(one) for one in arguments)])}`\n"
        yield f"{(command.help or '').strip()}\n"
        for option in command.params:
            if option.param_type_name == "option" and not getattr(option, "hidden", False):
                names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
                yield f"- {names}: {(option.help or '').strip()}"
        yield ""
    for name in sorted(children):
        if not children[name].hidden:
            yield from _describe(children[name], f"{path} {name}")


def _metavar(argument: Any) -> str:
    name = str(argument.metavar or argument.name).upper()
    return name if argument.required else f"[{name}]"


def openapi() -> str:
    """What the server itself gives at /openapi.json."""
    command = [sys.executable, "-m", "pronto.edge.openapi"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def sizing_tables() -> str:
    """For each precision, the curated text models on one page of GPUs: how many, and how many whole contexts."""
    from pronto.catalog import entries, sizing

    contexts = {table["id"]: table["context"] for table in entries.curated().tables if "context" in table}
    lines = ["| model | parameters | weights bf16 / fp8 / int4 | KV cache a token |", "|---|---|---|---|"]
    for id, shape in sizing.published().items():
        weights = " / ".join(f"{shape.weight_bytes(precision) / 1e9:.1f}" for precision in sizing.PRECISIONS)
        kv = f"{shape.kv_bytes / 1024:g} KiB"
        lines.append(f"| `{id}` | {shape.parameters / 1e9:.2f} billion | {weights} GB | {kv} |")
    for precision in sizing.PRECISIONS:
        lines += ["", f"**{precision}**", "", f"| model, context | {' | '.join(sizing.GPUS)} |"]
        lines.append("|---" * (len(sizing.GPUS) + 1) + "|")
        for id, shape in sizing.published().items():
            context = contexts[id]
            cells = [_cell(sizing.smallest(shape, gpu, precision=precision, context=context)) for gpu in sizing.GPUS]
            lines.append(f"| `{id}`, {context:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(found: Any) -> str:
    return f"{found.count}: {found.streams:,}" if found.fits else "no"


BLOCKS = {"settings": settings_table, "commands": command_list, "sizing": sizing_tables}


def with_blocks(text: str) -> str:
    """The document with each of its generated blocks made anew. Raises KeyError for a block that nobody makes."""
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match["name"]]() + match[3], text)


def documents() -> Iterator[tuple[Path, str]]:
    """Each document that has generated parts, and what it should be."""
    for file in sorted((ROOT / "docs").glob("*.md")):
        text = file.read_text(encoding="utf-8")
        if BLOCK.search(text):
            yield file, with_blocks(text)
    yield ROOT / "docs" / "openapi.json", openapi()


def main(fix: bool) -> int:
    stale = 0
    for file, wanted in documents():
        if file.is_file() and file.read_text(encoding="utf-8") == wanted:
            continue
        name = file.relative_to(ROOT).as_posix()
        if fix:
            file.write_text(wanted, encoding="utf-8")
            print(f"{name}: written anew")
        else:
            stale += 1
            print(f"{name}:1: no longer says what the code does: run scripts/check --fix and look at the difference")
    return int(stale > 0)


if __name__ == "__main__":
    sys.exit(main("--fix" in sys.argv[1:]))
