"""Organisations in a browser: who sees them, who changes what, and that one admin always stays."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.site_scene import Web, open_web, words
from tests.http.smtp_stand_in import open_postbox

ACME = "/organizations/acme"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        for name in ("ann", "bob", "eve"):
            await web.house.user(name)
        await web.house.org("acme", ann="admin", bob="write")
        yield web


async def roles(web: Web) -> dict[str, str]:
    org = await web.store.accounts.by_name("acme")
    assert org is not None
    return {account.name: place.role for place, account in await web.store.organisations.members(org.id)}


async def test_members_see_it_and_nobody_else_learns_of_it(web: Web) -> None:
    ann, bob, eve = [await web.signed_in(name) for name in ("ann", "bob", "eve")]
    assert "Invite somebody" in words(await ann.get(ACME))
    page = words(await bob.get(ACME))
    assert "acme" in page
    assert "Invite somebody" not in page
    there, nowhere = await eve.get(ACME), await eve.get("/organizations/nowhere")
    assert (there.status_code, words(there)) == (nowhere.status_code, words(nowhere)) == (404, words(nowhere))


@pytest.mark.parametrize("action", ["invite", "role", "remove"])
async def test_only_admins_change_it(web: Web, action: str) -> None:
    for name, status in (("bob", 403), ("eve", 404)):
        browser = await web.signed_in(name)
        await browser.get("/settings/account")
        answer = await browser.post(f"{ACME}/{action}", {"user": "bob", "role": "admin"})
        assert answer.status_code == status
    assert await roles(web) == {"ann": "admin", "bob": "write"}


async def test_roles_and_members(web: Web) -> None:
    browser = await web.signed_in("ann")
    await browser.submit(ACME, f"{ACME}/role", {"user": "bob", "role": "read"})
    assert "The role is set" in words(browser.last)
    assert (await roles(web))["bob"] == "read"
    for form in ({"user": "bob", "role": "owner"}, {"user": "eve", "role": "read"}, {"user": "", "role": ""}):
        assert (await browser.submit(ACME, f"{ACME}/role", form)).status_code == 422
    await browser.submit(ACME, f"{ACME}/remove", {"user": "bob"})
    assert await roles(web) == {"ann": "admin"}
    assert [entry.actor for entry in await web.store.audit.list(subject="acme", limit=2)] == ["ann", "ann"]


async def test_one_admin_always_stays(web: Web) -> None:
    browser = await web.signed_in("ann")
    for path, form in (("role", {"user": "ann", "role": "read"}), ("remove", {"user": "ann"}), ("leave", {})):
        page = await browser.submit(ACME, f"{ACME}/{path}", form)
        assert (page.status_code, "at least one admin" in words(page)) == (422, True)
    await browser.submit(ACME, f"{ACME}/role", {"user": "bob", "role": "admin"})
    await browser.submit(ACME, f"{ACME}/leave")
    assert "You have left" in words(browser.last)
    assert await roles(web) == {"bob": "admin"}


async def test_an_invitation_from_the_page_lets_one_in(web: Web) -> None:
    browser = await web.signed_in("ann")
    await browser.get(ACME)
    page = await browser.post(f"{ACME}/invite", {"role": "write"})
    [link] = re.findall(r"http://localhost:8080(/invitation/[\w-]+)", page.text)
    eve = await web.signed_in("eve")
    await eve.get(link)
    await eve.post(link)
    assert (await roles(web))["eve"] == "write"
    late = await web.signed_in("bob")
    assert (await late.get(link)).status_code == 404


async def test_an_invitation_by_mail(tmp_path: Path) -> None:
    async with open_postbox() as box:
        mail = {"smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_security": "none", "mail_from": "p@example.org"}
        async with open_web(tmp_path, **mail) as web:
            browser = await web.signed_in("ann")
            await web.house.org("acme", ann="admin")
            await browser.get(ACME)
            page = await browser.post(f"{ACME}/invite", {"role": "read", "email": "new@example.org"})
            assert "on its way to new@example.org" in words(page)
            letter = await box.next()
            assert letter["subject"] == "ann invites you to acme"
            assert (await browser.submit(ACME, f"{ACME}/invite", {"role": "read", "email": "x"})).status_code == 422
