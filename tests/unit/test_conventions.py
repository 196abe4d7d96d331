"""The checks of the house's conventions find what they are there to find."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def conventions() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conventions", ROOT / "scripts/checks/conventions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DOC = '"""A module."""\n'
LONG = DOC + "def long() -> None:\n" + "    pass\n" * 80

CASES = {
    "a long file": ("src/pronto/fleet/x.py", DOC + "a = 1\n" * 400, 401, "401 lines"),
    "a long function": ("tests/unit/test_x.py", LONG, 2, "81 lines"),
    "many parameters": ("src/pronto/fleet/x.py", DOC + "def f(self, a, b, c, d, *, e, f, g): ...\n", 2, "7 parameters"),
    "no docstring": ("bench/x.py", "a = 1\n", 1, "no docstring"),
    "a long docstring": ("src/pronto/fleet/x.py", '"""' + "a\n" * 5 + '"""\n', 1, "over 4 lines"),
    "a vague name": ("src/pronto/gateway/utils.py", DOC, 1, "`utils`"),
    "a vague folder": ("src/pronto/common/x.py", DOC, 1, "`common`"),
    "unfinished": ("src/pronto/fleet/x.py", DOC + "# TO" + "DO: later\n", 2, "unfinished"),
    "silenced in general": ("src/pronto/fleet/x.py", DOC + "a = 1  # " + "noqa\n", 2, "name the rule"),
    "silenced without reason": ("src/pronto/fleet/x.py", DOC + "a = 1  # " + "noqa: E501\n", 2, "has its reason"),
    "the environment": ("src/pronto/fleet/x.py", DOC + "import os\nos.environ.get('A')\n", 3, "settings.py only"),
    "the environment by name": ("src/pronto/fleet/x.py", DOC + "from os import getenv\n", 2, "settings.py only"),
    "a heavy import": ("src/pronto/engines/x.py", DOC + "import torch.nn\n", 2, "`torch.nn`"),
    "a heavy import in try": (
        "src/pronto/engines/x.py",
        DOC + "try:\n    import openvino\nfinally: ...\n",
        3,
        "openvino",
    ),
    "a framework in core": ("src/pronto/core/x.py", DOC + "import starlette.routing\n", 2, "may import pronto.core"),
    "an engine in wire": ("src/pronto/wire/x.py", DOC + "from pronto.engines import base\n", 2, "pronto.engines"),
    "a print": ("src/pronto/fleet/x.py", DOC + "print(1)\n", 2, "log it"),
    "SQL by f-string": ("src/pronto/store/x.py", DOC + "f'SELECT * FROM {table}'\n", 2, "SQL"),
    "SQL by percent": ("src/pronto/store/x.py", DOC + "'DELETE FROM %s' % table\n", 2, "SQL"),
    "SQL by format": ("src/pronto/store/x.py", DOC + "'UPDATE a SET {}'.format(b)\n", 2, "SQL"),
    "pickle": ("src/pronto/fleet/x.py", DOC + "from pickle import loads\n", 2, "`pickle`"),
    "eval": ("src/pronto/fleet/x.py", DOC + "eval('1')\n", 2, "eval()"),
    "a shell": ("bench/x.py", DOC + "run('ls', shell=True)\n", 2, "no shell"),
    "a machine's path": ("src/pronto/fleet/x.py", DOC + "a = '" + "/" + "home/me/models'\n", 2, "one machine"),
    "a machine's path in prose": ("docs/x.md", "see " + "/" + "root/models\n", 1, "one machine"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_breach_is_found_at_its_line(case: str, conventions: ModuleType, tmp_path: Path) -> None:
    path, text, line, reason = CASES[case]
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    found = [breach for breach in conventions.breaches(tmp_path) if breach.startswith(f"{path}:{line}: ")]
    assert any(reason in breach for breach in found)


ALLOWED = {
    "an import in a function": ("src/pronto/engines/x.py", DOC + "def load():\n    import torch\n"),
    "an import for types": ("src/pronto/engines/x.py", DOC + "if TYPE_CHECKING:\n    import torch\n"),
    "a command's options": ("src/pronto/cli/x.py", DOC + "@app.command()\ndef f(a, b, c, d, e, f, g): ...\n"),
    "a print of the command line": ("src/pronto/cli/x.py", DOC + "print(1)\n"),
    "a print of a script": ("src/pronto/edge/x.py", DOC + "if __name__ == '__main__':\n    print(1)\n"),
    "a reason": ("src/pronto/fleet/x.py", DOC + "a = 1  # " + "noqa: E501  the address cannot be broken\n"),
    "an f-string without SQL": ("src/pronto/fleet/x.py", DOC + "f'please update {a} set b'\n"),
    "an empty package": ("src/pronto/fleet/__init__.py", ""),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_is_left_alone(case: str, conventions: ModuleType, tmp_path: Path) -> None:
    path, text = ALLOWED[case]
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert [breach for breach in conventions.breaches(tmp_path) if breach.startswith(path)] == []


def test_an_exemption_that_nothing_needs_is_a_breach(conventions: ModuleType, tmp_path: Path) -> None:
    assert any("not needed any more" in breach for breach in conventions.breaches(tmp_path))
