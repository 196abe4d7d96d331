"""The edge over the real line: gateway, fleet, worker processes with the echo engine, ledger, cache."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import uvicorn

from pronto.app import App, open_app
from pronto.edge.guard import server_config
from pronto.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

CATALOG = """
default = "echo"
[[models]]
id = "echo"
engine = "echo"
preload = true
[[models]]
id = "acme/fail-mid"
engine = "echo"
[[models]]
id = "acme/slow-2s"
engine = "echo"
[[models]]
id = "single/slow-2s"
engine = "echo"
slots = 1
"""


class House:
    def __init__(self, app: App, client: httpx.AsyncClient) -> None:
        self.app, self.client = app, client

    async def post(self, path: str, body: dict[str, object], **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, json=body, headers={"x-wait-for-model": "1"} | named)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    data_dir: Path = tmp_path_factory.mktemp("house")
    (data_dir / "catalog.toml").write_text(CATALOG)
    settings = Settings(data_dir=data_dir, allow_anonymous=True, log_requests="none", drain_timeout=5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with open_app(settings) as app:
            server = uvicorn.Server(server_config(app.http, settings))
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the runner keeps its own
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                yield House(app, client)
            server.should_exit = True
            await serving


def frames(text: str) -> list[dict[str, object]]:
    return [json.loads(part.removeprefix("data: ")) for part in text.split("\n\n") if part.startswith("data: ")]


async def test_an_answer_and_its_kept_copy(house: House) -> None:
    body = {"inputs": "Hello", "parameters": {"max_new_tokens": 4, "details": True}}
    made = await house.post("/models/echo", body)
    kept = await house.post("/models/echo", body)
    assert made.status_code == kept.status_code == 200
    assert made.content == kept.content
    assert made.json()[0]["generated_text"] == "HelloHell"
    assert made.headers["x-compute-type"] == "cpu"
    assert made.headers["x-generated-tokens"] == "4"
    assert kept.headers["x-compute-type"] == "cache"
    assert int(kept.headers["age"]) < 10
    assert kept.headers["x-compute-time"] == made.headers["x-compute-time"]
    assert (await house.post("/models/echo", body, x_use_cache="0")).headers["x-compute-type"] == "cpu"


async def test_who_waited_is_told_his_place_and_a_kept_copy_tells_none(house: House) -> None:
    first, second = ({"inputs": word, "parameters": {"max_new_tokens": 2}} for word in ("one", "two"))
    await house.post("/models/single/slow-2s", {"inputs": "x", "parameters": {"max_new_tokens": 1}})  # loads it
    running = asyncio.create_task(house.post("/models/single/slow-2s", first))
    await asyncio.sleep(0.3)
    waited = await house.post("/models/single/slow-2s", second)
    kept = await house.post("/models/single/slow-2s", second)
    assert "x-queue-position" not in (await running).headers
    assert waited.headers["x-queue-position"] == "1"
    assert int(waited.headers["x-queue-time"]) > 500
    assert kept.headers["x-compute-type"] == "cache"
    assert "x-queue-position" not in kept.headers


async def test_the_last_token_of_a_stream_has_the_whole_text(house: House) -> None:
    body = {"inputs": "Hello", "parameters": {"max_new_tokens": 3, "details": True}}
    for compute in ("cpu", "cache"):
        answer = await house.post("/generate_stream", body)
        assert answer.headers["x-compute-type"] == compute
        shown = frames(answer.text)
        assert [frame["generated_text"] for frame in shown] == [None, None, "Hel"]
        assert shown[-1]["details"] == {
            "finish_reason": "length",
            "generated_tokens": 3,
            "seed": None,
            "input_length": 5,
        }


async def test_a_stop_string_is_kept_and_named(house: House) -> None:
    body = {"inputs": "Hello", "parameters": {"stop": ["ll"], "details": True}}
    shown = (await house.post("/generate", body)).json()
    assert shown["generated_text"] == "Hell"
    assert shown["details"]["finish_reason"] == "stop_sequence"
    last = frames((await house.post("/generate_stream", body)).text)[-1]
    assert last["generated_text"] == "Hell"


async def test_what_is_left_out_is_told(house: House) -> None:
    answer = await house.post("/models/echo", {"inputs": "Hello", "parameters": {"typical_p": 0.9}})
    assert "`typical_p` is left out" in answer.headers["x-hf-warning"]
    refused = await house.post("/models/echo", {"inputs": "Hello", "parameters": {"watermark": True}})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "validation")


async def test_failures(house: House) -> None:
    whole = await house.post("/models/acme/fail-mid", {"inputs": "Hello"})
    assert (whole.status_code, whole.json()["error_type"]) == (424, "generation")
    stream = await house.post("/models/acme/fail-mid", {"inputs": "Hello", "stream": True})
    assert stream.status_code == 200
    assert frames(stream.text)[-1]["error_type"] == "generation"
    missing = await house.post("/models/acme/none", {"inputs": "Hello"})
    assert missing.json() == {"error": "Model acme/none does not exist", "error_type": "model_not_found"}
    loading = await house.post("/models/acme/slow-2s", {"inputs": "Hello"}, x_wait_for_model="0")
    assert loading.status_code == 503
    assert loading.json()["estimated_time"] > 0


async def test_a_client_that_leaves_frees_its_place(house: House) -> None:
    body = {"inputs": "Hello", "parameters": {"max_new_tokens": 1000}, "stream": True}
    async with house.client.stream(
        "POST", "/models/acme/slow-2s", json=body, headers={"x-wait-for-model": "1"}
    ) as answer:
        await anext(answer.aiter_bytes())
        assert house.app.gateway.limits.in_work == 1
    deadline = asyncio.get_running_loop().time() + 10
    while house.app.gateway.limits.in_work:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_descriptions(house: House) -> None:
    assert (await house.client.get("/health")).status_code == 200
    assert (await house.client.get("/health/ready")).status_code == 200
    assert (await house.client.get("/info")).json()["model_id"] == "echo"
    listed = (await house.client.get("/models")).json()
    assert {"echo", "acme/fail-mid", "acme/slow-2s"} <= {model["id"] for model in listed}
