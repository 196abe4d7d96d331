"""The documentation says what the code does: settings, commands, routes, parameters, errors, files and links."""

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pronto.edge.routes import TABLE
from pronto.settings import Settings
from pronto.wire import faults
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Parameters

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
# typer imports what click has deprecated.
typer_warns = pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated", ROOT / "scripts/checks/generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@typer_warns
def test_generated_blocks_are_up_to_date(generated: ModuleType) -> None:
    text = read("docs/operations.md") + read("docs/sizing.md")
    blocks = [match["name"] for match in generated.BLOCK.finditer(text)]
    assert sorted(blocks) == sorted(generated.BLOCKS), "each block stands once"
    assert text == generated.with_blocks(text), "run scripts/check --fix"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_documented(name: str) -> None:
    field = Settings.model_fields[name]
    assert field.description, "a setting says what it does"
    row = next(line for line in read("docs/operations.md").splitlines() if line.startswith(f"| `{name}` |"))
    assert f"`PRONTO_{name.upper()}`" in row
    assert field.description in row


def test_no_setting_is_documented_that_does_not_exist() -> None:
    named = set(re.findall(r"`PRONTO_(\w+)`", read("docs/operations.md")))
    assert named == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_is_documented(route) -> None:
    assert f"`{route.method} {route.path}`" in read("docs/clients.md")


def test_no_route_is_documented_that_does_not_exist() -> None:
    named = set(re.findall(r"`(GET|POST) (/[^`]*)`", read("docs/clients.md")))
    assert named <= {(route.method, route.path) for route in TABLE}


@pytest.mark.parametrize(
    "name", [*(set(Parameters.__struct_fields__) - {"parameters"}), *OptionsBody.__struct_fields__]
)
def test_each_parameter_is_documented(name: str) -> None:
    rows = [line for line in read("docs/clients.md").splitlines() if line.startswith("|")]
    assert any(f"`{name}" in row for row in rows)


@pytest.mark.parametrize("status_and_type", sorted(set(faults._TABLE.values())))
def test_each_error_is_documented(status_and_type: tuple[int, str]) -> None:
    status, error_type = status_and_type
    rows = [line for line in read("docs/clients.md").splitlines() if line.startswith(f"| {status} |")]
    # A stream's last words have no status of their own; this one is only ever an event.
    assert error_type == "shutdown" or any(f"`{error_type}`" in row for row in rows)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_scripts_that_are_named_exist(document: Path) -> None:
    for name in re.findall(r"(?<![\w/])scripts/([a-z]+)\b(?!/)", document.read_text(encoding="utf-8")):
        if name != "checks":
            assert os.access(ROOT / "scripts" / name, os.X_OK), name


def commands() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for language, block in FENCE.findall(document.read_text(encoding="utf-8")):
            for line in block.splitlines() if language == "bash" else ():
                if match := re.match(r"(?:\S*/)?pronto ([a-z ]+?)(?= [^a-z]|  |$| [a-z]*[/.0-9])", line):
                    yield document.relative_to(ROOT).as_posix(), match[1]


@typer_warns
@pytest.mark.parametrize(("document", "words"), sorted(set(commands())))
def test_pronto_commands_that_are_shown_exist(document: str, words: str) -> None:
    import typer.main

    from pronto.cli.main import app

    command = typer.main.get_command(app)
    for word in words.split():
        children = getattr(command, "commands", None)
        if children is None:  # the rest are arguments
            return
        assert word in children, f"{document} shows `pronto {words}`"
        command = children[word]


def paths_of_the_house() -> Iterator[str]:
    """Each path that the tree of the README and the table of architecture.md name."""
    tree = next(block for _, block in FENCE.findall(read("README.md")) if "src/pronto/" in block)
    folder = ""
    for line in tree.splitlines():
        name = line.split()[0]
        if line.startswith("  "):
            yield folder + name
        else:
            folder = name
            yield name
    for line in read("docs/architecture.md").splitlines():
        if line.startswith("| ") and line.count("|") == 3:
            for name in re.findall(r"`((?:[a-z_]+/)*[a-z_]+(?:\.py|\.toml|/))`", line.split("|")[2]):
                yield name if (ROOT / name).exists() else f"src/pronto/{name}"


@pytest.mark.parametrize("path", sorted(set(paths_of_the_house())))
def test_files_that_are_named_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("folder", sorted(path.name for path in (ROOT / "src/pronto").iterdir() if path.is_dir()))
def test_each_package_is_in_the_tree(folder: str) -> None:
    if folder != "__pycache__":
        assert f"\n  {folder}/ " in read("README.md")


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda path: path.stem)
def test_a_decision_has_its_parts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+", path.stem)
    assert text.startswith(f"# {path.stem[:4]} ")
    for part in ("Context", "Decision", "Consequences", "Alternatives"):
        assert f"\n## {part}\n" in text
