"""Whose token it is, who pays, what was used, and tokens that have leaked: over a real store."""

import asyncio
import csv
import io
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pronto.accounts.tokens import mint
from pronto.core.identity import INFERENCE_SCOPE, Role
from pronto.store.sqlite import FILE_NAME
from tests.http.house_scene import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def test_whoami_tells_the_account_and_its_token(house: House) -> None:
    headers = await house.user("ann", "pro", role=Role.WRITE, expires="30d")
    await house.org("acme", ann="admin")
    await house.org("small", "free", ann="read")
    await house.org("other")
    answer = await house.client.get("/api/whoami-v2", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    shown = answer.json()
    token = shown["auth"]["accessToken"]
    made, ends = (datetime.fromisoformat(token.pop(name)) for name in ("createdAt", "expiration"))
    assert (ends - made).days in (29, 30)
    assert abs((datetime.now(UTC) - made).total_seconds()) < 60
    common = {"canPay": False, "periodEnd": None}
    acme, small = await house.registry.find("acme"), await house.registry.find("small")
    assert shown == {
        **common,
        "type": "user",
        "id": "1",
        "name": "ann",
        "fullname": "ann",
        "isPro": True,
        "email": None,
        "emailVerified": False,
        "orgs": [
            common
            | {"type": "org", "id": str(acme.id), "name": "acme", "fullname": "acme", "isPro": True}
            | {"roleInOrg": "admin"},
            common
            | {"type": "org", "id": str(small.id), "name": "small", "fullname": "small", "isPro": False}
            | {"roleInOrg": "read"},
        ],
        "auth": {"type": "access_token", "accessToken": {"displayName": "ann's", "role": "write"}},
    }


async def test_whoami_of_an_organisations_own_token(house: House) -> None:
    await house.user("ann")
    await house.org("acme", ann="admin")
    headers = await house.token("acme", expires="never")
    shown = (await house.client.get("/api/whoami-v2", headers=headers)).json()
    assert (shown["type"], shown["name"], shown["isPro"], shown["orgs"]) == ("org", "acme", True, [])
    assert "expiration" not in shown["auth"]["accessToken"]


async def test_whoami_without_a_good_token(house: House) -> None:
    headers = await house.user("ann")
    await house.issuing.revoke([1])
    for wrong in ({}, headers, {"authorization": f"Bearer {mint()}"}, {"x-api-key": house.secrets[0]}):
        answer = await house.client.get("/api/whoami-v2", headers=wrong)
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid credentials in Authorization header"})


async def test_an_organisation_pays_for_its_members(house: House) -> None:
    ann = await house.user("ann", "free")
    await house.org("acme", "enterprise", ann="read")
    acme = await house.registry.find("acme")
    assert (await house.ask(ann)).status_code == 200
    assert (await house.ask(ann | {"X-HF-Bill-To": "acme"})).status_code == 200
    own, billed = house.source.callers
    assert (own.account, own.plan, own.org_id, own.tenant) == ("ann", "free", None, f"account:{own.account_id}")
    assert (billed.account, billed.plan, billed.org_id) == ("ann", "enterprise", acme.id)
    assert billed.tenant == f"org:{acme.id}"
    assert billed.account_id == own.account_id


@pytest.mark.parametrize("name", ["acme", "nothing", "bob", "ann", "ACME", "' OR 1=1 --", "x" * 5000])
async def test_whoever_is_no_member_is_told_nothing(house: House, name: str) -> None:
    """The sentence is one for what exists and what does not."""
    ann = await house.user("ann")
    await house.user("bob")
    await house.org("acme", bob="admin")
    answers = [await house.ask(ann | {"x-hf-bill-to": name}) for _ in range(2)]  # the second is from the cache
    for answer in answers:
        assert answer.status_code == 403
        assert answer.json()["error"] == (
            "You cannot let this organisation pay: only its members can. Please check the header X-HF-Bill-To."
        )
    assert house.source.callers == []


async def test_an_organisations_own_token_pays_for_nobody_else(house: House) -> None:
    await house.user("ann")
    await house.org("acme", ann="admin")
    await house.org("other", ann="admin")
    acme = await house.token("acme")
    assert (await house.ask(acme | {"x-hf-bill-to": "acme"})).status_code == 200
    assert (await house.ask(acme)).status_code == 200
    assert {caller.tenant for caller in house.source.callers} == {f"org:{(await house.registry.find('acme')).id}"}
    assert (await house.ask(acme | {"x-hf-bill-to": "other"})).status_code == 403


async def test_a_suspended_account_is_told_so(house: House) -> None:
    ann, bob = await house.user("ann"), await house.user("bob")
    await house.org("acme", ann="admin", bob="admin")
    assert (await house.ask(ann)).status_code == 200
    await house.registry.suspend("ann")
    house.door.forget()
    for path in ("/api/whoami-v2", "/api/usage"):
        assert (await house.client.get(path, headers=ann)).status_code == 403
    refused = await house.ask(ann)
    assert (refused.status_code, refused.json()["error_type"]) == (403, "permission")
    assert "suspended" in refused.json()["error"]
    await house.registry.suspend("acme")
    house.door.forget()
    assert "organisation is suspended" in (await house.ask(bob | {"x-hf-bill-to": "acme"})).json()["error"]
    assert (await house.ask(bob)).status_code == 200
    await house.registry.resume("ann")
    house.door.forget()
    assert (await house.ask(ann)).status_code == 200


async def test_leaked_tokens_are_refused_at_once(house: House) -> None:
    ann, bob = await house.user("ann"), await house.user("bob")
    more = await house.token("ann")
    for headers in (ann, bob, more):
        assert (await house.ask(headers)).status_code == 200
    reported = [house.secrets[0], house.secrets[2], mint(), "hf_" + "a" * 34, "", "\x00", house.secrets[1][:-1] + "_"]
    answers = [await house.client.post("/api/credentials/revoke", json={"credentials": reported}) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(202, b"")] * 2
    assert [(await house.ask(headers)).status_code for headers in (ann, bob, more)] == [401, 200, 401]
    entries = [entry for entry in await house.store.audit.list() if entry.action == "token.revoke"]
    assert [(entry.actor, entry.subject) for entry in entries] == [("anonymous", "ann")] * 2


async def test_a_report_of_nothing_good_waits_for_nobody(house: House, tmp_path: Path) -> None:
    """Everybody may ask, so asking must not hold up those who write."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        body = {"credentials": [mint() for _ in range(1000)]}
        answer = await asyncio.wait_for(house.client.post("/api/credentials/revoke", json=body), 2.0)
        holder.execute("ROLLBACK")
    assert answer.status_code == 202


async def test_nothing_is_learned_by_reporting(house: House) -> None:
    await house.user("ann")
    unknown = [mint() for _ in range(1000)]
    for credentials in ([], unknown, ["no token"], [house.secrets[0]]):
        answer = await house.client.post("/api/credentials/revoke", json={"credentials": credentials})
        assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"credentials": null}',
        b'{"credentials": "hf_x"}',
        b'{"credentials": [1]}',
        b'{"credentials": [' + b'"x",' * 1000 + b'"x"]}',
        b'{"credentials": ["' + b"x" * 300_000 + b'"]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
async def test_a_report_of_another_shape_is_told_the_shape_alone(house: House, body: bytes) -> None:
    answer = await house.client.post("/api/credentials/revoke", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == 'The body must be {"credentials": ["hf_...", ...]} with at most 1000 of them.'


async def test_ones_own_usage(house: House) -> None:
    ann, bob = await house.user("ann"), await house.user("bob")
    await house.org("acme", ann="write", bob="admin")
    await house.use("ann", "tiny")
    await house.use("ann", "tiny")
    await house.use("ann", "big", days_ago=3)
    await house.use("ann", "tiny", org="acme")
    await house.use("ann", "old", days_ago=40)
    await house.use("bob", "tiny", org="acme")
    shown = (await house.client.get("/api/usage", headers=ann)).json()
    assert [(row["model"], row["org"], row["requests"], row["generated_tokens"]) for row in shown["usage"]] == [
        ("big", None, 1, 5),
        ("tiny", None, 2, 10),
        ("tiny", "acme", 1, 5),
    ]
    assert {row["account"] for row in shown["usage"]} == {"ann"}
    assert shown["total"]["requests"] == 4
    assert shown["total"]["prompt_tokens"] == 12
    assert len((await house.client.get("/api/usage?days=1", headers=ann)).json()["usage"]) == 2
    assert len((await house.client.get("/api/usage?days=60", headers=ann)).json()["usage"]) == 4
    of_acme = (await house.client.get("/api/usage?org=acme", headers=bob)).json()["usage"]
    assert [(row["account"], row["org"], row["requests"]) for row in of_acme] == [
        ("ann", "acme", 1),
        ("bob", "acme", 1),
    ]
    by_its_token = await house.client.get("/api/usage", headers=await house.token("acme"))
    assert by_its_token.json()["usage"] == of_acme


@pytest.mark.parametrize("name", ["acme", "nothing", "bob", "ann"])
async def test_an_organisations_usage_is_for_its_admins(house: House, name: str) -> None:
    ann = await house.user("ann")
    await house.user("bob")
    await house.org("acme", ann="write", bob="admin")
    answer = await house.client.get("/api/usage", params={"org": name}, headers=ann)
    assert answer.status_code == 403
    assert answer.json()["error"] == (
        "You cannot see the usage of this organisation: only its admins can. Please check its name."
    )


async def test_usage_as_a_table_that_no_spreadsheet_executes(house: House) -> None:
    ann = await house.user("ann")
    for model in ("-x/y", "=cmd()", "+1", "@SUM(A1)", "plain"):
        await house.use("ann", model)
    for headers, path in ((ann, "/api/usage?format=csv"), (ann | {"accept": "text/csv"}, "/api/usage")):
        answer = await house.client.get(path, headers=headers)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"].startswith("attachment")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert sorted(row["model"] for row in rows) == ["'+1", "'-x/y", "'=cmd()", "'@SUM(A1)", "plain"]
        assert rows[0]["org"] == ""
        assert rows[0]["generated_tokens"] == "5"


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "99999", "٣", "1" * 50, ""])
async def test_days_are_a_number_within_bounds(house: House, days: str) -> None:
    ann = await house.user("ann")
    answer = await house.client.get("/api/usage", params={"days": days}, headers=ann)
    assert answer.status_code == 422
    assert "days" in answer.json()["error"]


async def test_usage_needs_a_token(house: House) -> None:
    for headers in ({}, {"authorization": f"Bearer {mint()}"}):
        assert (await house.client.get("/api/usage", headers=headers)).status_code == 401


async def test_scopes_reach_the_line(house: House) -> None:
    ann = await house.user("ann", role=Role.FINE_GRAINED, scopes=(f"{INFERENCE_SCOPE}:demo/*", "repo.read"))
    await house.ask(ann)
    (caller,) = house.source.callers
    assert caller.may_infer
    assert (caller.may_run("demo/tiny-coder"), caller.may_run("other/model")) == (True, False)
