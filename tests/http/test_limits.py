"""Limits through the whole house: a real server over a real database, with an operator's plans."""

import asyncio
import sqlite3
import time

import pytest

from pronto.accounts.plans import FILE_NAME
from pronto.settings import Settings
from tests.http.limit_scene import Scene, open_scene

BODY = {"inputs": "Hello", "parameters": {"max_new_tokens": 4}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / FILE_NAME).write_text(
        """
        [free]
        requests = { day = 50 }
        concurrency = 100
        [pro]
        requests = { minute = { limit = 600, burst = 3 }, hour = 1000 }
        generated_tokens = { day = 40 }
        """
    )
    return tmp_path


@pytest.fixture
async def scene(folder):
    async with open_scene(folder) as opened:
        yield opened


def fresh(number: int) -> dict[str, object]:
    return {"inputs": f"Hello {number}", "parameters": {"max_new_tokens": 4}}


async def test_two_hundred_at_once_at_fifty_a_day_give_exactly_fifty(scene: Scene) -> None:
    ann = await scene.account("ann", "free")
    answers = await asyncio.gather(*(scene.post(ann, fresh(number)) for number in range(200)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 50
    assert statuses.count(429) == 150
    rows = await scene.rows("ann")
    assert len(rows) == 50
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert "allows 50 requests per day" in refused.json()["error"]
    assert refused.json()["error_type"] == "rate_limited"
    assert refused.headers["ratelimit"].startswith('"requests_per_day";r=0;t=')
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


async def test_a_restart_opens_no_window(folder, scene: Scene) -> None:
    ann = await scene.account("ann", "free")
    for number in range(49):
        assert (await scene.post(ann, fresh(number))).status_code == 200
    await scene.close()
    async with open_scene(folder) as again:
        first = await again.post(ann, BODY)
        assert first.status_code == 200
        assert first.headers["ratelimit"].startswith('"requests_per_day";r=0;t=')
        assert (await again.post(ann, fresh(1000))).status_code == 429


async def test_a_kept_answer_costs_one_request_and_no_tokens(scene: Scene) -> None:
    ann = await scene.account("ann", "pro")
    await scene.post(ann, BODY)
    before = await scene.limits(ann)
    assert before["generated_tokens_per_day"]["remaining"] == 36
    answer = await scene.post(ann, BODY)
    assert answer.headers["x-compute-type"] == "cache"
    after = await scene.limits(ann)
    assert after["generated_tokens_per_day"]["remaining"] == 36
    assert after["requests_per_hour"]["remaining"] == before["requests_per_hour"]["remaining"] - 1
    assert "ratelimit" in answer.headers
    assert '"requests_per_hour";q=1000;w=3600' in answer.headers["ratelimit-policy"]


async def test_what_is_refused_or_fails_early_costs_nothing(scene: Scene) -> None:
    ann = await scene.account("ann", "free")
    wrong = {"inputs": "x", "parameters": {"top_p": 7}}
    assert (await scene.post(ann, wrong)).status_code == 422
    assert (await scene.post(ann, BODY, "acme/none")).status_code == 404
    assert (await scene.post(ann, BODY, "acme/fail-start")).status_code in (500, 503)
    assert (await scene.limits(ann))["requests_per_day"]["remaining"] == 50


async def test_tokens_are_settled_with_what_was_made_also_when_it_fails(scene: Scene) -> None:
    ann = await scene.account("ann", "pro")
    failed = await scene.post(ann, {"inputs": "Hello", "parameters": {"max_new_tokens": 30}}, "acme/fail-mid")
    assert failed.status_code == 424
    made = sum(row.generated_tokens for row in await scene.rows("ann"))
    assert (await scene.limits(ann))["generated_tokens_per_day"]["remaining"] == 40 - made
    too_much = await scene.post(ann, {"inputs": "Hi", "parameters": {"max_new_tokens": 41}})
    assert too_much.status_code == 429
    assert "please ask for less" in too_much.json()["error"]
    assert "retry-after" not in too_much.headers
    assert too_much.headers["x-should-retry"] == "false"


async def test_openai_routes_have_openais_headers(scene: Scene) -> None:
    ann = await scene.account("ann", "pro")
    body = {"model": "echo", "prompt": "Hello", "max_tokens": 3, "temperature": 0}
    answer = await scene.client.post("/v1/completions", json=body, headers=ann)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ratelimit-limit-requests"] in ("600", "1000")
    assert int(answer.headers["x-ratelimit-remaining-requests"]) < 1000
    assert answer.headers["x-ratelimit-limit-tokens"] == "40"
    assert answer.headers["x-ratelimit-reset-tokens"].endswith("s")


async def test_who_waits_as_the_header_says_is_served(scene: Scene) -> None:
    ann = await scene.account("ann", "pro")
    for number in range(3):
        assert (await scene.post(ann, fresh(number))).status_code == 200
    began = time.monotonic()
    while (refused := await scene.post(ann, BODY)).status_code == 429:
        assert '"requests_per_minute";r=0;t=1' in refused.headers["ratelimit"]
        assert refused.headers["retry-after"] == "1"
        assert time.monotonic() - began < 5
        await asyncio.sleep(1)


async def test_the_page_of_limits(scene: Scene) -> None:
    ann = await scene.account("ann", "pro")
    page = (await scene.client.get("/api/limits", headers=ann)).json()
    assert page["plan"] == "pro"
    assert page["concurrency"] == {"limit": 32, "used": 0}
    names = [window["name"] for window in page["windows"]]
    assert names == ["requests_per_minute", "requests_per_hour", "generated_tokens_per_day"]
    assert (await scene.client.get("/api/limits")).status_code == 401


async def test_a_model_of_a_higher_plan_is_refused_with_what_is_needed(scene: Scene) -> None:
    ann = await scene.account("ann", "free")
    answer = await scene.post(ann, BODY, "acme/pro-only")
    assert answer.status_code == 403
    assert "acme/pro-only needs the pro plan; your account is on the free plan" in answer.json()["error"]
    listed = (await scene.client.get("/models", headers=ann)).json()
    assert next(model for model in listed if model["id"] == "acme/pro-only")["plan"] == "pro"


async def test_a_change_of_plan_holds_from_the_next_request_on(scene: Scene) -> None:
    ann = await scene.account("ann", "free")
    assert (await scene.post(ann, BODY, "acme/pro-only")).status_code == 403
    await scene.change_plan("ann", "pro")
    assert (await scene.post(ann, BODY, "acme/pro-only")).status_code == 200


def test_settings_of_a_scene_are_those_of_a_server() -> None:
    assert Settings().account_concurrency >= 128  # no plan that is shipped is held below its own concurrency


async def test_a_locked_database_gives_no_free_ride_and_takes_nothing(folder, scene: Scene) -> None:
    ann = await scene.account("ann", "free")
    assert (await scene.post(ann, BODY)).status_code == 200
    lock = sqlite3.connect(folder / "pronto.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        kept, made = await asyncio.gather(scene.post(ann, BODY), scene.post(ann, fresh(1)))
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    for refused in (kept, made):
        assert (refused.status_code, refused.json()["error_type"]) == (503, "storage")
    assert (await scene.limits(ann))["requests_per_day"]["remaining"] == 49
    assert (await scene.post(ann, BODY)).status_code == 200
    assert len(await scene.rows("ann")) == 2


async def test_an_answer_that_is_given_again_does_not_tell_how_limits_stood_then(scene: Scene) -> None:
    ann = await scene.account("ann", "free")
    first, again = [await scene.post(ann | {"idempotency-key": "k"}, BODY) for _ in range(2)]
    assert "ratelimit" in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert not [name for name in again.headers if "ratelimit" in name]
    assert (await scene.limits(ann))["requests_per_day"]["remaining"] == 49
