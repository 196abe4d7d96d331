"""Tokens in a browser: what is made works at the API, is shown once, and is nobody else's to see or change."""

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from pronto.accounts.tokens import TOKEN_PATTERN
from tests.http.site_scene import Browser, Web, open_web, words

NEW = "/settings/tokens/new"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        yield web


async def make(browser: Browser, **fields: object) -> str:
    """The secret of a new token."""
    await browser.get(NEW)
    once = re.search(r'name="once" value="([\w-]+)"', browser.last.text)
    assert once is not None
    form = {"name": "laptop", "role": "fineGrained", "expires": "90d", "once": once[1], **fields}
    page = await browser.post(NEW, form)
    found = TOKEN_PATTERN.search(page.text)
    assert found is not None, words(page)
    return found[0]


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def test_a_token_is_made_shown_once_and_works(web: Web) -> None:
    browser = await web.signed_in("ann", "pro")
    secret = await make(browser)
    assert "shown this once" in words(browser.last)
    assert f"Bearer {secret}" in words(browser.last), "a curl that is ready to run"
    assert browser.last.headers["cache-control"] == "no-store"
    assert (await web.house.ask(bearer(secret))).status_code == 200
    listed = await browser.get("/settings/tokens")
    assert secret not in listed.text
    assert f"…{secret[-4:]}" in words(listed)
    [row] = [row for row in await web.store.tokens.list() if row.name == "laptop"]
    assert row.expires is not None
    assert abs(row.expires - time.time() - 90 * 86_400) < 60
    assert (row.role, row.scopes) == ("fineGrained", ("inference.serverless.write",))
    entry = (await web.store.audit.list(subject="ann"))[0]
    assert (entry.actor, entry.action) == ("ann", "token.create")
    assert secret not in str(entry)


async def test_a_form_that_is_sent_again_makes_no_second_token(web: Web) -> None:
    browser = await web.signed_in("ann")
    await browser.get(NEW)
    once = re.search(r'name="once" value="([\w-]+)"', browser.last.text)
    assert once is not None
    form = {"name": "twice", "role": "read", "once": once[1]}
    assert (await browser.post(NEW, form)).status_code == 200
    assert (await browser.post(NEW, form)).status_code == 303
    assert "done already" in words(await browser.follow())
    assert len([row for row in await web.store.tokens.list() if row.name == "twice"]) == 1


async def test_the_hubs_own_link(web: Web) -> None:
    browser = await web.signed_in("ann")
    page = await browser.get(f"{NEW}?ownUserPermissions=inference.serverless.write&tokenType=fineGrained")
    assert re.search(r'value="fineGrained" checked', page.text)
    page = await browser.get(f"{NEW}?tokenType=read")
    assert re.search(r'value="read" checked', page.text)
    page = await browser.get(f'{NEW}?tokenType="><script>&org=<b>&model=<i>')
    assert "<script>&" not in page.text
    assert "<b>" not in page.text.replace("<b>Fine-grained</b>", "").replace("<b>Read</b>", "").replace(
        "<b>Write</b>", ""
    )
    stranger = await web.browser().get(f"{NEW}?ownUserPermissions=inference.serverless.write&tokenType=fineGrained")
    assert stranger.headers["location"] == (
        "/login?next=%2Fsettings%2Ftokens%2Fnew%3FownUserPermissions%3Dinference.serverless.write%26tokenType%3DfineGrained"
    )


async def test_a_token_for_some_models(web: Web) -> None:
    browser = await web.signed_in("ann")
    secret = await make(browser, reach="some", model="tiny", patterns="demo/*, other/x")
    assert (await web.house.ask(bearer(secret))).status_code == 200
    assert web.house.source.callers[-1].model_patterns == ("demo/*", "other/x", "tiny")
    assert "3 models" in words(await browser.get("/settings/tokens"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "1 to 96 characters"),
        ({"name": "x" * 97}, "1 to 96 characters"),
        ({"role": "admin"}, "choose one of these"),
        ({"role": ""}, "choose one of these"),
        ({"reach": "some"}, "Choose a model"),
        ({"reach": "some", "patterns": "a b; DROP"}, "is no scope"),
        ({"expires": "yesterday"}, "is no time"),
        ({"expires": "date", "until": "2020-01-01"}, "not in the future"),
    ],
)
async def test_what_cannot_be_meant(web: Web, fields: dict[str, object], said: str) -> None:
    browser = await web.signed_in("ann")
    page = await browser.submit(NEW, NEW, {"name": "laptop", "role": "fineGrained", "expires": "90d", **fields})
    assert page.status_code == 422
    assert said in words(page)
    assert [row.name for row in await web.store.tokens.list()] == ["ann's"]


async def test_no_form_makes_an_administrators_token(web: Web) -> None:
    browser = await web.administrator()
    secret = await make(browser, scopes="admin", reach="all")
    assert (await web.house.client.get("/api/admin/users", headers=bearer(secret))).status_code == 403
    page = await browser.submit(NEW, NEW, {"name": "x", "role": "fineGrained", "reach": "some", "patterns": "x admin"})
    rows = await web.store.tokens.list()
    assert all("admin" not in row.scopes for row in rows), words(page)


async def test_another_secret_and_none_any_more(web: Web) -> None:
    browser = await web.signed_in("ann")
    old = await make(browser)
    [row] = [row for row in await web.store.tokens.list() if row.name == "laptop"]
    page = await browser.get(f"/settings/tokens/{row.id}")
    once = re.search(r'name="once" value="([\w-]+)"', page.text)
    assert once is not None
    page = await browser.post(f"/settings/tokens/{row.id}/rotate", {"once": once[1]})
    found = TOKEN_PATTERN.search(page.text)
    assert found is not None
    assert (await web.house.ask(bearer(old))).status_code == 401
    assert (await web.house.ask(bearer(found[0]))).status_code == 200
    again = await browser.post(f"/settings/tokens/{row.id}/rotate", {"once": once[1]})
    assert again.status_code == 303, "sent again, it does nothing"
    await browser.get(f"/settings/tokens/{row.id}")
    await browser.post(f"/settings/tokens/{row.id}/revoke")
    assert "revoked" in words(await browser.follow())
    assert (await web.house.ask(bearer(found[0]))).status_code == 401
    assert (await browser.get(f"/settings/tokens/{row.id}")).status_code == 404


async def test_nobody_sees_or_changes_anothers(web: Web) -> None:
    ann, bob = await web.signed_in("ann"), await web.signed_in("bob")
    secret = await make(ann)
    [row] = [row for row in await web.store.tokens.list() if row.name == "laptop"]
    mine = f"/settings/tokens/{row.id}"
    for path in (mine, f"{mine}/rotate", f"{mine}/revoke"):
        await bob.get("/settings/tokens")
        answer = await (bob.get(path) if path == mine else bob.post(path))
        assert answer.status_code == 404
    page = await bob.submit(NEW, NEW, {"name": "x", "role": "read", "owner": "ann"})
    assert page.status_code == 403
    assert (await web.house.ask(bearer(secret))).status_code == 200


async def test_tokens_of_an_organisation_are_for_its_admins(web: Web) -> None:
    ann, bob = await web.signed_in("ann"), await web.signed_in("bob")
    await web.house.org("acme", ann="admin", bob="write")
    secret = await make(ann, owner="acme", name="ci")
    assert (await web.house.ask(bearer(secret))).status_code == 200
    caller = web.house.source.callers[-1]
    assert (caller.account, caller.tenant) == ("acme", f"org:{caller.org_id}")
    assert "acme" in words(await ann.get("/settings/tokens"))
    assert "ci" not in words(await bob.get("/settings/tokens")).split()
    assert (await bob.submit(NEW, NEW, {"name": "x", "role": "read", "owner": "acme"})).status_code == 403


async def test_names_are_text(web: Web) -> None:
    browser = await web.signed_in("ann")
    name = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    await make(browser, name=name)
    pages: list[httpx.Response] = [browser.last, await browser.get("/settings/tokens")]
    assert all("<script>alert" not in page.text and "<img src=x" not in page.text for page in pages)
    assert all("alert(1)" in page.text for page in pages)
