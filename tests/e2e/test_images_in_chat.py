"""Images in conversations, in every dialect that has them, with a tiny Qwen2-VL behind a real server."""

import base64
import json

import pytest

from tests.e2e.http import frames, ledger, post
from tests.e2e.seeing_house import BLIND, is_left_empty
from tests.e2e.seeing_house import CHAT as MODEL
from tests.tiny_vision import picture

BOUNDS = {"max_tokens": 6, "temperature": 0}


pytestmark = pytest.mark.timeout(400)  # the first of them builds and loads two models with torch


@pytest.fixture
def house(seeing):
    return seeing


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def uri(seed: int, size=(48, 40), format: str = "PNG") -> str:
    return f"data:image/png;base64,{encoded(picture(seed, size, format))}"


def messages(*parts: str) -> list[dict]:
    """Parts that begin with `data:` or `http` are images."""
    content = [
        {"type": "image_url", "image_url": {"url": part}}
        if part.startswith(("data:", "http"))
        else {"type": "text", "text": part}
        for part in parts
    ]
    return [{"role": "user", "content": content}]


def chat(house, asked: list[dict], path: str = "/v1/chat/completions", **more):
    status, _, text = post(house.url, path, {"model": MODEL, "messages": asked} | BOUNDS | more, house.token)
    return status, json.loads(text)


def said(house, *parts: str, **more) -> str:
    status, answer = chat(house, messages(*parts), **more)
    assert status == 200, answer
    return answer["choices"][0]["message"]["content"]


def test_the_answer_hangs_on_the_image_and_on_its_place(house):
    first, other = said(house, uri(1), "what is this?"), said(house, uri(2), "what is this?")
    assert first
    assert first != other
    assert said(house, "what is", uri(1), " this?") != first
    assert said(house, "what is this?") != first


def test_the_same_answer_under_every_address_and_in_every_dialect(house):
    expected = said(house, uri(1), "what is this?")
    asked = messages(uri(1), "what is this?")
    for path in (f"/models/{MODEL}/v1/chat/completions", f"/models/{MODEL}"):
        status, answer = chat(house, asked, path)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, expected)
    image = encoded(picture(1))
    parameters = {"max_new_tokens": 6}
    for body in ({"inputs": {"text": "what is this?", "image": image}}, {"inputs": "what is this?", "image": image}):
        status, _, text = post(house.url, f"/models/{MODEL}", body | {"parameters": parameters}, house.token)
        assert (status, json.loads(text)) == (200, [{"generated_text": expected}])
    source = {"type": "base64", "media_type": "image/png", "data": image}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "what is this?"}]
    body = {"model": MODEL, "messages": [{"role": "user", "content": blocks}]} | BOUNDS
    status, _, text = post(house.url, "/v1/messages", body, house.token, anthropic_version="2023-06-01")
    assert status == 200, text
    # Anthropic's turns put a line end between a block of text and what comes before it, an image included.
    assert json.loads(text)["content"][0]["text"]
    options = {"num_predict": 6, "temperature": 0}
    asked = [{"role": "user", "content": "what is this?", "images": [image]}]
    body = {"model": MODEL, "messages": asked, "stream": False, "options": options}
    status, _, text = post(house.url, "/api/chat", body, house.token)
    assert (status, json.loads(text)["message"]["content"]) == (200, expected)
    body = {"model": MODEL, "prompt": "what is this?", "images": [image], "stream": False, "options": options}
    status, _, text = post(house.url, "/api/generate", body, house.token)
    assert (status, json.loads(text)["response"]) == (200, expected)


def test_tokens_stream_as_those_of_text_do(house):
    body = {
        "model": MODEL,
        "messages": messages(uri(3), "hm?"),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    status, headers, text = post(house.url, "/v1/chat/completions", body | BOUNDS, house.token)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert text.rstrip().endswith("data: [DONE]")
    events = frames(text.replace("data: [DONE]", ""))
    pieces = [each["choices"][0]["delta"].get("content") for each in events if each["choices"]]
    assert "".join(piece or "" for piece in pieces) == said(house, uri(3), "hm?")
    assert len(pieces) >= 6
    assert events[-1]["usage"]["completion_tokens"] == 6


def test_images_and_tokens_are_in_the_ledger(house):
    said(house, uri(4), uri(5), "and now?", max_tokens=5)
    row = ledger(house.data_dir)[-1]
    assert (row["images"], row["generated_tokens"]) == (2, 5)
    assert row["prompt_tokens"] > 30


def test_a_large_image_goes_by_file(house):
    large = uri(6, (1100, 900), "BMP")
    assert len(large) > 3_500_000
    assert said(house, large, "what?") == said(house, uri(6, (1100, 900)), "what?")
    assert is_left_empty(house.uploads)


def test_a_long_text_is_refused_though_a_large_image_is_not(house):
    status, answer = chat(house, messages("a" * 2_500_000))
    assert (status, answer["error"]["type"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (("http://localhost/a.png", "hm?"), "not at a public address"),
        (("https://example.org/a.png", "hm?"), "does not fetch from"),
        (("data:image/png;base64,AAAA", "hm?"), "is not an image"),
        (("data:image/png;base64,", "hm?"), "is empty"),
        (("data:image/png,abc", "hm?"), "base64"),
        ((uri(1)[:200], "hm?"), "base64|not an image"),
        ((*[uri(1)] * 40, "hm?"), "At most 32 files"),
    ],
)
def test_a_bad_image_is_refused_with_400_and_the_worker_goes_on(house, parts, words):
    import re

    workers = house.children()
    status, answer = chat(house, messages(*parts))
    assert status == 400, answer
    assert answer["error"]["param"] == "messages"
    assert re.search(words, answer["error"]["message"])
    assert house.children() == workers
    assert said(house, uri(1), "what is this?")


def test_a_model_of_text_says_that_it_sees_nothing(house):
    status, answer = chat(house, messages(uri(1), "hm?"), model=BLIND)
    assert status == 400
    assert "takes text only" in answer["error"]["message"]


def test_what_the_engine_cannot_do_is_refused_by_name(house):
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    for name, more in (
        ("tool_choice", {"tools": [tool], "tool_choice": "required"}),
        ("response_format", {"response_format": {"type": "json_object"}}),
    ):
        status, answer = chat(house, messages(uri(1), "hm?"), **more)
        assert (status, answer["error"]["param"]) == (400, name), answer


def test_an_image_outside_of_a_users_message_is_refused(house):
    asked = [*messages(uri(1), "hm?"), {"role": "assistant", "content": messages(uri(2))[0]["content"]}]
    status, _ = chat(house, [*asked, {"role": "user", "content": "and?"}])
    assert status == 400
