"""The page of usage: its numbers are the ledger's, to the token; whose they are; and what the charts draw."""

import csv
import io
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pronto.web.charts import MOST_SERIES, OTHERS, days_until, stacked
from tests.http.site_scene import Web, open_web, words

USAGE = "/settings/usage"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        yield web


async def test_the_numbers_are_those_of_the_api(web: Web) -> None:
    browser = await web.signed_in("ann")
    for days_ago in (0, 0, 1, 6, 8):
        await web.house.use("ann", "tiny", days_ago=days_ago)
    await web.house.use("ann", "other<b>", days_ago=0)
    await (await web.signed_in("bob")).get(USAGE)
    await web.house.use("bob", "tiny")
    headers = await web.house.token("ann")
    api = (await web.house.client.get("/api/usage?days=7", headers=headers)).json()["total"]
    page = words(await browser.get(f"{USAGE}?days=7"))
    assert (api["requests"], api["prompt_tokens"], api["generated_tokens"]) == (5, 15, 25)
    for said in ("5 requests", "15 tokens read", "25 tokens written", "0 % from the cache", "0 failed"):
        assert said in page
    assert "other<b>" in page
    assert "other<b>" not in browser.last.text
    table = await browser.get(f"{USAGE}/csv?days=7")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert table.headers["content-disposition"].startswith("attachment")
    assert sum(int(row["requests"]) for row in rows) == 5
    assert sum(int(row["generated_tokens"]) for row in rows) == 25
    assert {row["account"] for row in rows} == {"ann"}
    bars = re.findall(r"<title>\d{4}-\d\d-\d\d, [^<]*: (\d+)</title>", browser.last.text or "")
    assert bars == []
    drawn = re.findall(r"<title>(\S+), ([^<]*): ([\d,]+)</title>", (await browser.get(f"{USAGE}?days=7")).text)
    assert sum(int(amount.replace(",", "")) for _, _, amount in drawn) == 5 + 40, "requests, then tokens"


async def test_by_token_and_how_requests_ended(web: Web) -> None:
    browser = await web.signed_in("ann")
    await web.house.use("ann", "tiny")
    page = words(await browser.get(USAGE))
    assert "By token" in page
    assert "ann's (…" in page
    assert "eos 1" in page


async def test_limits_as_gauges(web: Web) -> None:
    browser = await web.signed_in("ann")
    headers = await web.house.token("ann")
    assert (await web.house.client.get("/api/limits", headers=headers)).json()["windows"][0]["limit"] == 300
    page = await browser.get(USAGE)
    assert "Requests per hour 0 of 300" in words(page)
    assert page.text.count("<meter") == 3


async def test_an_organisations_usage_is_for_its_admins(web: Web) -> None:
    ann, bob = await web.signed_in("ann"), await web.signed_in("bob")
    await web.house.org("acme", ann="admin", bob="write")
    await web.house.use("bob", "tiny", org="acme")
    page = words(await ann.get(f"{USAGE}?org=acme"))
    assert "Usage of acme" in page
    assert "1 requests" in page
    assert "enterprise plan" in page
    for who, org in ((bob, "acme"), (ann, "nothing"), (bob, "<b>")):
        assert (await who.get(f"{USAGE}?org={org}")).status_code == 403
        assert (await who.get(f"{USAGE}/csv?org={org}")).status_code == 403


@pytest.mark.parametrize("days", ["0", "x", "-1", "99999", "1e3", "٣"])
async def test_days_that_are_none(web: Web, days: str) -> None:
    browser = await web.signed_in("ann")
    page = await browser.get(f"{USAGE}?days={days}")
    assert page.status_code == 422
    assert "`days` is a number" in words(page)


def test_a_chart_of_nothing() -> None:
    assert stacked("x", days_until("2026-03-01", 3), {}).is_empty
    assert days_until("2026-03-01", 3) == ["2026-02-27", "2026-02-28", "2026-03-01"]


def test_columns_stand_on_each_other_and_inside_the_picture() -> None:
    days = days_until("2026-11-25", 7)
    amounts = {f"m{number}": {day: number * 3 + place for place, day in enumerate(days)} for number in range(9)}
    chart = stacked("x", days, amounts)
    assert len(chart.names) == MOST_SERIES
    assert chart.names[-1] == OTHERS
    assert chart.names[0] == "m8", "the largest first"
    assert chart.total == sum(sum(one.values()) for one in amounts.values())
    for bar in chart.bars:
        assert 44 <= bar.x <= 720 - bar.width
        assert 9 <= bar.y <= bar.y + bar.height <= 195
    for x in {bar.x for bar in chart.bars}:
        column = [bar for bar in chart.bars if bar.x == x]
        for lower, upper in itertools.pairwise(column):
            assert abs(upper.y + upper.height - lower.y) <= 0.21


async def test_what_single_rows_tell_is_bounded(web: Web) -> None:
    await web.signed_in("ann")
    account = await web.store.accounts.by_name("ann")
    assert account is not None
    for _ in range(5):
        await web.house.use("ann", "tiny")
    detail = await web.store.ledger.detail(account_id=account.id, org_id=None, since=0, most=3)
    assert (detail.rows, detail.finishes, detail.median_ms, detail.slow_ms) == (3, {"eos": 3}, 1, 1)
    nobody = await web.store.ledger.detail(account_id=99, org_id=None, since=0, most=3)
    assert (nobody.rows, nobody.finishes, nobody.median_ms) == (0, {}, 0)
