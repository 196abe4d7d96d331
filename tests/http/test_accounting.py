"""A thousand streams over real HTTP, cut at random: ledger, limits and engine agree to the token."""

import asyncio
import random

import httpx
import pytest

from pronto.accounts.plans import FILE_NAME
from pronto.core.events import Token
from pronto.fleet import inbox
from tests.http.limit_scene import Scene, open_scene

STREAMS = 1000
AT_ONCE = 48
MONTH = 10_000_000


@pytest.fixture
def made(monkeypatch):
    """Tokens by frame, where the socket's reader hands them on, before any tally sees them."""
    counted = [0]
    deliver = inbox.Inboxes.deliver

    def counting(inboxes, events):
        counted[0] += sum(type(event) is Token for _, event in events)
        deliver(inboxes, events)

    monkeypatch.setattr(inbox.Inboxes, "deliver", counting)
    return counted


@pytest.fixture
async def scene(tmp_path):
    windows = f"requests = {{ month = {MONTH} }}\ngenerated_tokens = {{ month = {MONTH} }}"
    (tmp_path / FILE_NAME).write_text(
        f"[pro]\n{windows}\nprompt_tokens = {{ month = {MONTH} }}\nconcurrency = 100\nqueue_deadline = 60"
    )
    async with open_scene(tmp_path) as opened:
        yield opened


async def cut(scene: Scene, who: dict[str, str], number: int, rng: random.Random) -> int:
    """Reads a stream for a while and leaves. Returns the frames of tokens that it saw."""
    body = {
        "inputs": f"{number} " + "x" * rng.randint(0, 40),
        "parameters": {"max_new_tokens": rng.randint(1, 200)},
        "stream": True,
    }
    path, seen, most = "/models/acme/slow-2s" if number % 10 == 0 else "/models/echo", 0, rng.randint(0, 120)
    try:
        async with asyncio.timeout(rng.choice([0.001, 0.01, 0.05, 0.5, 5.0])):
            async with scene.client.stream("POST", path, json=body, headers=who) as answer:
                async for chunk in answer.aiter_bytes():
                    seen += chunk.count(b"data:")
                    if seen > most:
                        break
    except (TimeoutError, httpx.HTTPError):
        pass
    return seen


@pytest.mark.timeout(180)
async def test_streams_that_are_cut_are_paid_for_as_far_as_they_were_made(scene: Scene, made: list[int]) -> None:
    ann, rng, gate = await scene.account("ann", "pro"), random.Random(5), asyncio.Semaphore(AT_ONCE)
    assert (await scene.post(ann, {"inputs": "warm"}, "acme/slow-2s")).status_code == 200
    assert (await scene.post(ann, {"inputs": "warm"})).status_code == 200

    async def one(number: int) -> int:
        async with gate:
            return await cut(scene, ann, number, rng)

    seen = await asyncio.gather(*(one(number) for number in range(STREAMS)))
    for _ in range(300):
        rows = await scene.rows("ann")
        if not scene.app.gateway.limits.in_work and all(row.state == 1 for row in rows):
            break
        await asyncio.sleep(0.1)
    assert len({row.request_id for row in rows}) == len(rows)
    assert {row.state for row in rows} == {1}
    generated, prompt = sum(row.generated_tokens for row in rows), sum(row.prompt_tokens for row in rows)
    assert generated == made[0] >= sum(seen) > 1000
    assert {"cancelled", "length"} <= {row.finish for row in rows}
    totals = await scene.app.store.ledger.totals()
    assert sum(total.generated_tokens for total in totals) == generated
    assert sum(total.requests for total in totals) == len(rows)
    left = await scene.limits(ann)
    assert left["generated_tokens_per_month"]["remaining"] == MONTH - generated
    assert left["prompt_tokens_per_month"]["remaining"] == MONTH - prompt
    # A request counts when its answer begins: one that left between its row and that costs nothing.
    assert MONTH - len(rows) <= left["requests_per_month"]["remaining"] < MONTH - 200
