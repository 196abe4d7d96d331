"""`/v1/responses` through the real application: gone on from, fetched, deleted, and nobody else's."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from pronto.core.request import ChatPrompt, TextGeneration
from tests.http.edge_scene import AUTH, OTHER_TOKEN, Source, build

OTHER = {"authorization": f"Bearer {OTHER_TOKEN}"}
ASK = {"model": "m", "input": "Hello"}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def client(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build(source)[0])  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://server:8080", headers=AUTH) as client:
        yield client


async def test_a_response_is_kept_until_it_is_deleted(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/responses", json=ASK)).json()
    path = f"/v1/responses/{made['id']}"
    assert (await client.get(path)).json() == made
    for method in ("GET", "DELETE"):
        other = await client.request(method, path, headers=OTHER)
        assert (other.status_code, other.json()["error"]["code"]) == (404, "not_found")
    assert (await client.delete(path)).json() == {"id": made["id"], "object": "response", "deleted": True}
    assert (await client.get(path)).status_code == 404
    assert (await client.get(path, headers={"authorization": ""})).status_code == 401


async def test_a_conversation_goes_on(client: httpx.AsyncClient, source: Source) -> None:
    first = (await client.post("/v1/responses", json=ASK)).json()
    again = ASK | {"input": "And?", "previous_response_id": first["id"]}
    second = await client.post("/v1/responses", json=again)
    assert second.json()["previous_response_id"] == first["id"]
    asked = source.asked[-1].work
    assert isinstance(asked, TextGeneration)
    assert isinstance(asked.prompt, ChatPrompt)
    assert [message.role for message in asked.prompt.messages] == ["user", "assistant", "user"]
    others = await client.post("/v1/responses", json=again, headers=OTHER)
    assert (others.status_code, others.json()["error"]["code"]) == (404, "not_found")


async def test_a_stream_is_kept_too(client: httpx.AsyncClient) -> None:
    answer = await client.post("/models/gpt2/v1/responses", json=ASK | {"stream": True})
    frames = [json.loads(part.split("\ndata: ")[1]) for part in answer.text.split("\n\n") if part]
    final = frames[-1]["response"]
    assert (frames[0]["type"], final["model"]) == ("response.created", "gpt2")
    assert (await client.get(f"/v1/responses/{final['id']}")).json() == final


async def test_nothing_is_kept_when_it_shall_not_be(client: httpx.AsyncClient) -> None:
    made = (await client.post("/v1/responses", json=ASK | {"store": False})).json()
    assert made["store"] is False
    assert (await client.get(f"/v1/responses/{made['id']}")).status_code == 404


async def test_failures(client: httpx.AsyncClient) -> None:
    late = await client.post("/v1/responses", json=ASK | {"model": "fails-late", "stream": True})
    assert late.text.rstrip().split("\n\n")[-1].startswith("event: error\n")
    early = await client.post("/v1/responses", json=ASK | {"previous_response_id": "resp_none"})
    assert (early.status_code, early.json()["error"]["code"]) == (404, "not_found")
    method = await client.put("/v1/responses/resp_none")
    assert method.headers["allow"] == "GET, DELETE, HEAD, OPTIONS"
