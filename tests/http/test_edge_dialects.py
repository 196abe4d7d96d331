"""The routes of Anthropic, Ollama and text-generation-inference through the whole edge."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from pronto.core.request import ChatPrompt, InfillPrompt, TextGeneration
from tests.http.edge_scene import AUTH, TOKEN, Source, build

TURN = [{"role": "user", "content": "Hi"}]
MESSAGE = {"model": "m", "max_tokens": 5, "messages": TURN}
KEY = {"x-api-key": TOKEN}
TOKENS = [{"id": 7, "text": "é", "start": 0, "stop": 2}, {"id": 8, "text": "!", "start": 2, "stop": 3}]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def client(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build(source)[0])  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://server:8080") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v1/messages", "m"), ("/anthropic/v1/messages", "m"), ("/models/org/name/v1/messages", "org/name")],
)
async def test_a_message(client: httpx.AsyncClient, source: Source, path: str, model: str) -> None:
    answer = await client.post(path, json=MESSAGE, headers=KEY)
    assert answer.status_code == 200
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert answer.json()["content"] == [{"type": "text", "text": " one two\u2028 three"}]
    assert (source.asked[0].model, answer.json()["model"]) == (model, model)


async def test_a_message_with_a_tool_in_a_stream(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/messages", json=MESSAGE | {"model": "calls", "stream": True}, headers=AUTH)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text.startswith("event: message_start\ndata: ")
    deltas = [json.loads(line[6:])["delta"] for line in answer.text.split("\n") if '"content_block_delta"' in line]
    assert [delta["type"] for delta in deltas] == [
        "thinking_delta",
        "text_delta",
        "input_json_delta",
        "input_json_delta",
    ]
    assert answer.text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')


async def test_a_count_of_tokens(client: httpx.AsyncClient) -> None:
    for path in ("/v1/messages/count_tokens", "/models/m/v1/messages/count_tokens"):
        answer = await client.post(path, json={"model": "m", "messages": TURN}, headers=KEY)
        assert answer.json() == {"input_tokens": 2}


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (MESSAGE, {}, 401, "authentication_error"),
        (MESSAGE, {"x-api-key": "wrong"}, 401, "authentication_error"),
        (MESSAGE | {"max_tokens": 0}, KEY, 400, "invalid_request_error"),
        (MESSAGE | {"model": "overloaded"}, KEY, 529, "overloaded_error"),
        (MESSAGE | {"model": "overloaded", "stream": True}, KEY, 529, "overloaded_error"),
        (MESSAGE | {"model": "fails-late"}, KEY, 500, "api_error"),
        (MESSAGE | {"model": "breaks"}, KEY, 500, "api_error"),
    ],
)
async def test_refusals_of_messages(
    client: httpx.AsyncClient, body: dict[str, object], headers: dict[str, str], status: int, kind: str
) -> None:
    answer = await client.post("/v1/messages", json=body, headers=headers)
    assert answer.status_code == status
    shown = answer.json()
    assert (shown["type"], shown["error"]["type"]) == ("error", kind)
    assert shown["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_an_api_key_counts_on_no_other_route(client: httpx.AsyncClient) -> None:
    for path in ("/models/gpt2", "/api/generate", "/tokenize"):
        answer = await client.post(path, json={"inputs": "a"}, headers=KEY)
        assert answer.status_code == 401


async def test_a_failure_in_a_stream_of_messages(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/messages", json=MESSAGE | {"model": "fails-late", "stream": True}, headers=KEY)
    assert answer.status_code == 200
    last = answer.text.strip().split("\n\n")[-1]
    assert last.startswith('event: error\ndata: {"type":"error","error":{"type":"api_error","message":"the engine')


async def test_ollama_streams_by_default(client: httpx.AsyncClient, source: Source) -> None:
    answer = await client.post("/api/generate", json={"model": "m:latest", "prompt": "Hi"}, headers=AUTH)
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.split("\n") if line]
    assert [line["response"] for line in lines] == [" one", " two\u2028", " three", ""]
    assert (lines[-1]["done"], lines[-1]["done_reason"], lines[-1]["eval_count"]) == (True, "length", 3)
    assert (source.asked[0].model, lines[0]["model"]) == ("m", "m:latest")


async def test_ollama_whole_answers(client: httpx.AsyncClient) -> None:
    body = {"model": "calls", "messages": TURN, "stream": False}
    answer = await client.post("/api/chat", json=body, headers=AUTH)
    assert answer.headers["content-type"] == "application/json"
    message = answer.json()["message"]
    assert (message["content"], message["thinking"]) == ("Let me see.", "hm")
    assert message["tool_calls"][0]["function"] == {"index": 0, "name": "weather", "arguments": {"city": "Bonn"}}


async def test_ollama_loads(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/generate", json={"model": "m"}, headers=AUTH)
    assert (answer.json()["done"], answer.json()["done_reason"]) == (True, "load")


async def test_ollama_failures(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/generate", json={"model": "m", "prompt": 1}, headers=AUTH)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    answer = await client.post("/api/generate", json={"model": "fails-late", "prompt": "a"}, headers=AUTH)
    assert json.loads(answer.text.strip().split("\n")[-1]) == {"error": "the engine has died"}


async def test_pages_of_ollama(client: httpx.AsyncClient) -> None:
    tags = (await client.get("/api/tags")).json()["models"]
    assert [(tag["name"], tag["details"]["parameter_size"]) for tag in tags] == [("tiny", "1M")]
    assert [tag["name"] for tag in (await client.get("/api/ps")).json()["models"]] == ["tiny"]
    assert (await client.get("/api/version")).json()["version"]
    shown = (await client.post("/api/show", json={"model": "tiny:latest"})).json()
    assert shown["capabilities"] == ["completion"]
    chatty = (await client.post("/api/show", json={"model": "org/tiny-chat"})).json()
    assert chatty["capabilities"] == ["completion", "tools"]
    assert shown["model_info"]["pronto.context_length"] == 64


@pytest.mark.parametrize(
    ("content", "status"), [(b"{}", 400), (b"no", 400), (b'{"name":"no-such"}', 404), (b" " * 20_000, 413)]
)
async def test_refusals_of_show(client: httpx.AsyncClient, content: bytes, status: int) -> None:
    answer = await client.post("/api/show", content=content)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("POST", 404)])
@pytest.mark.parametrize("prefix", ["", "/anthropic", "/models/org/name", "/models/gpt2"])
async def test_errors_beneath_messages_are_anthropics(
    client: httpx.AsyncClient, prefix: str, method: str, status: int
) -> None:
    path = f"{prefix}/v1/messages" if method == "GET" else f"{prefix}/v1/messages/nothing"
    answer = await client.request(method, path)
    shown = answer.json()
    assert (answer.status_code, shown["type"]) == (status, "error")
    assert shown["error"]["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    assert path in shown["error"]["message"]
    assert shown["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_errors_of_lists_of_models_are_those_of_who_asks(client: httpx.AsyncClient) -> None:
    theirs = await client.get("/v1/models/no-such", headers={"anthropic-version": "2023-06-01"})
    assert (theirs.status_code, theirs.json()["error"]["type"]) == (404, "not_found_error")
    ours = await client.get("/v1/models/no-such")
    assert (ours.status_code, ours.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/chat", 405), ("POST", "/api/tags", 405), ("POST", "/api/pull", 404), ("POST", "/api/chat/x", 404)],
)
async def test_errors_beneath_ollamas_paths_are_ollamas(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.json().keys() == {"error"}
    assert path in answer.json()["error"]


async def test_tokens_of_a_prompt(client: httpx.AsyncClient) -> None:
    for path in ("/tokenize", "/models/org/name/tokenize"):
        answer = await client.post(path, json={"inputs": "é!"}, headers=AUTH)
        assert answer.json() == TOKENS
    answer = await client.post("/tokenize", json={"inputs": ""}, headers=AUTH)
    assert (answer.status_code, answer.json()["error"]) == (422, "Input validation error: `inputs` cannot be empty")


async def test_tokens_of_a_conversation(client: httpx.AsyncClient, source: Source) -> None:
    for path in ("/chat_tokenize", "/models/org/name/chat_tokenize"):
        answer = await client.post(path, json={"model": "tgi", "messages": TURN}, headers=AUTH)
        assert answer.json() == {"tokenize_response": TOKENS, "templated_text": "é!"}
    assert isinstance(source.asked[0].work.prompt, ChatPrompt)  # type: ignore[union-attr]  # both works have one


async def test_invocations_answer_as_the_root(client: httpx.AsyncClient) -> None:
    for path in ("/", "/invocations", "/models/tiny/invocations"):
        answer = await client.post(path, json={"inputs": "Hello"}, headers=AUTH)
        assert answer.json() == [{"generated_text": "Hello one two\u2028 three"}]


async def test_a_suffix(client: httpx.AsyncClient, source: Source) -> None:
    body = {"inputs": "a", "parameters": {"suffix": "b"}}
    await client.post("/models/gpt2", json=body, headers=AUTH)
    work = source.asked[0].work
    assert isinstance(work, TextGeneration)
    assert work.prompt == InfillPrompt(prefix="a", suffix="b")


async def test_several_prompts(client: httpx.AsyncClient) -> None:
    for path in ("/models/gpt2", "/"):
        answer = await client.post(path, json={"inputs": ["A", "B"]}, headers=AUTH)
        assert answer.json() == [{"generated_text": f"{prompt} one two\u2028 three"} for prompt in "AB"]
        assert answer.headers["x-generated-tokens"] == "6"
