"""OpenAI's routes through the real application: aliases, junk in `model`, shapes of errors, several prompts, models."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.edge_scene import AUTH, Source, build

CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
PROMPT = {"prompt": "Hello"}
HUB = {"user-agent": "unknown/None; hf_hub/0.24.7"}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def client(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    app, _ = build(source, max_client_batch_size=3)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://server:8080", headers=AUTH) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/chat/completions", "mine"),
        ("http://server:8080//v1/chat/completions", "mine"),
        ("/v1/v1/chat/completions", "mine"),
        ("/hf-inference/v1/chat/completions", "mine"),
        ("/models/org/name/v1/chat/completions", "org/name"),
        ("/models/gpt2/v1/v1/chat/completions", "gpt2"),
        ("/hf-inference/models/org/name/v1/chat/completions", "org/name"),
        ("/models/org/name", "org/name"),
        ("/hf-inference/models/gpt2", "gpt2"),
        ("/", "tiny"),
    ],
)
async def test_conversations(client: httpx.AsyncClient, source: Source, path: str, model: str) -> None:
    answer = await client.post(path, json=CHAT | {"model": "mine"})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["choices"][0]["message"]["content"] == " one two\u2028 three"
    assert shown["id"] == f"chatcmpl-{answer.headers['x-request-id']}"
    if path != "/":
        assert (shown["model"], source.asked[0].model) == (model, model)
    assert answer.headers["x-generated-tokens"] == "3"
    assert answer.headers["content-type"] == "application/json"


async def test_completions(client: httpx.AsyncClient, source: Source) -> None:
    answer = await client.post("/models/gpt2/v1/completions", json=PROMPT)
    assert answer.json()["choices"][0]["text"] == " one two\u2028 three"
    several = await client.post("/v1/completions", json={"prompt": ["a", "b", "c"], "model": "m"})
    assert [choice["index"] for choice in several.json()["choices"]] == [0, 1, 2]
    assert several.json()["usage"] == {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    assert len(source.asked) == 4
    too_many = await client.post("/v1/completions", json={"prompt": ["a"] * 4})
    assert too_many.status_code == 400
    assert "up to 3 prompts" in too_many.json()["error"]["message"]


async def test_a_stream(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/completions", json={"prompt": ["a", "b"], "model": "m", "stream": True})
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text.endswith("data: [DONE]\n\n")
    frames = [json.loads(part[6:]) for part in answer.text.split("\n\n") if part and "[DONE]" not in part]
    assert {frame["choices"][0]["index"] for frame in frames} == {0, 1}
    late = await client.post("/v1/chat/completions", json=CHAT | {"model": "fails-late", "stream": True})
    assert late.status_code == 200
    assert '"message":"Request failed during generation: the engine has died"' in late.text
    assert "[DONE]" not in late.text


@pytest.mark.parametrize("name", [None, "tgi", "dummy", "http://server:8080/v1"])
async def test_junk_means_the_default(client: httpx.AsyncClient, source: Source, name: str | None) -> None:
    await client.post("/v1/chat/completions", json=CHAT | {"model": name})
    assert source.asked[0].model == "tiny"


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/v1/chat/completions", {"model": "m", "messages": []}, 400, "validation"),
        ("/v1/chat/completions", CHAT | {"model": "overloaded"}, 503, "overloaded"),
        ("/v1/chat/completions", CHAT | {"model": "loading"}, 503, "loading"),
        ("/v1/completions", PROMPT | {"model": "breaks"}, 500, "internal"),
        ("/v1/completions", {"prompt": ["a", "b"], "model": "overloaded"}, 503, "overloaded"),
        ("/models/gpt2", {"messages": []}, 400, "validation"),
        ("/v1/nothing", {}, 404, "not_found"),
        ("/models/gpt2/v1/nothing", {}, 404, "not_found"),
        ("/v1/models", {}, 405, "method_not_allowed"),
    ],
)
async def test_errors(client: httpx.AsyncClient, path: str, body: object, status: int, kind: str) -> None:
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    old = await client.post(path, json=body, headers=HUB)
    assert isinstance(old.json()["error"], str)
    assert old.json()["error_type"] == kind


async def test_a_wrong_token(client: httpx.AsyncClient) -> None:
    wrong = {"authorization": "Bearer hf_wrong"}
    for answer in (
        await client.post("/v1/chat/completions", json=CHAT, headers=wrong),
        await client.get("/v1/models", headers=wrong),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication")


async def test_models(client: httpx.AsyncClient) -> None:
    tiny = {"id": "tiny", "object": "model", "created": 0, "owned_by": "pronto"}
    tiny |= {"context_length": 64, "max_model_len": 64}
    assert (await client.get("/v1/models")).json() == {"object": "list", "data": [tiny]}
    one = (await client.get("/v1/models/org%2Fname")).json()
    assert (one["id"], one["owned_by"]) == ("org/name", "org")
    assert (await client.get("/models/org/name/v1/models")).json()["data"] == [one]
    missing = await client.get("/v1/models/no-such")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


async def test_models_for_anthropics_clients(client: httpx.AsyncClient) -> None:
    headers = {"anthropic-version": "2023-06-01"}
    shown = (await client.get("/v1/models", headers=headers)).json()
    tiny = {"type": "model", "id": "tiny", "display_name": "tiny", "created_at": "1970-01-01T00:00:00Z"}
    assert shown == {"data": [tiny], "has_more": False, "first_id": "tiny", "last_id": "tiny"}
    assert (await client.get("/v1/models/tiny", headers=headers)).json() == tiny
