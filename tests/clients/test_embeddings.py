"""Embeddings by the official clients, unmodified, of the model that is installed with Pronto."""

import json

import pytest

from tests.clients.conftest import Clients, wait_until_loaded
from tests.e2e.http import post
from tests.e2e.server import Server, make_account, run_cli

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
pytestmark = pytest.mark.timeout(400)  # the models are built and exported first
SIMILARITIES = pytest.approx([0.69457, 0.94292, 0.25688], abs=4e-3)  # as the model's card has them


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    data = tmp_path_factory.mktemp("embeddings")
    (data / "catalog.toml").write_text(f'[[models]]\nid = "{MINILM}"\npreload = true\n')
    token = make_account(data, "alice")
    run_cli(data, "models", "pull", MINILM)
    running = Server(data)
    running.token = token
    wait_until_loaded(running, MINILM)
    yield Clients(running, tmp_path_factory.mktemp("home"))
    assert running.stop() == 0


@pytest.fixture(scope="module")
def first(clients):
    """The first numbers of the vector of `hello`."""
    status, _, text = post(clients.server.url, "/embed", {"inputs": "hello"}, clients.server.token)
    assert status == 200, text
    return pytest.approx(json.loads(text)[0][:4], abs=1e-4)


@pytest.fixture(scope="module", params=["0.24.7", "2.4.0"])
def hub(request, clients):
    variables = {"HF_ENDPOINT": clients.server.url}
    if request.param == "0.24.7":
        variables["HF_INFERENCE_ENDPOINT"] = clients.server.url
    return clients.report(f"hub-{request.param}", "ask_embeddings_hub.py", **variables)


def test_hub_vectors(hub, first):
    for name in ("vector", "by_url", "task_url", "options", "left", "async"):
        kind, shape, values = hub[name]
        assert (kind, shape[-1], values) == ("float32", 384, first), name
    if hub["version"] != "0.24.7":
        assert hub["several"][1] == [2, 384]
        assert hub["dimensions"][1][-1] == 4


def test_hub_similarities(hub):
    assert hub["similarity"] == SIMILARITIES


def test_hub_errors(hub):
    assert hub.raised("bad_prompt")["status"] == 422
    assert hub.raised("bad_sentences")["status"] == 422
    assert hub.raised("unknown")["status"] == 404


@pytest.fixture(scope="module")
def openai(clients):
    return clients.report("openai", "ask_embeddings_openai.py")


def test_openai_vectors(openai, first):
    for name in ("vector", "numbers", "alias", "tokens", "alone"):
        assert openai[name] == [[0, "embedding", 384, first]], name
    assert [row[:3] for row in openai["several"]] == [[0, "embedding", 384], [1, "embedding", 384]]
    assert openai["several"][0][3] == first
    assert openai["dimensions"][0][2] == 4
    assert openai["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@pytest.mark.parametrize(
    ("name", "raised", "param"),
    [
        ("empty", "BadRequestError", "input"),
        ("bad_dimensions", "BadRequestError", "dimensions"),
        ("other_tokens", "BadRequestError", "input"),
        ("no_embeddings", "BadRequestError", None),
        ("unknown", "NotFoundError", None),
    ],
)
def test_openai_errors(openai, name, raised, param):
    error = openai.raised(name)
    assert (error["raised"], error["param"]) == (raised, param), error
    assert error["body"]["message"]


@pytest.mark.parametrize("version", ["2.7.0", "4.13.30"])
def test_javascript(clients, first, version):
    report = clients.report(f"js-{version}", "ask_embeddings.mjs", version=version)
    assert report["vector"] == [384, first]
    assert report["several"] == [2, 384, first]
    assert report["similarity"] == SIMILARITIES
    assert "empty" in report.raised("bad")["message"]


@pytest.mark.parametrize(
    "name", ["langchain-openai", "langchain-hf-0.1.2", "llama-index-openai", "llama-index-hf", "ollama"]
)
def test_chains(clients, first, name):
    report = clients.report(name, "ask_embeddings_chains.py", HF_ENDPOINT=clients.server.url)
    assert report["one"] == [384, first]
    assert report["many"][0] == [384, first]
    assert len(report["many"]) == 2
