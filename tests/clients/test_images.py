"""Clients that make and change images, unmodified, against a tiny SDXL."""

import base64
import io
import json

import pytest
from PIL import Image

from tests.clients.conftest import SCRIPTS, Clients, Report, wait_until_loaded
from tests.e2e.server import Server, make_account, run_cli
from tests.tiny_image import tiny_image_model

MODEL = "tiny/sdxl"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Clients of a server that makes images."""
    folder, data = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("data")
    token = make_account(data, "alice")
    model = str(tiny_image_model(folder))
    run_cli(data, "models", "add", MODEL, "--source", model, "--preload", "--default")
    running = Server(data, env={"PRONTO_LOAD_TIMEOUT": "60", "PRONTO_THREADS": "1"})
    running.token = token
    wait_until_loaded(running, MODEL)
    yield Clients(running, tmp_path_factory.mktemp("home"))
    assert running.stop() == 0


def report(studio: Clients, name: str, script: str, *arguments: str, **variables: str) -> Report:
    server = studio.server
    # In the places of the models that other scripts talk to.
    said = studio.run(name, SCRIPTS / script, server.url, server.token, MODEL, MODEL, *arguments, **variables)
    return Report(json.loads(said.splitlines()[-1]))


def picture(mode: str = "RGB", color: object = "red") -> str:
    out = io.BytesIO()
    Image.new(mode, (64, 64), color).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def opened(text: str) -> tuple[str | None, tuple[int, int]]:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    return image.format, image.size


@pytest.mark.parametrize("version", ["0.24.7", "2.4.0"])
def test_huggingface_hub(studio, version):
    variables = {"HF_ENDPOINT": studio.server.url}
    if version == "0.24.7":
        variables["HF_INFERENCE_ENDPOINT"] = studio.server.url
    found = report(studio, f"hub-{version}", "ask_images_hub.py", **variables)
    assert found["version"] == version
    for name in ("plain", "all", "asynchronous", "changed_bytes", "changed"):
        assert found[name] == ["PIL.PngImagePlugin", "PNG", 64, 64], name
    assert found["same"] == [True, False]
    if version != "0.24.7":
        assert found["target_size"][2:] == [128, 72]
    for name, word in (("bad_size", "width"), ("bad_scheduler", "scheduler"), ("bad_image", "not an image")):
        refused = found.raised(name)
        assert refused["status"] == 422, refused
        assert word in refused["message"]


def test_openai(studio):
    found = report(studio, "openai", "ask_images_openai.py", picture(), picture("RGBA", (0, 0, 0, 0)))
    for name, count, format in (
        ("plain", 2, "PNG"),
        ("strict", 1, "JPEG"),
        ("edit", 1, "PNG"),
        ("edit_list", 1, "PNG"),
        ("variation", 1, "PNG"),
    ):
        is_dated, images = found[name]
        assert is_dated, name
        assert [opened(image) for image in images] == [(format, (64, 64))] * count, name
    [[kind, image]] = found["stream"]
    assert (kind, opened(image)) == ("image_generation.completed", ("PNG", (64, 64)))
    for name, param in (("bad_size", "size"), ("bad_url", "response_format"), ("bad_image", "image")):
        refused = found.raised(name)
        assert (refused["raised"], refused["param"]) == ("BadRequestError", param), refused
    assert found.raised("edit_several")["param"] == "image"


@pytest.mark.parametrize("version", ["2.7.0", "4.13.30"])
def test_javascript(studio, version):
    found = report(studio, f"js-{version}", "ask_images.mjs", version, picture())
    for name in ("plain", "changed"):
        kind, begin = found[name]
        assert (kind, begin[:6]) == ("image/jpeg", "ffd8ff"), name
    if version == "4.13.30":
        assert found["dataUrl"] == "data:image/jpeg;base64,"
    assert "width" in found.raised("bad")["message"]
