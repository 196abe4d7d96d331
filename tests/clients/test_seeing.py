"""The clients' methods that read images, on tiny models of every task, and chats with an image."""

import base64

import pytest

from tests.clients.conftest import Clients
from tests.clients.seeing_models import build_all, catalog, ids
from tests.e2e.http import post
from tests.e2e.server import Server, make_account
from tests.tiny_vision import picture

pytestmark = pytest.mark.timeout(600)  # eleven workers are loaded for the first of these
# All that any of the tasks needs.
LOADING = {
    "inputs": {"image": base64.b64encode(picture(9)).decode(), "question": "what", "text": "what"},
    "parameters": {"candidate_labels": ["cat"], "max_new_tokens": 2},
}

HUBS = ("hub-0.24.7", "hub-2.4.0")


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    data = tmp_path_factory.mktemp("seeing")
    (data / "catalog.toml").write_text(catalog(build_all(tmp_path_factory.mktemp("models"))))
    token = make_account(data, "alice")
    running = Server(data)
    running.token = token
    try:
        for id in ids():
            # Loaded one after the other, so that no client has to wait for that: even a bad request needs the model.
            status, _, text = post(running.url, f"/models/{id}", LOADING, token, timeout=120, x_wait_for_model="1")
            assert status in (200, 422), (id, status, text)
        yield running
    finally:
        assert running.stop() == 0


@pytest.fixture(scope="module")
def ask(seeing, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    image = home / "a.png"
    image.write_bytes(picture(1))
    clients = Clients(seeing, home)

    def report(name: str, script: str):
        return clients.report(name, script, PRONTO_IMAGE=str(image))

    return report


@pytest.fixture(scope="module", params=HUBS)
def hub(request, ask):
    found = ask(request.param, "ask_hub_images.py")
    found.is_old = request.param == HUBS[0]
    return found


@pytest.fixture(scope="module")
def js(ask):
    return ask("js-4.13.30", "ask_sight.mjs")


def are_labels(found: list[dict], count: int) -> bool:
    return len(found) == count and all(isinstance(each["label"], str) and 0 <= each["score"] <= 1 for each in found)


def test_labels(hub, js):
    for found in (hub, js):
        assert are_labels(found["classification"], 4)
        assert are_labels(found["labels"], 2)
        assert {each["label"] for each in found["labels"]} == {"cat", "a dog"}
    assert hub["classification"] == hub["classification of a file"]
    if not hub.is_old:
        assert hub["two labels"] == hub["classification"][:2]
        assert are_labels(hub["labels in a sentence"], 2)


def test_places(hub, js):
    for found in (hub, js):
        assert isinstance(found["detection"], list)
        assert {each["label"] for each in found["segmentation"]} <= {"cat", "dog", "bird", "tree"}
        assert "score" not in found["segmentation"][0]
        assert all(each["score"] > 0.5 for each in found["instances"])
    assert hub["segmentation"][0]["mask"] == ["L", [48, 40]]
    if not hub.is_old:
        assert len(hub["all objects"]) > 0
        assert set(hub["all objects"][0]["box"]) == {"xmin", "ymin", "xmax", "ymax"}
        assert "score" not in hub["kind of segments"][0]


def test_texts(hub, js):
    assert hub["caption"]["generated_text"] == js["caption"]["generated_text"] != ""
    for name in ("question", "question, written", "page"):
        (*_, first) = reversed(hub[name])
        assert first["answer"] == js[name]["answer"]
    assert "word_boxes" in hub.raised("page without its words")["message"]
    if not hub.is_old:
        assert len(hub["one answer"]) == 1
        assert [each["answer"] for each in hub["page with its words"]]
        assert all(each["start"] <= each["end"] for each in hub["page with its words"])


def test_chats(hub, js, ask):
    openai = ask("openai", "ask_openai_images.py")
    assert hub["chat"] == js["chat"] == openai["chat"] != ""
    assert "".join(js["chat stream"]) == "".join(openai["stream"]) == openai["chat"]
    assert len(openai["stream"]) >= 6
    assert openai["usage"]["completion_tokens"] == 6
    for name in ("no image", "far away"):
        error = openai.raised(name)
        assert (error["raised"], error["status"], error["param"]) == ("BadRequestError", 400, "messages")


def test_what_is_no_image_is_refused_by_name(hub, js):
    assert "`inputs` is not an image" in hub.raised("no image")["message"]
    assert js.raised("no image")["status"] == 422
