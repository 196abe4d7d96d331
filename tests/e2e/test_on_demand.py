"""A model that nobody added, from the first request to its answer: a real server, and a stand-in for the Hub."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server, make_account
from tests.hub_stand_in import Repository, StandIn, hub_stand_in
from tests.tiny_models import build_tiny_llama

COMMIT = "e" * 40


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = build_tiny_llama(tmp_path_factory.mktemp("hub") / "tiny")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    with hub_stand_in() as running:
        running.repositories["open/tiny"] = Repository(files, commit=COMMIT)
        running.repositories["open/gated"] = Repository(files, token="hf_operator")
        running.repositories["open/large"] = Repository({**files, "extra.safetensors": bytes(3_000_000)})
        running.repositories["closed/tiny"] = Repository(files)
        yield running


@pytest.fixture(scope="module")
def client(hub: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("on-demand")
    token = make_account(folder, "ann")
    settings = {"PRONTO_HUB_ENDPOINT": hub.url, "PRONTO_HUB_ALLOW": json.dumps(["open/*"]), "PRONTO_HUB_ALLOW_MB": "2"}
    server = Server(folder, env=settings)
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}, timeout=120) as client:
        yield client
    assert server.stop() == 0
    assert "hf_operator" not in server.log.read_text()


def ask(client: httpx.Client, model: str, **headers: str) -> httpx.Response:
    body = {"inputs": "once upon", "parameters": {"max_new_tokens": 4}}
    return client.post(f"/models/{model}", json=body, headers=headers)


def test_the_first_request_brings_the_model(client: httpx.Client) -> None:
    assert client.get("/status/open/tiny").status_code == 404
    not_now = ask(client, "open/tiny", **{"x-load-model": "0"})
    assert (not_now.status_code, not_now.json()["error"]) == (503, "Model open/tiny is currently loading")
    assert client.get("/status/open/tiny").json()["state"] == "Loadable"
    loading = ask(client, "open/tiny")
    assert loading.status_code == 503
    assert float(loading.headers["retry-after"]) >= loading.json()["estimated_time"] > 0
    status = client.get("/status/open/tiny").json()
    assert (status["state"], status["loaded"]) == ("Loading", False)
    assert status["estimated_time"] > 0
    answer = ask(client, "open/tiny", **{"x-wait-for-model": "1"})
    assert answer.status_code == 200, answer.text
    assert answer.json()[0]["generated_text"].startswith("once upon")
    assert answer.headers["x-sha"] == COMMIT
    assert client.get("/status/open/tiny").json()["state"] == "Loaded"
    [shown] = [model for model in client.get("/models").json() if model["id"] == "open/tiny"]
    assert (shown["state"], shown["revision"]) == ("loaded", COMMIT)
    assert shown["memory_bytes"] > 10_000_000


def test_openai_clients_name_it_in_the_body(client: httpx.Client) -> None:
    body = {"model": "open/missing", "messages": [{"role": "user", "content": "hi"}]}
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("model", "status", "says", "state"),
    [
        ("open/gated", 403, "accept its licence", None),
        ("open/large", 403, "too large to be loaded automatically", "TooBig"),
        ("open/none", 404, "does not exist", None),
        ("closed/tiny", 404, "does not exist", None),
    ],
)
def test_what_is_not_served_says_why(
    client: httpx.Client, hub: StandIn, model: str, status: int, says: str, state: str | None
) -> None:
    answer = ask(client, model, **{"x-wait-for-model": "1"})
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    shown = client.get(f"/status/{model}")
    assert (shown.status_code, shown.json().get("state")) == ((200, state) if state else (404, None))
    if state:
        assert says in shown.json()["reason"]


def test_without_a_token_nothing_is_looked_up(client: httpx.Client, hub: StandIn) -> None:
    before = len(hub.requests)
    answer = httpx.post(f"{str(client.base_url).rstrip(chr(47))}/models/open/another", json={"inputs": "hi"})
    assert answer.status_code == 401
    assert client.get("/status/open/another").status_code == 404
    assert client.get("/models/open/another").status_code == 404
    assert len(hub.requests) == before


def test_the_catalog_has_it_from_then_on(client: httpx.Client) -> None:
    ids = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert "open/tiny" in ids
    assert "open/large" not in ids


def test_nothing_is_allowed_unless_the_operator_says_so(tmp_path: Path, hub: StandIn) -> None:
    token = make_account(tmp_path, "ann")
    server = Server(tmp_path, env={"PRONTO_HUB_ENDPOINT": hub.url})
    before = len(hub.requests)
    answer = httpx.post(
        f"{server.url}/models/open/tiny", json={"inputs": "hi"}, headers={"authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 404
    assert len(hub.requests) == before
    server.stop()
