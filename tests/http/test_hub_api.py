"""The Hub's own pages: the shapes that its clients read, with and without a token."""

from collections.abc import AsyncIterator

import httpx
import pytest

from pronto.core.model import State
from tests.http.edge_scene import Source, build


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def client(source: Source) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=build(source)[0])  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://server:8080") as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer hf_wrong"}, {"x-api-key": "hf_valid"}])
async def test_whoami_without_a_good_token(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/api/whoami-v2", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "Invalid credentials in Authorization header"}


@pytest.mark.parametrize(
    ("id", "task", "offered"),
    [
        ("org/base", "text-generation", "text-generation"),
        ("org/some-7b-chat", "text-generation", "conversational"),
        ("org/Some-7B-Instruct", "text-generation", "conversational"),
        ("google/some-it", "text-generation", "conversational"),
        ("org/split", "text-generation", "text-generation"),
        ("summarizer", "summarization", "summarization"),
    ],
)
async def test_a_model_is_described_without_a_token(
    client: httpx.AsyncClient, id: str, task: str, offered: str
) -> None:
    described = (await client.get(f"/api/models/{id}")).json()
    assert (described["id"], described["pipeline_tag"], described["sha"]) == (id, task, "rev1")
    assert described["inferenceProviderMapping"] == {
        "hf-inference": {"status": "live", "providerId": id, "task": offered}
    }
    assert set(described["tags"]) == {task, offered}


@pytest.mark.parametrize(
    "query",
    [
        "expand=inferenceProviderMapping&expand=pipeline_tag",
        "expand[]=inferenceProviderMapping&expand[]=pipeline_tag",
        "expand=inferenceProviderMapping,pipeline_tag&unknown=1",
    ],
)
async def test_expand_chooses_fields(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/api/models/org/name?{query}")
    assert set(answer.json()) == {"_id", "id", "inferenceProviderMapping", "pipeline_tag"}


async def test_an_unknown_model_has_the_hubs_error_code(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/models/no-such")
    assert answer.status_code == 404
    assert answer.headers["x-error-code"] == "RepoNotFound"
    assert answer.headers["x-error-message"] == "Model no-such does not exist"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["error"] == "Repository not found"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("?pipeline_tag=text-generation", 1),
        ("?pipeline_tag=fill-mask", 0),
        ("?filter=conversational", 0),
        ("?search=TIN", 1),
        ("?search=large", 0),
        ("?filter=conversational&filter=text-generation", 0),
        ("?author=org", 0),
        ("?inference=warm", 1),
        ("?inference=cold", 0),
        ("?inference_provider=all", 1),
        ("?inference_provider=cohere&inference_provider=hf-inference", 1),
        ("?inference_provider=cohere", 0),
        ("?limit=0", 0),
        ("?limit=many", 1),
    ],
)
async def test_the_list_is_narrowed(client: httpx.AsyncClient, query: str, count: int) -> None:
    answer = await client.get(f"/api/models{query}")
    assert [model["id"] for model in answer.json()] == ["tiny"] * count


async def test_the_list_shows_what_is_chosen(client: httpx.AsyncClient) -> None:
    [model] = (await client.get("/api/models?expand=inferenceProviderMapping")).json()
    assert set(model) == {"_id", "id", "inferenceProviderMapping"}
    assert set(model["inferenceProviderMapping"]) == {"hf-inference"}


async def test_tasks_have_the_keys_of_both_clients(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/tasks")).json() == {
        "text-generation": {"widgetModels": ["tiny"], "models": [{"id": "tiny"}]}
    }


@pytest.mark.parametrize(
    ("state", "loaded", "shown"),
    [
        (State.LOADED, True, "Loaded"),
        (State.EXPORTED, False, "Loadable"),
        (State.FAILED, False, "Failed"),
        (State.LOADING, False, "Loading"),
        (State.TOO_BIG, False, "TooBig"),
    ],
)
async def test_the_status_of_a_model(
    client: httpx.AsyncClient, source: Source, state: State, loaded: bool, shown: str
) -> None:
    source.models.state = state
    status = (await client.get("/status/org/name")).json()
    assert status == {
        "loaded": loaded,
        "state": shown,
        "compute_type": "cpu",
        "framework": "text-generation-inference",
    }


async def test_an_unknown_model_has_no_status(client: httpx.AsyncClient) -> None:
    assert (await client.get("/status/no-such")).status_code == 404


async def test_the_models_of_a_framework(client: httpx.AsyncClient, source: Source) -> None:
    found = (await client.get("/framework/text-generation-inference")).json()
    assert found == [{"model_id": "tiny", "task": "text-generation", "sha": "rev1"}]
    for other in ("transformers", "diffusers", "keras"):
        assert (await client.get(f"/framework/{other}")).json() == []
    source.models.state = State.PULLED
    assert (await client.get("/framework/text-generation-inference")).json() == []


async def test_there_is_no_list_of_agents(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/agent-harnesses")).status_code == 404
