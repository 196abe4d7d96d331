"""Images on their way in: every form of body, bad ones, large ones and URLs, with a real ViT behind a real server."""

import base64
import gzip
import io
import json
import threading
import time
import zlib

import psutil
import pytest

from tests.e2e.http import ledger, post
from tests.e2e.seeing_house import VIT, is_left_empty
from tests.tiny_vision import picture

PATH = f"/models/{VIT}"


pytestmark = pytest.mark.timeout(400)  # the first of them builds and loads two models with torch


@pytest.fixture
def house(seeing):
    return seeing


def ask(house, body, **headers):
    sent = {"x_use_cache": "0"} | headers
    status, answered, text = post(house.url, PATH, body, house.token, **sent)
    return status, answered, json.loads(text)


def labels(house, body, **headers):
    status, _, found = ask(house, body, **headers)
    assert status == 200, found
    return [(each["label"], pytest.approx(each["score"], abs=1e-6)) for each in found]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def form(parts: dict[str, bytes]) -> bytes:
    lines = b""
    for name, data in parts.items():
        file = b'; filename="a.png"' if name in ("file", "inputs") else b""
        lines += (
            b'--XX\r\nContent-Disposition: form-data; name="'
            + name.encode()
            + b'"'
            + file
            + b"\r\n\r\n"
            + data
            + b"\r\n"
        )
    return lines + b"--XX--\r\n"


def large(seed: int, size=(1200, 900)) -> bytes:
    """More than travels in a message."""
    data = picture(seed, size, format="BMP")
    assert len(data) > 3_000_000
    return data


def test_what_a_crash_has_left_is_gone(house):
    assert house.left == []


def test_all_forms_of_a_body_give_the_same_answer(house):
    data = picture(1)
    found = labels(house, data, Content_Type="application/octet-stream")
    assert len(found) == 4
    assert labels(house, data, Content_Type="image/png") == found
    assert labels(house, data, Content_Type="application/json") == found  # as some clients say by default
    assert labels(house, {"inputs": encoded(data)}) == found
    assert labels(house, {"inputs": encoded(data), "parameters": {"top_k": None, "other": 1}}) == found
    assert labels(house, {"inputs": {"image": encoded(data)}}) == found
    assert labels(house, {"image": encoded(data)}) == found
    assert labels(house, {"inputs": f"data:image/png;base64,{encoded(data)}"}) == found
    multipart = "multipart/form-data; boundary=XX"
    assert labels(house, form({"file": data}), Content_Type=multipart) == found
    assert labels(house, form({"inputs": data, "top_k": b"2"}), Content_Type=multipart) == found[:2]
    assert labels(house, {"inputs": encoded(data), "parameters": {"top_k": 2}}) == found[:2]


def test_a_request_without_a_content_type_is_an_image_all_the_same(house):
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(house.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("POST", PATH, picture(1), {"Authorization": f"Bearer {house.token}"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.getheader("content-type") == "application/json"
    assert len(json.loads(response.read())) == 4


def test_an_image_is_one_in_the_ledger(house):
    ask(house, picture(2))
    row = ledger(house.data_dir)[-1]
    assert (row["images"], row["prompt_tokens"], row["generated_tokens"]) == (1, 0, 0)


@pytest.mark.parametrize("wrap", [bytes, lambda data: {"inputs": encoded(data)}, lambda data: form({"file": data})])
def test_a_large_image_goes_by_file_and_leaves_nothing_behind(house, wrap):
    data = large(3)
    body = wrap(data)
    kind = (
        "multipart/form-data; boundary=XX"
        if body and not isinstance(body, dict) and body[:4] == b"--XX"
        else "image/bmp"
    )
    assert labels(house, body, Content_Type=kind) == labels(house, picture(3, (1200, 900)))
    assert (house.uploads.stat().st_mode & 0o777) == 0o700
    assert is_left_empty(house.uploads)


def test_a_large_upload_with_a_key_is_answered_once(house):
    first = ask(house, large(5), Idempotency_Key="k1")
    again = ask(house, large(5), Idempotency_Key="k1")
    assert (first[0], again[0]) == (200, 200)
    assert again[1]["idempotent-replayed"] == "true"
    assert again[2] == first[2]
    assert ask(house, large(6), Idempotency_Key="k1")[0] == 422


def test_a_large_image_is_found_in_the_cache_again(house):
    first = ask(house, large(4), x_use_cache="1")
    again = ask(house, {"inputs": encoded(large(4))}, x_use_cache="1")
    assert first[2] == again[2]
    assert again[1]["x-compute-type"] == "cache"


def test_many_large_images_at_once_are_answered_or_refused_within_the_bound(house):
    """At most 24 MB of uploads: each of these has 3.2 MB, so some of twelve wait for a better day."""
    server = psutil.Process(house.process.pid)
    before = server.memory_info().rss
    found, peak = [], [0]

    def one(seed: int) -> None:
        found.append(ask(house, large(seed))[0])

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak[0] = max(peak[0], server.memory_info().rss)
        time.sleep(0.01)
    assert set(found) <= {200, 429}
    assert found.count(200) >= 4
    assert peak[0] - before < 24_000_000
    assert is_left_empty(house.uploads)
    assert ask(house, picture(1))[0] == 200


def bomb(width: int, height: int) -> bytes:
    """A PNG whose head speaks of so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def animation(frames: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    pictures = [Image.new("P", (64, 64), at % 256) for at in range(frames)]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:])
    return out.getvalue()


BAD = {
    "nothing": (b"", 422, "`inputs` is empty"),
    "no image": ({"inputs": ""}, 422, "`inputs` is empty"),
    "null": ({"inputs": None}, 422, "no image"),
    "text": (b"Hello, what a nice day", 422, "`inputs` is not an image"),
    "text in JSON": ({"inputs": "Hello, what a nice day"}, 422, "`inputs` is not a file in base64"),
    "text in base64": ({"inputs": encoded(b"Hello, what a nice day")}, 422, "`inputs` is not an image"),
    "a list": ({"inputs": [1, 2]}, 422, "`inputs` must be an image"),
    "no base64": ({"inputs": "data:image/png,abc"}, 422, "`inputs`: a data URI"),
    "a URL": ({"inputs": "http://127.0.0.1/cat.png"}, 422, "does not fetch from '127.0.0.1'"),
    "a URL as the body": (b"https://example.org/cat.png", 422, "does not fetch from 'example.org'"),
    "an allowed host inside": ({"inputs": "http://localhost/cat.png"}, 422, "`inputs`: the file at this URL is not at"),
    "a file": ({"inputs": "file:///etc/passwd"}, 422, "is not a file in base64"),
    "cut off": (picture(1, (400, 400))[:500], 422, "`inputs` is not an image that can be read"),
    "cut off JPEG": (picture(1, (400, 400), "JPEG")[:900], 422, "`inputs` is not an image that can be read"),
    "too many pixels": (bomb(100_000, 100_000), 422, "pixels"),
    "many pixels": (bomb(8000, 8000), 422, "`inputs` has 8000 x 8000 pixels"),
    "a line": (picture(1, (4000, 4)), 422, "less of a line"),
    "sound": (b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64), 422, "`inputs` is not an image"),
    "an SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", 422, "`inputs` is not an image"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", 422, "`inputs` is not an image"),
    "top_k zero": ({"inputs": encoded(picture(1)), "parameters": {"top_k": 0}}, 422, "`top_k` must be between"),
    "top_k text": ({"inputs": encoded(picture(1)), "parameters": {"top_k": "x"}}, 422, "parameters.top_k"),
    "function": (
        {"inputs": encoded(picture(1)), "parameters": {"function_to_apply": "tanh"}},
        422,
        "`function_to_apply` must be one of",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_refused_by_name_and_the_worker_goes_on(house, name):
    body, status, words = BAD[name]
    workers = house.children()
    began = time.monotonic()
    found = ask(house, body, Content_Type="image/png" if isinstance(body, bytes) else "application/json")
    assert found[0] == status, found
    assert found[2]["error_type"] == "validation"
    assert words in found[2]["error"]
    assert time.monotonic() - began < 10
    assert house.children() == workers
    assert ask(house, picture(1))[0] == 200


def test_a_gzip_bomb_is_not_unpacked(house):
    bomb = gzip.compress(bytes(5_000_000))
    assert ask(house, bomb, Content_Encoding="gzip", Content_Type="image/png")[0] == 415
    assert ask(house, bomb, Content_Type="image/png")[0] == 422
    assert ask(house, {"inputs": encoded(bomb)})[0] == 422


def test_a_body_over_the_bound_is_refused_however_it_comes(house):
    for body in (bytes(9_000_000), {"inputs": "A" * 9_000_000}):
        status, _, found = ask(house, body)
        assert (status, found["error_type"]) == (413, "too_large")
    assert is_left_empty(house.uploads)


def test_of_an_animation_the_first_frame_counts(house):
    assert labels(house, animation(300)) == labels(house, animation(1))
