"""What the README shows and what examples/ holds runs, against the real server."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import Server

ROOT = Path(__file__).parents[2]
# A block that runs, and the block behind it that shows what it prints.
SHOWN = re.compile(r"<!-- runs -->\n```(bash|python)\n(.*?)^```\n\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = SHOWN.findall((ROOT / "README.md").read_text(encoding="utf-8"))
# These need a client that Pronto itself does not: tests/clients runs them.
ELSEWHERE = {"openai_stream.py", "langchain_chat.py", "llama_index_chat.py", "inference.mjs"}
FILES = sorted(path for path in (ROOT / "examples").iterdir() if path.name != "README.md" and path.is_file())
EXAMPLES = [path for path in FILES if path.suffix in (".py", ".sh") and path.name not in ELSEWHERE]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """What `scripts/serve` runs in an empty folder: an account, its token, and the model that came with Pronto."""
    server = Server(tmp_path_factory.mktemp("first-run"), "--first-run")
    said = ""
    while "max_new_tokens" not in said:
        said += (line := server.process.stdout.readline())
        assert line, said
    server.token = re.search(r"hf_[0-9A-Za-z]{38}", said)[0]
    server.curl = said[said.index("curl ") :]
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def environment(newcomer, tmp_path_factory):
    """What a user has: a path, a home, and the variables that the examples read."""
    home = tmp_path_factory.mktemp("home")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PRONTO_URL": newcomer.url,
        "PRONTO_TOKEN": newcomer.token,
    }


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_curl_line_of_the_first_start_runs(newcomer, environment):
    assert json.loads(run(["bash", "-euc", newcomer.curl], environment))[0]["generated_text"].startswith("class Point:")


def test_the_readme_shows_curl_python_and_a_stream():
    assert [language for language, _, _ in BLOCKS] == ["bash", "python", "python"]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_what_the_readme_shows_runs_and_prints_what_it_says(number, environment, newcomer):
    language, text, shown = BLOCKS[number]
    text = text.replace("http://127.0.0.1:8080", newcomer.url)
    command = ["bash", "-euc", text] if language == "bash" else [sys.executable, "-c", text]
    assert run(command, environment).strip() == shown.strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example, environment):
    command = ["sh", str(example)] if example.suffix == ".sh" else [sys.executable, str(example)]
    assert run(command, environment).strip()


def test_each_example_is_described():
    described = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in FILES if f"`{path.name}`" not in described] == []
