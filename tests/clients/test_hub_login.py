"""The ordinary sign-in of huggingface_hub, unmodified, with HF_ENDPOINT set to the server."""

import contextlib
import json
import re
import subprocess

import pytest

from tests.clients.conftest import ENVIRONMENTS, SCRIPTS
from tests.e2e.server import run_cli

OLD, NEW = "0.24.7", "2.4.0"
WRONG = "hf_" + "x" * 38
CODE = re.compile(r"\b[B-Z]{4}-[B-Z]{4}\b")


class Computer:
    """Somebody's machine: a home folder of its own, with one version of the client."""

    def __init__(self, clients, version, home):
        self.folder = ENVIRONMENTS / f"hub-{version}" / "bin"
        self.home = home
        own = {"HF_ENDPOINT": clients.server.url, "HOME": str(home), "HF_HOME": str(home / "hf")}
        self.variables = clients.variables(f"hub-{version}") | own | {"PYTHONUNBUFFERED": "1"}
        self.commands = ("huggingface-cli",) if version == OLD else ("hf", "auth")

    @contextlib.contextmanager
    def start(self, *words):
        """A process, which is over at the end of the block."""
        with subprocess.Popen(
            words,
            env=self.variables,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *words):
        """Exit code and everything that was said."""
        with self.start(*words) as process:
            return end_of(process)

    def login(self, *words):
        return self.run(str(self.folder / self.commands[0]), *self.commands[1:], "login", *words)

    def whoami(self):
        return self.run(str(self.folder / self.commands[0]), *self.commands[1:], "whoami")

    def script(self, *words):
        return str(self.folder / "python"), str(SCRIPTS / "ask_login.py"), *words

    @property
    def token(self):
        """The one that it keeps."""
        path = self.home / "hf" / "token"
        return path.read_text() if path.exists() else None


@pytest.fixture(params=[OLD, NEW])
def computer(request, clients, tmp_path):
    return Computer(clients, request.param, tmp_path)


@pytest.fixture
def new_computer(clients, tmp_path):
    return Computer(clients, NEW, tmp_path)


def code_of(process):
    """The code that it shows while it waits."""
    said = ""
    for line in process.stdout:
        said += line
        if found := CODE.search(line):
            return found[0]
    raise AssertionError(said)


def end_of(process):
    said, _ = process.communicate(timeout=60)
    return process.returncode, said


def test_login_and_whoami_with_a_token(computer, server):
    code, said = computer.login("--token", server.token)
    assert code == 0, said
    assert "permission: read" in said
    assert computer.token == server.token
    code, said = computer.whoami()
    assert code == 0, said
    assert "alice" in said


def test_a_bad_token_is_told_and_not_kept(computer):
    code, said = computer.login("--token", WRONG)
    assert code != 0
    assert "nvalid" in said, said
    assert computer.token is None


def test_whoami_with_a_token_that_holds_no_more(computer, server):
    computer.home.joinpath("hf").mkdir()
    computer.home.joinpath("hf", "token").write_text(WRONG)
    code, said = computer.whoami()
    assert code != 0
    assert "Invalid credentials in Authorization header" in said or "Invalid user token" in said, said


def test_the_check_of_a_notebook(computer, server):
    code, said = computer.run(*computer.script("check", server.token))
    assert code == 0, said
    assert "okay: True" in said or "okay: alice" in said, said
    assert computer.token == server.token


def test_the_check_of_a_notebook_with_a_bad_token(computer):
    code, said = computer.run(*computer.script("check", WRONG))
    assert code != 0
    assert "Invalid token passed!" in said or "Invalid user token" in said, said
    assert "okay" not in said
    assert computer.token is None


@pytest.mark.parametrize("how", ["terminal", "notebook"])
def test_login_by_a_code(new_computer, server, how):
    words = new_computer.script("notebook") if how == "notebook" else (str(new_computer.folder / "hf"), "auth", "login")
    with new_computer.start(*words) as process:
        code = code_of(process)
        waiting = json.loads(run_cli(server.data_dir, "login", "list", "--json").stdout)
        assert [(one["code"], one["client"], one["address"]) for one in waiting] == [
            (code, "login huggingface_hub", "127.0.0.1")
        ]
        done = run_cli(server.data_dir, "login", "confirm", code.lower(), "--user", "alice")
        assert "may act for alice" in done.stdout
        ended, said = end_of(process)
    assert ended == 0, said
    assert new_computer.token.startswith("hf_")
    assert new_computer.token != server.token
    assert "alice" in new_computer.whoami()[1]
    assert "No device is waiting" in run_cli(server.data_dir, "login", "list").stderr


def test_a_login_that_is_turned_down(new_computer, server):
    with new_computer.start(str(new_computer.folder / "hf"), "auth", "login") as process:
        code = code_of(process)
        unknown = run_cli(server.data_dir, "login", "confirm", code, "--user", "nobody", check=False)
        assert unknown.returncode == 1
        assert "There is no account named nobody" in unknown.stderr
        run_cli(server.data_dir, "login", "deny", code)
        ended, said = end_of(process)
    assert ended != 0
    assert "denied" in said, said
    assert new_computer.token is None


def test_without_a_server_there_is_nothing_to_confirm(tmp_path):
    refused = run_cli(tmp_path, "login", "confirm", "BBBB-BBBB", "--user", "alice", check=False)
    assert refused.returncode == 1
    assert "No server is running" in refused.stderr
