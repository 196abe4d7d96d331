"""Images over real HTTP: a real server, a real worker, a tiny SDXL with both text encoders."""

import base64
import http.client
import io
import json
import struct
import time
import zlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.e2e.http import eventually, frames, ledger, open_stream
from tests.e2e.server import Server, make_account, run_cli
from tests.tiny_image import tiny_image_model

SDXL, OPENVINO = "tiny/sdxl", "tiny/sdxl-openvino"
SMALL = {"num_inference_steps": 2, "width": 64, "height": 64, "seed": 5}

pytestmark = pytest.mark.timeout(400)  # beside other programs torch alone takes a minute to come up


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("data")
    token = make_account(data, "alice")
    model = str(tiny_image_model(folder))
    added = run_cli(data, "models", "add", SDXL, "--source", model, "--preload")
    run_cli(data, "models", "add", OPENVINO, "--source", model, "--engine", "diffusers-openvino")
    assert "text-to-image" in added.stdout + run_cli(data, "models", "list").stdout
    # Tiny layers are quicker on one thread, most of all beside other programs.
    running = Server(data, env={"PRONTO_MAX_IMAGE_STEPS": "60", "PRONTO_THREADS": "1"})
    running.token = token
    yield running
    assert running.stop() == 0


def ask(server: Server, body: object, path: str = f"/models/{SDXL}", **headers: str):
    """Status, headers and the bytes of the body."""
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=350)
    sent = {"authorization": f"Bearer {server.token}", "x-wait-for-model": "true"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, payload, sent)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, data


def image_of(answer) -> Image.Image:
    status, _, data = answer
    assert status == 200, data
    return Image.open(io.BytesIO(data))


def png(color: str = "red", size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")
    return out.getvalue()


def test_an_image_in_the_format_that_is_asked_for(server):
    body = {"inputs": "an astronaut", "parameters": SMALL}
    jpeg = ask(server, body, accept="*/*")
    assert image_of(jpeg).format == "JPEG"
    assert jpeg[1]["content-type"] == "image/jpeg"
    assert (jpeg[1]["x-seed"], jpeg[1]["x-compute-characters"]) == ("5", "12")
    made = image_of(ask(server, body, accept="image/png"))
    assert (made.format, made.size) == ("PNG", (64, 64))
    again = ask(server, body, accept="image/png", x_use_cache="0")
    assert image_of(again).tobytes() == made.tobytes()  # the same seed
    assert again[1]["x-compute-type"] == "cpu"
    row = ledger(server.data_dir)[-1]
    assert (row["images"], row["finish"], row["task"]) == (1, "done", "text-to-image")
    assert row["prompt_tokens"] > 2


def test_the_same_question_again_gives_the_kept_image(server):
    body = {"inputs": "a cat", "parameters": {**SMALL, "seed": None}}
    first, second = ask(server, body), ask(server, body)
    assert first[2] == second[2]
    assert second[1]["x-compute-type"] == "cache"
    assert second[1]["x-seed"] == first[1]["x-seed"]
    assert ask(server, body, x_use_cache="0")[2] != first[2]  # another seed


def test_a_stream_tells_of_each_step(server):
    parameters = {**SMALL, "num_images_per_prompt": 2}
    status, headers, data = ask(server, {"inputs": "two cats", "parameters": parameters}, accept="text/event-stream")
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    *steps, first, second = frames(data.decode())
    assert [(frame["type"], frame["step"], frame["steps"]) for frame in steps] == [
        ("progress", step, 4) for step in (1, 2, 3, 4)
    ]
    for seed, frame in ((5, first), (6, second)):
        assert (frame["type"], frame["media_type"], frame["seed"]) == ("image", "image/jpeg", seed)
        assert Image.open(io.BytesIO(base64.b64decode(frame["image"]))).size == (64, 64)


def test_an_image_is_changed_however_it_comes(server):
    parameters = {"prompt": "a dog", **SMALL, "strength": 1.0}
    body = {"inputs": base64.b64encode(png()).decode(), "parameters": parameters}
    changed = image_of(ask(server, body, accept="image/png"))
    assert changed.size == (64, 64)
    named = image_of(ask(server, body, f"/pipeline/image-to-image/{SDXL}", accept="image/png", x_use_cache="0"))
    assert named.tobytes() == changed.tobytes()
    assert image_of(ask(server, png(size=(80, 72)))).size == (80, 72)  # the bytes alone


def form(fields: dict[str, str], **files: bytes) -> tuple[bytes, str]:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()]
    for name, data in files.items():
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x.png"\r\n\r\n'
        parts.append(head.encode() + data + b"\r\n")
    return b"".join(parts) + b"--b--\r\n", "multipart/form-data; boundary=b"


def test_openai_s_routes(server):
    body = {"prompt": "a cat", "model": SDXL, "size": "64x64", "n": 2, "num_inference_steps": 2, "seed": 5}
    status, _, data = ask(server, body, "/v1/images/generations")
    assert status == 200, data
    answer = json.loads(data)
    images = [Image.open(io.BytesIO(base64.b64decode(each["b64_json"]))) for each in answer["data"]]
    assert [(each.format, each.size) for each in images] == [("PNG", (64, 64))] * 2
    fields = {"prompt": "a dog", "num_inference_steps": "2", "strength": "1", "size": "64x64"}
    clear = Image.new("RGBA", (64, 64), "white")
    clear.putalpha(0)
    out = io.BytesIO()
    clear.save(out, "PNG")
    payload, kind = form(fields, image=png(), mask=out.getvalue())
    status, _, data = ask(server, payload, f"/models/{SDXL}/v1/images/edits", content_type=kind)
    assert status == 200, data
    payload, kind = form({"model": SDXL, "num_inference_steps": "2", "strength": "1"}, image=png())
    status, _, data = ask(server, payload, "/v1/images/variations", content_type=kind)
    assert status == 200, data


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"width": 100}, "width"),
        ({"num_inference_steps": 61}, "num_inference_steps"),
        ({"scheduler": "nonsense"}, "scheduler"),
        ({"scheduler": "flow_match_euler"}, "scheduler"),  # known, but it does not fit this model
        ({"lora": "me/nothing"}, "me/nothing"),
    ],
)
def test_wrong_parameters_are_refused_by_name(server, parameters, field):
    status, headers, data = ask(server, {"inputs": "a cat", "parameters": {**SMALL, **parameters}})
    assert status == (404 if field == "me/nothing" else 422)
    assert headers["content-type"] == "application/json"
    assert field in json.loads(data)["error"]


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", png()[:60], b"\xff\xd8\xff" + b"x" * 999])
def test_a_broken_image_is_told(server, data):
    status, _, body = ask(server, data)
    assert status == 422
    assert "not an image" in json.loads(body)["error"]


@pytest.mark.parametrize("size", [(7_000, 7_000), (30_000, 30_000)])
def test_a_bomb_is_refused_before_it_is_opened(server, size):
    data = bytearray(png())
    data[16:24] = struct.pack(">II", *size)  # what its head claims
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    began = time.monotonic()
    status, _, body = ask(server, bytes(data))
    assert status == 422, body
    assert "pixels" in json.loads(body)["error"]
    assert time.monotonic() - began < 5


def test_who_leaves_stops_the_work(server):
    parameters = {**SMALL, "num_inference_steps": 60, "num_images_per_prompt": 4}
    body = {"inputs": "nobody", "parameters": parameters}
    connection = open_stream(server.url, f"/models/{SDXL}", body, server.token, "Accept: text/event-stream")
    seen = b""
    while b'"step":2,' not in seen:
        seen += connection.recv(65536)
    connection.close()
    row = eventually(lambda: ledger(server.data_dir)[-1] if ledger(server.data_dir)[-1]["ended"] else None, 20)
    assert row["images"] == 0
    began = time.monotonic()
    assert image_of(ask(server, {"inputs": "next", "parameters": SMALL})).size == (64, 64)
    assert time.monotonic() - began < 30  # 240 steps are not waited for


def test_nothing_of_a_prompt_is_in_the_logs(server):
    assert image_of(ask(server, {"inputs": "xyzzysecret " * 200, "parameters": SMALL}))
    written = [path.read_text(errors="replace") for path in Path(server.data_dir).rglob("*.log")]
    assert not any("xyzzysecret" in text for text in written)


def test_a_model_is_exported_once_and_runs_on_openvino(server):
    assert server.models()[OPENVINO]["state"] == "pulled"
    body = {"inputs": "an astronaut", "parameters": SMALL}
    answers = [ask(server, body, f"/models/{OPENVINO}", accept="image/png", x_use_cache="0") for _ in range(2)]
    first, second = map(image_of, answers)
    assert (first.format, first.size) == ("PNG", (64, 64))
    assert first.tobytes() == second.tobytes()
    torch_s = image_of(ask(server, body, accept="image/png"))
    assert max(abs(a - b) for a, b in zip(first.tobytes(), torch_s.tobytes(), strict=True)) < 32  # of 255, in bf16
