"""Requests with an Idempotency-Key: asked again, they get the first answer, and nothing is done a second time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import msgspec
import pytest

from pronto.core.errors import Conflict, StorageFailed
from pronto.core.identity import Role
from pronto.edge.idempotency import MAX_ANSWER, Recording, Repeatable, Repeats
from pronto.store.base import KeptAnswer
from pronto.store.memory_answers import MemoryAnswers
from tests.http.edge_scene import AUTH, CALLER, CALLERS, OTHER_TOKEN, Running, Source, build, running

PROMPT = {"inputs": "Hello"}
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
OTHER = {"authorization": f"Bearer {OTHER_TOKEN}"}


class Answers(MemoryAnswers):
    """Counts what is kept; can be made to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[KeptAnswer] = []
        self.is_broken = self.is_unreadable = False

    async def get(self, account_id: int, key: str, now: float) -> KeptAnswer | None:
        if self.is_unreadable:
            raise StorageFailed
        await asyncio.sleep(0)  # as a database, it lets others go on
        return await super().get(account_id, key, now)

    async def keep(self, answer: KeptAnswer, *, most_bytes: int) -> None:
        if self.is_broken:
            raise StorageFailed
        self.kept.append(answer)
        await super().keep(answer, most_bytes=most_bytes)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def client(source: Source, answers: Answers) -> AsyncIterator[httpx.AsyncClient]:
    app, _ = build(source, answers, max_body_kb=4)
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://server:8080") as client:
        yield client


def keyed(key: str = "k1", **more: str) -> dict[str, str]:
    return AUTH | {"idempotency-key": key} | {name.replace("_", "-"): value for name, value in more.items()}


BODIES = {
    "/models/gpt2": PROMPT,
    "/models/calls": PROMPT | {"stream": True},
    "/generate": PROMPT,
    "/v1/chat/completions": CHAT,
    "/v1/responses": {"model": "tiny", "input": "Hello"},
    "/v1/messages": CHAT | {"max_tokens": 5},
    "/api/chat": CHAT,
    "/tokenize": PROMPT,
}


@pytest.mark.parametrize("path", BODIES)
async def test_the_same_answer_again(client: httpx.AsyncClient, source: Source, path: str) -> None:
    first = await client.post(path, json=BODIES[path], headers=keyed())
    again = await client.post(path, json=BODIES[path], headers=keyed())
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert len(source.asked) == 1
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" in again.headers["access-control-expose-headers"]
    own = {"idempotent-replayed", "x-request-id", "content-length"}
    kept = {name: value for name, value in first.headers.items() if name not in own}
    assert kept == {name: value for name, value in again.headers.items() if name not in own}
    assert first.headers["x-request-id"] != again.headers["x-request-id"]


async def test_keys_and_accounts_are_apart(client: httpx.AsyncClient, source: Source) -> None:
    await client.post("/models/gpt2", json=PROMPT, headers=keyed("a"))
    await client.post("/models/gpt2", json=PROMPT, headers=keyed("b"))
    await client.post("/models/gpt2", json=PROMPT, headers=keyed("a") | OTHER)
    await client.post("/models/gpt2", json=PROMPT, headers=AUTH)
    assert len(source.asked) == 4


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/models/gpt2", {"inputs": "Other"}, {}),
        ("/models/gpt3", PROMPT, {}),
        ("/models/gpt2/generate", PROMPT, {}),
        ("/models/gpt2", PROMPT, {"x_use_cache": "0"}),
        ("/models/gpt2", PROMPT, {"accept": "text/event-stream"}),
    ],
)
async def test_a_key_is_for_one_request(
    client: httpx.AsyncClient, source: Source, path: str, body: dict[str, str], headers: dict[str, str]
) -> None:
    await client.post("/models/gpt2", json=PROMPT, headers=keyed())
    refused = await client.post(path, json=body, headers=keyed(**headers))
    assert (refused.status_code, refused.json()["error_type"]) == (422, "idempotency_key_reused")
    assert len(source.asked) == 1


async def test_openais_routes_say_400(client: httpx.AsyncClient) -> None:
    await client.post("/v1/chat/completions", json=CHAT, headers=keyed())
    other = CHAT | {"max_tokens": 3}
    refused = await client.post("/v1/chat/completions", json=other, headers=keyed())
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "idempotency_key_reused")
    anthropic = await client.post("/v1/messages", json=other, headers=keyed())
    assert (anthropic.status_code, anthropic.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("key", ["", "x" * 256, "snowman-\u2603", "a\tb"])
async def test_a_key_is_printable_and_not_long(client: httpx.AsyncClient, source: Source, key: str) -> None:
    headers = {name: value.encode() for name, value in keyed(key).items()}
    refused = await client.post("/models/gpt2", json=PROMPT, headers=headers)
    assert (refused.status_code, refused.json()["error_type"]) == (422, "validation")
    assert "1 to 255 printable ASCII characters" in refused.json()["error"]
    assert (await client.post("/v1/chat/completions", json=CHAT, headers=headers)).status_code == 400
    assert source.asked == []


async def test_a_key_of_255_characters_is_taken(client: httpx.AsyncClient) -> None:
    assert (await client.post("/models/gpt2", json=PROMPT, headers=keyed("k " * 127 + "!"))).status_code == 200


async def test_a_twin_in_work(client: httpx.AsyncClient, source: Source) -> None:
    first = asyncio.create_task(client.post("/models/gated", json=PROMPT, headers=keyed()))
    async with asyncio.timeout(10):
        while not source.asked:  # noqa: ASYNC110  because only the application asks the source
            await asyncio.sleep(0)
    twin = await client.post("/models/gated", json=PROMPT, headers=keyed())
    assert (twin.status_code, twin.json()["error_type"]) == (409, "idempotency_in_progress")
    assert twin.headers["retry-after"] == "1"
    assert twin.headers["x-should-retry"] == "true"
    other = await client.post("/models/gated", json={"inputs": "Other"}, headers=keyed())
    assert (other.status_code, other.json()["error_type"]) == (422, "idempotency_key_reused")
    source.gate.set()
    again = await client.post("/models/gated", json=PROMPT, headers=keyed()) if (await first) else None
    assert again is not None
    assert again.content == first.result().content
    assert len(source.asked) == 1


async def test_of_two_that_look_at_the_same_time_one_works(client: httpx.AsyncClient, source: Source) -> None:
    both = [asyncio.create_task(client.post("/models/gated", json=PROMPT, headers=keyed())) for _ in range(2)]
    done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result().status_code for task in done] == [409]
    source.gate.set()
    assert sorted([(await task).status_code for task in both]) == [200, 409]
    assert len(source.asked) == 1


async def test_a_token_that_may_less_gets_no_answer_of_one_that_may_more(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = msgspec.structs.replace(CALLER, token_id=9, role=Role.FINE_GRAINED)
    monkeypatch.setitem(CALLERS, "hf_narrow", narrow)
    monkeypatch.setitem(CALLERS, "hf_second", msgspec.structs.replace(CALLER, token_id=10))
    await client.post("/models/gpt2", json=PROMPT, headers=keyed())
    refused = await client.post("/models/gpt2", json=PROMPT, headers=keyed(authorization="Bearer hf_narrow"))
    assert refused.status_code == 422
    again = await client.post("/models/gpt2", json=PROMPT, headers=keyed(authorization="Bearer hf_second"))
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("path", ["/models/fails-late", "/models/breaks", "/models/stops-short"])
@pytest.mark.parametrize("stream", [False, True])
async def test_failures_of_the_work_are_kept(
    client: httpx.AsyncClient, source: Source, path: str, stream: bool
) -> None:
    body = PROMPT | {"stream": stream}
    first = await client.post(path, json=body, headers=keyed())
    again = await client.post(path, json=body, headers=keyed())
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert b"error" in first.content
    assert len(source.asked) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/models/overloaded", PROMPT, 429),
        ("/models/loading", PROMPT, 503),
        ("/models/no-such", PROMPT, 404),
        ("/models/gpt2", {"inputs": 5}, 422),
        ("/models/gpt2", {"inputs": "x" * 5000}, 413),
    ],
)
async def test_refusals_are_not_kept(
    client: httpx.AsyncClient, answers: Answers, path: str, body: dict[str, object], status: int
) -> None:
    for _ in range(2):
        refused = await client.post(path, json=body, headers=keyed())
        assert refused.status_code == status
        assert "idempotent-replayed" not in refused.headers
    assert answers.kept == []
    # And the key is free for the request as it was meant.
    assert (await client.post("/models/gpt2", json=PROMPT, headers=keyed())).status_code == 200


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(
    client: httpx.AsyncClient, source: Source, answers: Answers
) -> None:
    answers.is_broken = True
    assert (await client.post("/models/gpt2", json=PROMPT, headers=keyed())).status_code == 200
    answers.is_broken = False
    assert (await client.post("/models/gpt2", json=PROMPT, headers=keyed())).status_code == 200
    assert len(source.asked) == 2


async def test_without_the_database_nothing_is_begun(
    client: httpx.AsyncClient, source: Source, answers: Answers
) -> None:
    answers.is_unreadable = True
    refused = await client.post("/models/gpt2", json=PROMPT, headers=keyed())
    assert (refused.status_code, refused.json()["error_type"]) == (503, "storage")
    assert (await client.post("/models/gpt2", json=PROMPT, headers=AUTH)).status_code == 200
    assert len(source.asked) == 1


async def test_many_at_once_are_worked_on_once(client: httpx.AsyncClient, source: Source) -> None:
    async def ask() -> httpx.Response:
        while True:
            answer = await client.post("/models/gpt2", json=PROMPT, headers=keyed())
            if answer.status_code != 409:
                return answer

    found = await asyncio.gather(*(ask() for _ in range(40)))
    assert {answer.content for answer in found} == {found[0].content}
    assert sorted("idempotent-replayed" in answer.headers for answer in found) == [False] + [True] * 39
    assert len(source.asked) == 1


class Slow(Answers):
    """Its first look takes until the gate opens, and tells what was there at its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: asyncio.Event | None = asyncio.Event()

    async def get(self, account_id: int, key: str, now: float) -> KeptAnswer | None:
        found, gate, self.gate = await super().get(account_id, key, now), self.gate, None
        if gate is not None:
            self.is_looking = gate
            await gate.wait()
        return found


async def test_a_twin_that_came_and_went_during_the_look() -> None:
    answers, asked = Slow(), Repeatable(1, "k", b"f")
    repeats = Repeats(answers, ttl=60, account_bytes=1000, now=lambda: 0.0)
    slow = asyncio.create_task(repeats.enter(asked))
    while answers.gate is not None:  # noqa: ASYNC110  because only the task lets it go
        await asyncio.sleep(0)
    assert await repeats.enter(asked) is None
    with pytest.raises(Conflict):
        await repeats.enter(asked)
    recording = Recording(_nowhere, [], lambda recording: repeats.keep(asked, recording))
    await recording.send({"type": "http.response.start", "status": 200, "headers": []})
    await recording.send({"type": "http.response.body", "body": b"made"})
    repeats.leave(asked)
    answers.is_looking.set()
    kept = await slow
    assert kept is not None
    assert kept.body == b"made"


async def _nowhere(_: object) -> None: ...


async def test_a_large_answer_is_not_kept() -> None:
    ended: list[Recording] = []

    async def at_end(recording: Recording) -> None:
        ended.append(recording)

    for extra in (0, 1):
        recording = Recording(_nowhere, [(b"x-request-id", b"r")], at_end)
        headers = [(b"x-request-id", b"r"), (b"content-length", b"9"), (b"x-sha", b"s")]
        await recording.send({"type": "http.response.start", "status": 200, "headers": headers})
        await recording.send({"type": "http.response.body", "body": b"a" * (MAX_ANSWER - 1), "more_body": True})
        assert len(ended) == extra
        await recording.send({"type": "http.response.body", "body": b"b" * (1 + extra)})
    assert [(one.is_whole, len(one.body)) for one in ended] == [(True, MAX_ANSWER), (False, 0)]
    assert ended[0].headers == [(b"x-sha", b"s")]


async def test_the_bounds_of_an_account_reach_the_store(client: httpx.AsyncClient, answers: Answers) -> None:
    before = time.time()
    await client.post("/models/gpt2", json=PROMPT, headers=keyed())
    [kept] = answers.kept
    assert kept.expires - kept.created == 86_400
    assert before <= kept.created <= time.time()
    assert json.loads(kept.body) == [{"generated_text": "Hello one two\u2028 three"}]


@pytest.fixture
def served(source: Source, answers: Answers) -> Iterator[Running]:
    app, _ = build(source, answers)
    with running(app, drain_timeout=0.0) as server:
        yield server


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
def test_work_goes_on_for_a_client_that_has_left(
    served: Running, source: Source, answers: Answers, stream: bool
) -> None:
    body = PROMPT | {"stream": stream}
    with httpx.Client(base_url=served.url, headers=keyed()) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/models/gated", json=body, timeout=0.3)
    until(lambda: not served.server.server_state.connections)
    time.sleep(0.05)  # for whoever would take the lost connection for the end
    served.server.servers[0].get_loop().call_soon_threadsafe(source.gate.set)
    until(lambda: answers.kept)
    with httpx.Client(base_url=served.url, headers=keyed()) as client:
        again = client.post("/models/gated", json=body)
    assert again.headers["idempotent-replayed"] == "true"
    assert "first last" in again.text
    assert len(source.asked) == 1
    assert source.left == []
