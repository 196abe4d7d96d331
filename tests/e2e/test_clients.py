"""Unmodified huggingface_hub clients, old and new, against the real engine."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.server import Server, make_account, run_cli

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "clients" / "hub_text_generation.py"


@pytest.fixture(scope="module")
def busy_server(tmp_path_factory, tiny_llama):
    """A server that has room for one request."""
    folder = tmp_path_factory.mktemp("busy")
    token = make_account(folder, "bob")
    run_cli(folder, "models", "add", "test/slow-2s", "--source", str(tiny_llama), "--engine", "echo", "--preload")
    running = Server(folder, env={"PRONTO_MAX_CONCURRENT_REQUESTS": "1"})
    running.token = token
    yield running
    running.stop()


@pytest.fixture(scope="module", params=["0.24.7", "2.4.0"])
def report(request, server, busy_server, tmp_path_factory):
    """What the client of this version made of the server's answers."""
    python = ROOT / ".venvs" / f"hub-{request.param}" / "bin" / "python"
    assert python.exists(), f"{python} is missing: run scripts/test, which makes it"
    home = tmp_path_factory.mktemp("home")
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    model, unknown = f"{server.url}/models/{server.model}", f"{server.url}/models/no/such"
    slow = f"{busy_server.url}/models/test/slow-2s"
    if request.param == "0.24.7":
        env["HF_INFERENCE_ENDPOINT"] = server.url
        model, unknown = server.model, "no/such"
    done = subprocess.run(
        [str(python), str(SCRIPT), model, unknown, slow, server.token, busy_server.token],
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["version"] == request.param
    return found


def test_greedy_answers_are_equal_also_past_the_cache(report):
    assert report["plain"] == report["plain_again"] != ""


def test_the_default_length_is_twenty_tokens(report):
    details = report["default_length"]
    assert details["generated_tokens"] == len(details["tokens"]) <= 20
    assert details["finish_reason"] == ("length" if details["generated_tokens"] == 20 else "eos_token")


def test_details(report):
    details = report["details"]
    assert details["text"] == report["plain"]
    assert details["seed"] is None
    assert details["prefill"] == 0
    assert all(logprob <= 0 for _, _, logprob, _ in details["tokens"])
    assert "".join(text for _, text, _, special in details["tokens"] if not special) == details["text"]


def test_the_prompt_comes_first_when_asked(report):
    assert report["full_text"] == "def hello" + report["plain"]


def test_a_stream_says_the_same_as_a_whole_answer(report):
    assert "".join(report["stream"]) == report["plain"]
    last = report["stream_details"]
    assert last["final_text"] == report["plain"]
    assert last["count"] == last["generated_tokens"] == report["details"]["generated_tokens"]
    assert last["finish_reason"] == report["details"]["finish_reason"]


def test_all_parameters_together(report):
    details = report["everything"]
    assert details["seed"] == 7
    assert details["generated_tokens"] <= 9


def test_best_of(report):
    assert report["best_of"]["generated_tokens"] <= 5


def test_sampled_answers_are_kept_and_a_fresh_one_differs(report):
    assert report["sampled_kept"][0] == report["sampled_kept"][1]
    assert report["sampled_fresh"][0] != report["sampled_fresh"][1]


def test_a_stop_sequence_ends_the_text_and_stays_in_it(report):
    stopped = report["stopped"]
    assert stopped["finish_reason"] == "stop_sequence"
    assert report["plain"].startswith(stopped["text"])
    assert stopped["text"].endswith(report["plain"][3:6])


@pytest.mark.parametrize("name", ["too_long", "bad_value", "refused"])
def test_bad_input_is_a_validation_error(report, name):
    assert report[name]["class"] == "ValidationError", report[name]
    assert report[name]["status"] in (422, None)


def test_bad_input_of_a_stream_is_an_error_too(report):
    assert report["stream_too_long"]["class"] == "ValidationError", report["stream_too_long"]


def test_unknown_model_and_bad_token_keep_their_status(report):
    assert report["unknown"]["status"] == 404, report["unknown"]
    assert report["bad_token"]["status"] == 401, report["bad_token"]


def test_a_full_server_is_an_overloaded_error(report):
    assert report["overloaded"]["class"] == "OverloadedError", report["overloaded"]
    assert report["overloaded"]["status"] == 429
