"""What the README shows and what examples/ holds runs, against the real server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"<!-- runs -->\n```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = SHOWN.findall((ROOT / "README.md").read_text(encoding="utf-8"))
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".sh"))


@pytest.fixture(scope="module")
def environment(server, tmp_path_factory):
    """What a user has: a path, a home, and the three variables that the examples read."""
    home = tmp_path_factory.mktemp("home")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PRONTO_URL": server.url,
        "PRONTO_TOKEN": server.token,
        "PRONTO_MODEL": server.model,
    }


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_readme_shows_curl_python_and_a_stream():
    assert [language for language, _ in BLOCKS] == ["bash", "python", "python"]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_what_the_readme_shows_runs(number, environment, server):
    language, text = BLOCKS[number]
    text = text.replace("http://127.0.0.1:8080", server.url).replace("pronto/demo", server.model)
    command = ["bash", "-euc", text] if language == "bash" else [sys.executable, "-c", text]
    shown = run(command, environment)
    if language == "bash":
        assert shown.startswith('[{"generated_text":"Once upon a time')
    else:
        assert shown.strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example, environment):
    command = ["sh", str(example)] if example.suffix == ".sh" else [sys.executable, str(example)]
    assert run(command, environment).strip()


def test_each_example_is_described():
    described = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES if f"`{path.name}`" not in described] == []
