"""Signing in and out, joining, forgotten passwords and invitations, as people do it in a browser."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pronto.accounts.links import LinkKind, Offer
from pronto.accounts.people import WRONG
from tests.http.site_scene import Browser, Web, open_web, words
from tests.http.smtp_stand_in import Postbox, open_postbox

GOOD, OTHER = "three blue geese", "four green frogs"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path, sign_up="open") as web:
        yield web


@pytest.fixture
async def postbox() -> AsyncIterator[Postbox]:
    async with open_postbox() as box:
        yield box


async def user(web: Web, name: str = "ann", email: str | None = None) -> None:
    """An account with a password."""
    account = await web.store.accounts.add(name, "free", email)
    await web.rooms.people.set_password(account, GOOD)


async def sign_in(browser: Browser, name: str, password: str = GOOD, **fields: str):
    return await browser.submit("/login", "/login", {"name": name, "password": password, **fields})


async def test_in_and_out(web: Web) -> None:
    await user(web)
    browser = web.browser()
    await browser.get("/settings/account")
    await browser.get(browser.last.headers["location"])
    before = browser.cookie
    await browser.post("/login", {"name": "ann", "password": GOOD, "next": "/settings/account"})
    assert browser.last.headers["location"] == "/settings/account"
    [cookie] = browser.last.headers.get_list("set-cookie")
    assert "Max-Age=604800" in cookie
    assert browser.cookie != before, "what the browser had before is worth nothing"
    assert "ann" in words(await browser.follow())
    kept = browser.cookie
    await browser.post("/logout")
    assert "You are signed out" in words(await browser.follow())
    thief = web.browser(cookie=kept)
    assert (await thief.get("/settings/account")).status_code == 303, "the server has ended it"


async def test_who_signs_in_again_ends_what_was_before(web: Web) -> None:
    await user(web)
    await user(web, "bob")
    browser = web.browser()
    await sign_in(browser, "ann")
    old = browser.cookie
    await browser.get("/settings/account")
    await browser.post("/login", {"name": "bob", "password": GOOD})
    assert "bob" in words(await browser.get("/settings/account"))
    assert (await web.browser(cookie=old).get("/settings/account")).status_code == 303


async def test_a_planted_cookie_is_worth_nothing(web: Web) -> None:
    await user(web)
    planted = "__Host-pronto=" + "a" * 43
    browser = web.browser(cookie=planted)
    await sign_in(browser, "ann")
    assert browser.cookie != planted
    assert (await web.browser(cookie=planted).get("/settings/account")).status_code == 303


@pytest.mark.parametrize(
    ("name", "password"), [("ann", OTHER), ("nobody", GOOD), ("", ""), ("acme", GOOD), ("plain", GOOD)]
)
async def test_the_same_words_whatever_is_wrong(web: Web, name: str, password: str) -> None:
    await user(web)
    await web.house.org("acme")
    await web.house.user("plain")
    page = await sign_in(web.browser(), name, password)
    assert page.status_code == 401
    assert WRONG in words(page)
    assert "www-authenticate" not in page.headers
    assert 'value="' + name in page.text
    assert not password or password not in page.text


async def test_by_mail_address_in_whatever_case(web: Web) -> None:
    await user(web, "ann", "Ann@Example.org")
    assert "ann" in words(await sign_in(web.browser(), "ann@example.ORG"))
    await user(web, "twin", "ann@example.org")
    assert WRONG in words(await sign_in(web.browser(), "ann@example.org")), "two have it, so it names nobody"


async def test_who_is_suspended_hears_it_only_with_the_password(web: Web) -> None:
    await user(web)
    await web.house.registry.suspend("ann")
    assert WRONG in words(await sign_in(web.browser(), "ann", OTHER))
    page = await sign_in(web.browser(), "ann")
    assert (page.status_code, "suspended" in words(page)) == (403, True)


async def test_tries_are_slowed_down_and_nobody_is_locked_out(web: Web) -> None:
    await user(web)
    await user(web, "bob")
    browser = web.browser()
    for _ in range(6):
        assert (await sign_in(browser, "ann", OTHER)).status_code == 401
    slow = await sign_in(browser, "ANN", GOOD)
    assert slow.status_code == 429
    assert "Too many tries" in words(slow)
    assert 1 <= int(slow.headers.get("retry-after", 10)) <= 10
    assert (await sign_in(web.browser(), "bob")).status_code == 200, "others behind the same address are not meant"
    web.clock[0] += 60
    assert (await sign_in(browser, "ann")).status_code == 200


async def test_whom_next_does_not_lead_elsewhere(web: Web) -> None:
    await user(web)
    browser = web.browser()
    await browser.get("/login?next=https://evil.example/")
    assert "evil" not in browser.last.text
    await browser.post("/login", {"name": "ann", "password": GOOD, "next": "//evil.example"})
    assert browser.last.headers["location"] == "/"


async def test_joining_where_everybody_may(web: Web) -> None:
    browser = web.browser()
    page = await browser.submit("/join", "/join", {"name": "newt", "password": "newt"})
    assert (page.status_code, "at least 8 characters" in words(page)) == (422, True)
    assert 'aria-invalid="true"' in page.text
    await browser.post("/join", {"name": "newt", "password": GOOD, "plan": "enterprise", "is_admin": "1"})
    assert browser.last.headers["location"].startswith("/settings/tokens/new")
    account = await web.store.accounts.by_name("newt")
    assert account is not None
    assert (account.plan, account.email) == ("free", None)
    assert not await web.store.passwords.is_administrator(account.id)
    assert "newt" in words(await browser.get("/settings/account"))
    again = await web.browser().submit("/join", "/join", {"name": "newt", "password": GOOD})
    assert (again.status_code, "There is an account named newt already" in words(again)) == (422, True)
    for name in ("", "operator", "a b", "<script>", "../x"):
        page = await web.browser().submit("/join", "/join", {"name": name, "password": GOOD})
        assert page.status_code in (422, 429)
        assert '<script>"' not in page.text


@pytest.mark.parametrize("sign_up", ["invitation", "closed"])
async def test_joining_where_not_everybody_may(tmp_path: Path, sign_up: str) -> None:
    async with open_web(tmp_path, sign_up=sign_up) as web:
        browser = web.browser()
        page = await browser.get("/join")
        assert ("invitation" in words(page)) == (sign_up == "invitation")
        await browser.get("/login")
        await browser.post("/join", {"name": "newt", "password": GOOD})
        assert browser.last.status_code == 403
        assert await web.store.accounts.by_name("newt") is None


async def test_an_invitation_works_once_and_gives_what_it_says(tmp_path: Path) -> None:
    async with open_web(tmp_path) as web:
        offer = Offer(kind=LinkKind.JOIN, made_by="operator", email="ann@example.org", plan="pro")
        code = await web.rooms.people.links.make(offer)
        browser, late = web.browser(), web.browser()
        page = await browser.get(f"/join/{code}")
        assert "ann@example.org" in words(page)
        await late.get(f"/join/{code}")
        await browser.post(f"/join/{code}", {"name": "ann", "password": GOOD})
        account = await web.store.accounts.by_name("ann")
        assert account is not None
        assert (account.plan, account.email) == ("pro", "ann@example.org")
        await late.post(f"/join/{code}", {"name": "eve", "password": GOOD})
        assert late.last.status_code == 404
        assert "does not work any more" in words(late.last)
        assert await web.store.accounts.by_name("eve") is None
        assert code.encode() not in (tmp_path / "pronto.db").read_bytes()
        for bad in ("x", code[:-1], code + "x"):
            assert (await web.browser().get(f"/join/{bad}")).status_code == 404
        password = await web.rooms.people.links.for_password(account, "operator")
        assert (await web.browser().get(f"/join/{password}")).status_code == 404, "a link is for one thing"


async def test_of_two_at_the_same_moment_one_gets_in(web: Web) -> None:
    code = await web.rooms.people.links.make(Offer(kind=LinkKind.JOIN, made_by="operator", plan="pro"))
    browsers = [web.browser() for _ in range(5)]
    for browser in browsers:
        await browser.get(f"/join/{code}")
    joins = [one.post(f"/join/{code}", {"name": f"n{at}", "password": GOOD}) for at, one in enumerate(browsers)]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*joins))
    assert statuses == [303, 404, 404, 404, 404]
    assert len(await web.store.accounts.list()) == 1


async def test_an_invitation_into_an_organisation(web: Web) -> None:
    await user(web)
    await web.house.org("acme")
    org = await web.store.accounts.by_name("acme")
    assert org is not None
    offer = Offer(kind=LinkKind.MEMBER, made_by="operator", org_id=org.id, role="write")
    first, second = [await web.rooms.people.links.make(offer) for _ in range(2)]
    browser = web.browser()
    page = await browser.get(f"/invitation/{first}")
    assert "Join acme" in words(page)
    await browser.get(f"/login?next=/invitation/{first}")
    await browser.post("/login", {"name": "ann", "password": GOOD, "next": f"/invitation/{first}"})
    await browser.follow()
    await browser.post(f"/invitation/{first}")
    assert browser.last.headers["location"] == "/organizations/acme?done=member"
    await web.browser().submit(f"/join/{second}", f"/join/{second}", {"name": "new", "password": GOOD})
    members = {account.name: place.role for place, account in await web.store.organisations.members(org.id)}
    assert members == {"ann": "write", "new": "write"}


async def test_a_password_is_changed_and_everybody_else_is_out(web: Web) -> None:
    await user(web)
    browser, other = web.browser(), web.browser()
    await sign_in(browser, "ann")
    await sign_in(other, "ann")
    change = "/settings/account/password"
    page = await browser.submit("/settings/account", change, {"current": OTHER, "password": OTHER})
    assert (page.status_code, "not your current password" in words(page)) == (422, True)
    page = await browser.submit("/settings/account", change, {"current": GOOD, "password": "password1"})
    assert page.status_code == 422
    before = browser.cookie
    page = await browser.submit("/settings/account", change, {"current": GOOD, "password": OTHER})
    assert "Your new password holds" in words(page)
    assert browser.cookie != before
    assert (await other.get("/settings/account")).status_code == 303
    web.clock[0] += 60
    assert (await sign_in(web.browser(), "ann")).status_code == 401
    assert (await sign_in(web.browser(), "ann", OTHER)).status_code == 200


async def test_a_forgotten_password_without_mail(web: Web) -> None:
    await user(web)
    page = await web.browser().get("/password")
    assert "sends no mail" in words(page)
    account = await web.store.accounts.by_name("ann")
    assert account is not None
    old = web.browser()
    await sign_in(old, "ann")
    code = await web.rooms.people.links.for_password(account, "operator")
    browser = web.browser()
    page = await browser.submit(f"/password/{code}", f"/password/{code}", {"password": "short"})
    assert (page.status_code, "at least 8" in words(page)) == (422, True)
    await browser.post(f"/password/{code}", {"password": OTHER})
    assert "Your new password holds" in words(await browser.follow())
    assert (await old.get("/settings/account")).status_code == 303
    assert (await sign_in(browser, "ann", OTHER)).status_code == 200
    assert (await web.browser().get(f"/password/{code}")).status_code == 404
    entries = await web.store.audit.list(subject="ann")
    assert entries[0].action == "password.set"
    assert entries[0].details == {"by_link": True}


async def test_a_forgotten_password_with_mail(tmp_path: Path, postbox: Postbox) -> None:
    mail = {"smtp_host": "127.0.0.1", "smtp_port": postbox.port, "smtp_security": "none", "mail_from": "p@example.org"}
    async with open_web(tmp_path, **mail) as web:
        await user(web, "ann", "ann@example.org")
        await user(web, "mute")
        browser = web.browser()
        postbox.refusals = 1
        pages = [await browser.submit("/password", "/password", {"name": who}) for who in ("nobody", "mute", "ann")]
        assert len({words(page) for page in pages}) == 1, "nobody learns who has an account"
        letter = await postbox.next()
        assert (letter["to"], letter["from"], letter["subject"]) == (
            "ann@example.org",
            "p@example.org",
            "A new password",
        )
        text = letter.get_payload(decode=True)
        assert isinstance(text, bytes)
        [link] = re.findall(r"http://localhost:8080(/password/\S+)", text.decode())
        await browser.submit(link, link, {"password": OTHER})
        assert (await sign_in(browser, "ann", OTHER)).status_code == 200
        for _ in range(4):
            await browser.submit("/password", "/password", {"name": "ann"})
        assert (await postbox.next())["to"] == "ann@example.org"
        assert postbox.letters == [], "two a minute for one account"


async def test_joining_with_mail_confirms_the_address(tmp_path: Path, postbox: Postbox) -> None:
    mail = {"smtp_host": "127.0.0.1", "smtp_port": postbox.port, "smtp_security": "none", "mail_from": "p@example.org"}
    async with open_web(tmp_path, sign_up="open", **mail) as web:
        await user(web, "ann", "ann@example.org")
        browser = web.browser()
        wrong = await browser.submit("/join", "/join", {"email": "no address"})
        assert wrong.status_code == 422
        for bad in ("a@b\nBcc: x@example.org", "a@b, c@d"):
            assert (await browser.submit("/join", "/join", {"email": bad})).status_code == 422
        new = await browser.submit("/join", "/join", {"email": "new@example.org"})
        letter = (await postbox.next()).get_payload(decode=True)
        known = await browser.submit("/join", "/join", {"email": "ann@example.org"})
        assert words(new).replace("new@", "ann@") == words(known), "nobody learns who has an account"
        assert "You have one already: ann" in (await postbox.next()).get_payload(decode=True).decode()
        [link] = re.findall(r"http://localhost:8080(/join/\S+)", letter.decode())
        await browser.submit(link, link, {"name": "newt", "password": GOOD})
        account = await web.store.accounts.by_name("newt")
        assert account is not None
        assert account.email == "new@example.org"


async def test_an_old_hash_is_made_anew_at_the_sign_in(web: Web) -> None:
    await user(web)
    account = await web.store.accounts.by_name("ann")
    assert account is not None
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(GOOD)
    await web.store.passwords.set(account.id, weak, time.time())
    assert (await sign_in(web.browser(), "ann")).status_code == 200
    assert await web.store.passwords.get(account.id) != weak
