"""Answers of the edge to whole requests: bodies, headers, refusals, and who gets which shape."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from pronto.core.model import State
from pronto.edge.metrics import Metrics
from tests.http.edge_scene import AUTH, Source, build

PROMPT = {"inputs": "Hello"}


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def built(source: Source) -> tuple[object, Metrics]:
    return build(source, max_body_kb=4)


@pytest.fixture
async def client(built: tuple[object, Metrics]) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=built[0])  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://server:8080") as client:
        yield client


@pytest.mark.parametrize(
    "path",
    ["/models/org/name", "/models/gpt2", "/pipeline/text-generation/gpt2", "/hf-inference/models/gpt2", "/"],
)
async def test_a_list_on_the_routes_of_the_hub(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json=PROMPT, headers=AUTH)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [{"generated_text": "Hello one two\u2028 three"}]


async def test_an_object_on_generate(client: httpx.AsyncClient, source: Source) -> None:
    answer = await client.post("/models/org/name/generate", json=PROMPT, headers=AUTH)
    assert answer.json() == {"generated_text": " one two\u2028 three"}
    assert source.asked[0].model == "org/name"
    await client.post("/generate", json=PROMPT | {"model": "junk"}, headers=AUTH)
    assert source.asked[1].model == "tiny"


async def test_headers_of_an_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post("/models/gpt2", json=PROMPT | {"parameters": {"typical_p": 0.9}}, headers=AUTH)
    assert answer.headers["x-sha"] == "rev1"
    assert answer.headers["x-prompt-tokens"] == "3"
    assert answer.headers["x-generated-tokens"] == "3"
    assert answer.headers["x-total-time"] == "33"
    assert answer.headers["x-hf-warning"] == "parameters; `typical_p` is left out"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("sent", ["mine-123", "a" * 128])
async def test_a_sane_request_id_is_the_clients_own(client: httpx.AsyncClient, source: Source, sent: str) -> None:
    answer = await client.post("/models/gpt2", json=PROMPT, headers=AUTH | {"x-request-id": sent})
    assert answer.headers["x-request-id"] == sent
    assert source.asked[0].id == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", "é"])
async def test_any_other_request_id_is_replaced(client: httpx.AsyncClient, sent: str) -> None:
    headers = {**AUTH, "x-request-id": sent.encode("latin-1")}
    answer = await client.post("/models/gpt2", json=PROMPT, headers=headers)  # type: ignore[arg-type]  # bytes too
    assert len(answer.headers["x-request-id"]) == 24


async def test_request_ids_are_fresh(client: httpx.AsyncClient) -> None:
    ids = {(await client.get("/health")).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("path", "status", "error_type", "error"),
    [
        ("/models/no-such", 404, "model_not_found", "Model no-such does not exist"),
        ("/models/overloaded", 429, "overloaded", "Model is overloaded"),
        ("/models/loading", 503, "loading", "Model loading is currently loading"),
        ("/models/fails-late", 424, "generation", "Request failed during generation: the engine has died"),
        ("/models/stops-short", 500, "incomplete_generation", "Incomplete generation"),
        ("/nothing", 404, "not_found", "There is nothing at /nothing."),
        ("/health", 405, "method_not_allowed", "/health does not take POST. It takes GET."),
    ],
)
async def test_failures_keep_their_true_status(
    client: httpx.AsyncClient, path: str, status: int, error_type: str, error: str
) -> None:
    answer = await client.post(path, json=PROMPT, headers=AUTH)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-request-id"]
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["error_type"] == error_type
    assert answer.json()["error"].startswith(error)


async def test_a_refusal_before_a_stream_is_no_stream(client: httpx.AsyncClient) -> None:
    for path, status in (("/models/overloaded", 429), ("/models/loading", 503), ("/models/breaks", 500)):
        answer = await client.post(path, json=PROMPT | {"stream": True}, headers=AUTH)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
    answer = await client.post("/generate_stream", json={"inputs": ""}, headers=AUTH)
    assert answer.status_code == 422
    assert answer.json()["error"] == "Input validation error: `inputs` cannot be empty"


async def test_nothing_is_fetched_for_who_is_refused(client: httpx.AsyncClient) -> None:
    asked = {"inputs": "http://127.0.0.1/cat.png"}
    refused = await client.post("/models/overloaded/pipeline/image-classification", json=asked, headers=AUTH)
    assert refused.json()["error_type"] == "overloaded"
    asking = await client.post("/models/gpt2/pipeline/image-classification", json=asked, headers=AUTH)
    assert "does not fetch URLs" in asking.json()["error"]


async def test_facts_of_waiting_are_told(client: httpx.AsyncClient) -> None:
    loading = await client.post("/models/loading", json=PROMPT, headers=AUTH)
    assert (loading.json()["estimated_time"], loading.headers["retry-after"]) == (20.0, "20")
    busy = await client.post("/models/overloaded", json=PROMPT, headers=AUTH)
    assert busy.headers["retry-after"] == "3"
    missing = await client.delete("/models/gpt2")
    assert missing.headers["allow"] == "POST, GET, HEAD, OPTIONS"


async def test_an_unexpected_failure_tells_nothing_of_ours(client: httpx.AsyncClient) -> None:
    answer = await client.post("/models/breaks", json=PROMPT, headers=AUTH | {"x-request-id": "r-77"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "r-77" in answer.json()["error"]


async def test_who_one_is_comes_before_what_one_asks(client: httpx.AsyncClient, source: Source) -> None:
    for path in ("/models/gpt2", "/models/no-such", "/models/summarizer"):
        answer = await client.post(path, content=b"x" * 10_000)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error_type"] == "authentication"
    assert source.asked == []


async def test_the_shape_for_openai_clients(client: httpx.AsyncClient) -> None:
    for path in ("/models/overloaded", "/nothing"):
        answer = await client.post(path, json=PROMPT, headers=AUTH | {"user-agent": "OpenAI/Python 3.54.0"})
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_an_impatient_client_is_made_to_wait(client: httpx.AsyncClient, source: Source) -> None:
    headers = AUTH | {"user-agent": "@huggingface/inference/4.13.30"}
    answer = await client.post("/models/loading", json=PROMPT, headers=headers)
    assert answer.status_code == 429
    assert source.asked[0].options.wait_for_model


@pytest.mark.parametrize("size", [4001, 100_000])
@pytest.mark.parametrize("is_chunked", [True, False])
async def test_large_bodies(client: httpx.AsyncClient, size: int, is_chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // 1000 + 1):
            yield b" " * 1000

    content = pieces() if is_chunked else b" " * size
    answer = await client.post("/models/gpt2", content=content, headers=AUTH)
    assert answer.status_code == 413
    assert answer.json()["error_type"] == "too_large"


async def test_a_body_at_the_bound_is_taken(client: httpx.AsyncClient) -> None:
    body = json.dumps(PROMPT).encode().ljust(4000)
    assert (await client.post("/models/gpt2", content=body, headers=AUTH)).status_code == 200


async def test_compressed_bodies_are_not_taken(client: httpx.AsyncClient) -> None:
    answer = await client.post("/models/gpt2", content=b"x", headers=AUTH | {"content-encoding": "gzip"})
    assert answer.status_code == 415
    assert "Content-Encoding" in answer.json()["error"]


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "", "[::1", "a:b", "a:123456", "é"])
async def test_a_malformed_host(client: httpx.AsyncClient, host: str) -> None:
    headers = {"host": host.encode("latin-1")}
    answer = await client.get("/health", headers=headers)  # type: ignore[arg-type]  # bytes too
    assert answer.status_code == 400


async def test_two_hosts_are_refused_also_when_one_is_known(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health", headers={"host": "known"})).status_code == 200
    for hosts in (("other", "known"), ("known", "known")):
        twice = [("host", host) for host in hosts]
        assert (await client.get("/health", headers=twice)).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "a-b.example:8080", "127.0.0.1:80", "[::1]:8080", "[::1]"])
async def test_a_good_host(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/health", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("path", ["/models/gpt2", "/anything/at/all", "/v1/chat/completions"])
async def test_a_preflight_is_answered_for_any_path(client: httpx.AsyncClient, path: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-use-cache"}
    answer = await client.options(path, headers={"origin": "https://a.example"} | asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization,x-use-cache"


async def test_health_and_readiness(client: httpx.AsyncClient, source: Source, built: tuple[object, Metrics]) -> None:
    for path in ("/", "/health", "/ping", "/health/ready", "/models/gpt2/health"):
        answer = await client.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
    built[0].health.is_ready = False  # type: ignore[attr-defined]  # an Application
    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health")).status_code == 200
    source.models.state = State.FAILED
    answer = await client.get("/health")
    assert (answer.status_code, answer.json()) == (503, {"error": "unhealthy", "error_type": "healthcheck"})
    assert (await client.get("/models/gpt2/health")).status_code == 503
    assert (await client.get("/models/no-such/health")).status_code == 404


async def test_a_draining_gateway_is_not_ready(client: httpx.AsyncClient, source: Source) -> None:
    source.is_accepting = False
    assert (await client.get("/health/ready")).status_code == 503
    answer = await client.post("/models/gpt2", json=PROMPT, headers=AUTH)
    assert (answer.status_code, answer.json()["error_type"]) == (503, "draining")


async def test_descriptions_of_models(client: httpx.AsyncClient) -> None:
    (listed,) = (await client.get("/models")).json()
    assert listed.items() >= {"id": "tiny", "task": "text-generation", "state": "loaded", "context": 64}.items()
    assert (await client.get("/models/org/name")).json()["id"] == "org/name"
    for path, model in (("/info", "tiny"), ("/models/org/name/info", "org/name")):
        info = (await client.get(path)).json()
        assert info["model_id"] == model
        assert info["max_input_tokens"] == info["max_input_length"] == 63
        assert info["max_total_tokens"] == 64
    assert (await client.get("/models/no-such/info")).status_code == 404


async def test_browsers_get_a_page(client: httpx.AsyncClient) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path, headers in (("/", browser), ("/docs", {})):
        page = await client.get(path, headers=headers)
        assert page.headers["content-type"].startswith("text/html")
        assert "/models/{id}" in page.text
        assert "http-equiv" not in page.text
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_the_description_of_the_api(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    document = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]["/models/{id}"]) == {"post", "get"}
    for reference in {part.partition('"')[0] for part in answer.text.split("#/components/schemas/")[1:]}:
        assert reference in document["components"]["schemas"]


async def test_measurements(client: httpx.AsyncClient) -> None:
    await client.post("/models/gpt2", json=PROMPT, headers=AUTH)
    await client.post("/models/gpt2", json=PROMPT | {"stream": True}, headers=AUTH)
    await client.post("/models/overloaded", json=PROMPT, headers=AUTH)
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        "tgi_request_count_total 3.0",
        "tgi_request_success_total 2.0",
        'tgi_request_failure_total{err="overloaded"} 1.0',
        "pronto_generated_tokens_total 6.0",
        "tgi_request_duration_count 2.0",
        "pronto_time_to_first_token_count 1.0",
        'pronto_responses_total{status="429"} 1.0',
        'tgi_request_generated_tokens_bucket{le="4.0"} 2.0',
    ):
        assert line in lines
