"""Browsers that are signed in: how long, what ends them, and what their pages' scripts may do."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pronto.accounts.authenticator import Authenticator
from pronto.accounts.sessions import IDLE, LIFETIME, MOST, MOST_TOKENS, TOKEN_LIFETIME, Place, Sessions
from pronto.core.errors import Unauthenticated
from pronto.core.identity import INFERENCE_SCOPE
from pronto.store.base import Account
from pronto.store.database import open_store
from tests.http.site_scene import Web, open_web, put_database, words

HOME = Place("192.0.2.1", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")


class Scene:
    def __init__(self, store, ann: Account) -> None:
        self.now = 1_800_000_000.0
        self.store, self.ann = store, ann
        self.sessions = Sessions(store, lambda: self.now)
        self.door = Authenticator(store, lambda: self.now)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    store = await open_store(put_database(tmp_path))
    yield Scene(store, await store.accounts.add("ann", "pro"))
    await store.close()


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        yield web


async def test_a_browser_is_known_until_it_is_idle_or_old(scene: Scene) -> None:
    secret, row = await scene.sessions.begin(scene.ann, HOME)
    found = await scene.sessions.find(secret)
    assert found is not None
    assert (found[0].id, found[1].name) == (row.id, "ann")
    scene.now += IDLE - 1
    assert await scene.sessions.find(secret) is not None, "a page was opened, so the time begins again"
    scene.now += IDLE - 1
    assert await scene.sessions.find(secret) is not None
    scene.now += IDLE
    assert await scene.sessions.find(secret) is None
    secret, row = await scene.sessions.begin(scene.ann, HOME)
    while scene.now < row.expires - 3600:
        scene.now += 3600
        assert await scene.sessions.find(secret) is not None
    scene.now = row.expires
    assert await scene.sessions.find(secret) is None
    assert row.expires - row.created == LIFETIME


async def test_no_cookie_and_no_page_token_is_kept(scene: Scene, tmp_path: Path) -> None:
    secret, row = await scene.sessions.begin(scene.ann, HOME)
    token, _ = await scene.sessions.page_token(row)
    await scene.store.close()
    for file in tmp_path.rglob("*"):  # noqa: ASYNC240  because nothing else runs
        if file.is_file():
            assert secret.encode() not in file.read_bytes()
            assert token.encode() not in file.read_bytes()


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "x" * 1000, "é" * 43, "'; DROP TABLE sign_ins; --......."])
async def test_what_is_no_cookie_of_ours(scene: Scene, secret: str) -> None:
    await scene.sessions.begin(scene.ann, HOME)
    assert await scene.sessions.find(secret) is None


async def test_a_suspended_account_is_signed_out(scene: Scene) -> None:
    secret, _ = await scene.sessions.begin(scene.ann, HOME)
    await scene.store.accounts.suspend(scene.ann.id, scene.now)
    assert await scene.sessions.find(secret) is None


async def test_one_is_ended_and_only_ones_own(scene: Scene) -> None:
    bob = await scene.store.accounts.add("bob", "free")
    first, row = await scene.sessions.begin(scene.ann, HOME)
    second, _ = await scene.sessions.begin(scene.ann, HOME)
    assert not await scene.sessions.end(bob.id, row.id)
    assert await scene.sessions.end(scene.ann.id, row.id)
    assert await scene.sessions.find(first) is None
    assert await scene.sessions.find(second) is not None
    third, kept = await scene.sessions.begin(scene.ann, HOME)
    assert await scene.sessions.end_all(scene.ann.id, but=kept.id) == 1
    assert await scene.sessions.find(third) is not None
    assert await scene.sessions.end_all(scene.ann.id) == 1
    assert await scene.sessions.find(third) is None


async def test_an_account_has_so_many_browsers(scene: Scene) -> None:
    secrets = []
    for _ in range(MOST + 2):
        scene.now += 1
        secrets.append((await scene.sessions.begin(scene.ann, HOME))[0])
    assert await scene.sessions.find(secrets[0]) is None
    assert await scene.sessions.find(secrets[2]) is not None
    assert len(await scene.sessions.of(scene.ann)) == MOST


async def test_a_pages_token_runs_models_and_nothing_else_and_ends_with_the_sign_in(scene: Scene) -> None:
    _, row = await scene.sessions.begin(scene.ann, HOME)
    token, seconds = await scene.sessions.page_token(row)
    assert token.startswith("gws_")
    assert seconds == TOKEN_LIFETIME
    caller = await scene.door.authenticate(f"Bearer {token}")
    assert (caller.account, caller.plan, caller.scopes) == ("ann", "pro", frozenset({INFERENCE_SCOPE}))
    assert caller.may_infer
    assert not caller.may_administrate
    assert not caller.is_anonymous
    assert await scene.door.still_valid(caller)
    await scene.sessions.end(scene.ann.id, row.id)
    scene.door.forget()
    assert not await scene.door.still_valid(caller)
    with pytest.raises(Unauthenticated):
        await scene.door.authenticate(f"Bearer {token}")


async def test_a_pages_token_ends_by_itself(scene: Scene) -> None:
    _, row = await scene.sessions.begin(scene.ann, HOME)
    scene.now = row.expires - 10
    token, seconds = await scene.sessions.page_token(row)
    assert seconds == 10
    await scene.door.authenticate(f"Bearer {token}")
    scene.now += 10
    with pytest.raises(Unauthenticated):
        await scene.door.authenticate(f"Bearer {token}")


async def test_a_browser_has_so_many_pages(scene: Scene) -> None:
    _, row = await scene.sessions.begin(scene.ann, HOME)
    tokens = []
    for _ in range(MOST_TOKENS + 1):
        scene.now += 1
        tokens.append((await scene.sessions.page_token(row))[0])
    with pytest.raises(Unauthenticated):
        await scene.door.authenticate(f"Bearer {tokens[0]}")
    await scene.door.authenticate(f"Bearer {tokens[1]}")


async def test_what_has_expired_is_deleted(scene: Scene) -> None:
    _, row = await scene.sessions.begin(scene.ann, HOME)
    await scene.sessions.page_token(row)
    scene.now = row.expires
    await scene.sessions.tidy()
    assert await scene.store.sign_ins.of(scene.ann.id) == []


async def test_the_page_lists_and_ends_browsers(web: Web) -> None:
    browser, other = await web.signed_in("ann"), await web.signed_in("ann")
    await (await web.signed_in("bob")).get("/settings/sessions")
    page = await browser.get("/settings/sessions")
    assert page.text.count('/end"') == 3, "two browsers, and a button for all others"
    assert words(page).count("this one") == 1
    await browser.post("/settings/sessions/end")
    assert "All other browsers are signed out" in words(await browser.follow())
    assert (await other.get("/settings/sessions")).status_code == 303
    await browser.get("/settings/sessions")
    await browser.post("/settings/sessions/1/end")
    assert "You are signed out" in words(await browser.follow())
    assert not browser.cookie.startswith("__Host-pronto=;")
    assert (await browser.get("/settings/sessions")).status_code == 303


async def test_nobody_ends_anothers(web: Web) -> None:
    ann, bob = await web.signed_in("ann"), await web.signed_in("bob")
    await bob.get("/settings/sessions")
    assert (await bob.post("/settings/sessions/1/end")).status_code == 404
    assert (await ann.get("/settings/sessions")).status_code == 200


async def test_a_script_gets_a_token_runs_a_model_and_loses_it_at_the_sign_out(web: Web) -> None:
    browser = await web.signed_in("ann")
    await browser.get("/settings/sessions")
    given = (await browser.post("/session/token", accept="application/json")).json()
    headers = {"authorization": f"Bearer {given['token']}"}
    assert (await web.house.ask(headers)).status_code == 200
    assert web.house.source.callers[-1].account == "ann"
    assert (await web.house.client.get("/api/limits", headers=headers)).json()["account"] == "ann"
    assert (await web.house.client.get("/api/admin/users", headers=headers)).status_code == 403
    await browser.get("/settings/sessions")
    await browser.post("/logout")
    assert (await web.house.ask(headers)).status_code == 401
    again = await browser.get("/session/token", accept="application/json")
    assert (again.status_code, again.json()["error_type"]) == (405, "method_not_allowed")


async def test_the_api_reads_no_cookie(web: Web) -> None:
    browser = await web.signed_in("ann")
    answer = await web.house.client.post("/models/tiny", json={"inputs": "x"}, headers={"cookie": browser.cookie})
    assert answer.status_code == 401
