"""A device is let in, or turned away, by whoever is signed in on the page that it shows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pronto.accounts.tokens import TOKEN_PATTERN
from tests.http.site_scene import Web, open_web, words

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path) as web:
        yield web


async def begin(web: Web) -> dict[str, str]:
    begun: dict[str, str] = (await web.house.client.post("/oauth/device", data={"client_id": "c1"})).json()
    return begun


async def poll(web: Web, begun: dict[str, str]) -> dict[str, str]:
    form = {"grant_type": GRANT, "device_code": begun["device_code"], "client_id": "c1"}
    answer: dict[str, str] = (await web.house.client.post("/oauth/token", data=form)).json()
    return answer


async def test_a_device_is_let_in(web: Web) -> None:
    begun = await begin(web)
    link = begun["verification_uri_complete"].removeprefix("http://server:8080")
    stranger = await web.browser().get(link)
    assert stranger.headers["location"].startswith("/login?next=%2Foauth%2Fdevice%3Fuser_code%3D")
    browser = await web.signed_in("ann")
    page = await browser.get(link)
    assert begun["user_code"] in words(page)
    assert "Your account ann" in words(page)
    await browser.post("/device", {"user_code": begun["user_code"], "decision": "confirm"})
    assert "Your device is in" in words(browser.last)
    token = (await poll(web, begun))["access_token"]
    assert TOKEN_PATTERN.fullmatch(token)
    assert (await web.house.ask({"authorization": f"Bearer {token}"})).status_code == 200
    assert web.house.source.callers[-1].account == "ann"
    entry = (await web.store.audit.list(subject="ann"))[0]
    assert (entry.actor, entry.action) == ("ann", "login.confirm")


async def test_a_device_is_turned_away(web: Web) -> None:
    begun = await begin(web)
    browser = await web.signed_in("ann")
    await browser.get("/oauth/device")
    await browser.post("/device", {"user_code": begun["user_code"].lower(), "decision": "deny"})
    assert "was not let in" in words(browser.last)
    assert (await poll(web, begun))["error"] == "access_denied"


async def test_codes_that_are_none(web: Web) -> None:
    browser = await web.signed_in("ann")
    for code in ("<script>", "x", ""):
        page = await browser.get(f"/oauth/device?user_code={code}")
        assert page.status_code == 200
        assert "As your device shows it" in words(page)
        assert '<script>"' not in page.text
    page = await browser.get("/oauth/device?user_code=BCDF-GHJK")
    assert (page.status_code, "No login with this code" in words(page)) == (404, True)
    await browser.post("/device", {"user_code": "BCDF-GHJK", "decision": "confirm"})
    assert browser.last.status_code == 404
    for _ in range(10):
        await browser.get("/oauth/device?user_code=BCDF-GHJK")
    assert browser.last.status_code == 429


async def test_other_clients_get_what_they_always_got(web: Web) -> None:
    answer = (await web.house.client.get("/oauth/device?user_code=BCDF-GHJK")).json()
    assert answer["command"] == "pronto login confirm BCDF-GHJK --user NAME"
