"""Sign-in with a provider: who gets in, what groups give, and that lies and forged answers get nobody in."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from pronto.settings import Settings, SsoProvider
from tests.http import oidc_stand_in as idp
from tests.http.edge_scene import running
from tests.http.oidc_stand_in import CLIENT, SECRET, Provider
from tests.http.site_scene import Browser, Web, open_web, words

GROUPS = {"engineering": "acme", "leads": "acme:admin"}


@pytest.fixture(scope="module")
def provider_server() -> Iterator[Provider]:
    provider = Provider()
    with running(provider.app) as server:
        provider.issuer = f"http://localhost:{server.port}"
        yield provider


@pytest.fixture
def provider(provider_server: Provider) -> Provider:
    provider_server.reset()
    return provider_server


@pytest.fixture
async def web(tmp_path: Path, provider: Provider) -> AsyncIterator[Web]:
    corp = SsoProvider(
        name="corp",
        title="Corp",
        issuer=provider.issuer,
        client_id=CLIENT,
        client_secret=SECRET,
        domains=("corp.example",),
        groups=GROUPS,
        plans={"engineering": "pro", "leads": "enterprise"},
        administrators=("operators",),
    )
    other = SsoProvider(name="other", issuer=provider.issuer, client_id=CLIENT, client_secret=SECRET)
    async with open_web(tmp_path, sso=(corp, other)) as web:
        await web.house.org("acme")
        yield web


async def away(browser: Browser, name: str = "corp", next_page: str = "/models") -> str:
    """To the provider: the address there."""
    answer = await browser.get(f"/sso/{name}?next={next_page}")
    assert answer.status_code == 303, words(answer)
    return str(answer.headers["location"])


async def come_back(browser: Browser, query: dict[str, str], name: str = "corp"):
    return await browser.get(f"/sso/{name}/callback?{urlencode(query)}")


async def sign_in(web: Web, provider: Provider, name: str = "corp") -> Browser:
    browser = web.browser()
    await come_back(browser, provider.let_in(await away(browser, name)), name)
    return browser


async def test_the_first_sign_in_makes_an_account_and_the_next_finds_it(web: Web, provider: Provider) -> None:
    browser = web.browser()
    page = await browser.get("/login")
    assert "Sign in with Corp" in words(page)
    address = await away(browser)
    query = provider.let_in(address)
    assert provider.asked["response_type"] == "code"
    assert provider.asked["code_challenge_method"] == "S256"
    assert provider.asked["redirect_uri"] == "http://localhost:8080/sso/corp/callback"
    assert len(provider.asked["state"]) > 20
    before = browser.cookie
    answer = await come_back(browser, query)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models")
    assert browser.cookie != before
    account = await web.store.accounts.by_name("ann")
    assert account is not None
    assert (account.email, account.plan) == ("ann@corp.example", "free")
    assert "by Corp" in words(await browser.get("/settings/sessions"))
    again = await sign_in(web, provider)
    assert "ann" in words(await again.get("/settings/account"))
    assert len([one for one in await web.store.accounts.list() if one.kind == "user"]) == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"aud": None},
        {"nonce": "of another attempt"},
        {"nonce": None},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"sub": None},
    ],
    ids=str,
)
async def test_a_token_that_does_not_hold_gets_nobody_in(web: Web, provider: Provider, claims: dict[str, Any]) -> None:
    provider.claims = claims
    await nobody_gets_in(web, provider)


@pytest.mark.parametrize(
    "sign",
    [
        idp.unsigned,
        idp.with_another_key,
        idp.with_the_public_key_as_a_secret,
        idp.with_a_key_of_its_own,
        idp.changed_afterwards,
        lambda _: "",
        lambda _: "a.b.c",
    ],
)
async def test_a_signature_that_does_not_hold_gets_nobody_in(
    web: Web, provider: Provider, sign: Callable[[dict[str, Any]], str]
) -> None:
    provider.sign = sign
    await nobody_gets_in(web, provider)


async def nobody_gets_in(web: Web, provider: Provider) -> None:
    browser = web.browser()
    answer = await come_back(browser, provider.let_in(await away(browser)))
    assert answer.status_code == 422
    assert "did not succeed" in words(answer)
    assert (await browser.get("/settings/account")).status_code == 303
    assert await web.store.accounts.by_name("ann") is None


async def test_an_answer_counts_once_and_for_the_browser_that_asked(web: Web, provider: Provider) -> None:
    browser, thief, victim = web.browser(), web.browser(), web.browser()
    query = provider.let_in(await away(browser))
    stolen = await come_back(thief, query)
    assert (stolen.status_code, "another browser" in words(stolen)) == (422, True)
    assert (await come_back(browser, query)).status_code == 422, "somebody has tried it already"
    query = provider.let_in(await away(browser))
    assert (await come_back(browser, query)).status_code == 303
    assert (await come_back(browser, query)).status_code == 422
    await victim.get("/login")
    planted = await come_back(victim, provider.let_in(await away(web.browser())))
    assert planted.status_code == 422, "nobody is signed in as somebody else"
    assert (await victim.get("/settings/account")).status_code == 303


@pytest.mark.parametrize(
    "change",
    [
        {"state": "x"},
        {"state": ""},
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"code": "x"},
        {"code": ""},
        {"error": "access_denied"},
    ],
    ids=str,
)
async def test_a_forged_answer_gets_nobody_in(web: Web, provider: Provider, change: dict[str, str]) -> None:
    browser = web.browser()
    query = provider.let_in(await away(browser)) | change
    answer = await come_back(browser, {name: value for name, value in query.items() if value})
    assert answer.status_code == 422
    assert (await browser.get("/settings/account")).status_code == 303


async def test_an_answer_that_comes_late_or_for_another_provider(web: Web, provider: Provider) -> None:
    browser = web.browser()
    query = provider.let_in(await away(browser))
    assert (await come_back(browser, query, "other")).status_code == 422
    query = provider.let_in(await away(browser))
    web.clock[0] += 601
    assert (await come_back(browser, query)).status_code == 422


async def test_a_provider_that_calls_itself_otherwise_is_not_asked(web: Web, provider: Provider) -> None:
    provider.described = {"issuer": "https://evil.example"}
    answer = await web.browser().get("/sso/corp")
    assert (answer.status_code, "not set up" in words(answer)) == (422, True)
    assert (await web.browser().get("/sso/nobody")).status_code == 404


async def test_groups_give_and_take(web: Web, provider: Provider) -> None:
    async def state() -> tuple[str, dict[str, str], bool]:
        account = await web.store.accounts.by_name("ann")
        assert account is not None
        places = {org.name: place.role for place, org in await web.store.organisations.of(account.id)}
        return account.plan, places, await web.store.passwords.is_administrator(account.id)

    provider.claims = {"groups": ["engineering", "unknown"]}
    await sign_in(web, provider)
    assert await state() == ("pro", {"acme": "write"}, False)
    provider.claims = {"groups": ["engineering", "leads", "operators"]}
    browser = await sign_in(web, provider)
    assert await state() == ("enterprise", {"acme": "admin"}, True)
    assert (await browser.get("/admin")).status_code == 200
    provider.claims, provider.more = {}, {"groups": []}
    browser = await sign_in(web, provider)
    assert await state() == ("free", {}, False)
    assert (await browser.get("/admin")).status_code == 403
    provider.more = {"groups": ["operators"], "sub": "root"}
    browser = web.browser()
    assert (await come_back(browser, provider.let_in(await away(browser)))).status_code == 422
    assert {entry.actor for entry in await web.store.audit.list(subject="acme", limit=3)} <= {"sso:corp", "operator"}


async def test_an_address_alone_is_nobody(web: Web, provider: Provider) -> None:
    """Not the e-mail address but issuer and subject say who it is."""
    owner = await web.store.accounts.add("owner", "enterprise", "ann@corp.example")
    provider.claims = {"preferred_username": "owner", "email": "ann@corp.example"}
    await sign_in(web, provider)
    found = await web.store.passwords.identify(provider.issuer, "s-1")
    assert found is not None
    assert found.id != owner.id
    assert found.name.startswith("owner-")
    provider.claims = {"sub": "s-2", "groups": [], "email_verified": False, "preferred_username": '"><script>'}
    await sign_in(web, provider)
    other = await web.store.passwords.identify(provider.issuer, "s-2")
    assert other is not None
    assert (other.email, other.name) == (None, "script")


async def test_a_domain_signs_in_with_its_provider_only(web: Web, provider: Provider) -> None:
    account = await web.store.accounts.add("bob", "free", "bob@corp.example")
    await web.rooms.people.set_password(account, "three blue geese")
    for name in ("bob@corp.example", "anybody@CORP.example", "bob"):
        browser = web.browser()
        await browser.get("/login?next=/models")
        answer = await browser.post("/login", {"name": name, "password": "three blue geese", "next": "/models"})
        assert answer.headers["location"] == "/sso/corp?next=%2Fmodels", name
        assert (await browser.get("/settings/account")).status_code == 303


async def test_who_is_signed_in_adds_a_provider(web: Web, provider: Provider) -> None:
    browser = await web.signed_in("carl")
    await browser.get("/settings/account")
    answer = await browser.post("/sso/corp/link")
    assert provider.issuer in (await browser.get("/login")).headers.get("content-security-policy", "")
    query = provider.let_in(answer.headers["location"])
    assert (await come_back(browser, query)).headers["location"] == "/settings/account?done=sso-linked"
    found = await web.store.passwords.identify(provider.issuer, "s-1")
    assert found is not None
    assert found.name == "carl"
    again = await sign_in(web, provider)
    assert "carl" in words(await again.get("/settings/account"))
    other = await web.signed_in("dora")
    await other.get("/settings/account")
    taken = await come_back(other, provider.let_in((await other.post("/sso/corp/link")).headers["location"]))
    assert (taken.status_code, "another account" in words(taken)) == (422, True)


async def test_who_is_suspended_stays_out(web: Web, provider: Provider) -> None:
    await sign_in(web, provider)
    await web.house.registry.suspend("ann")
    browser = web.browser()
    assert (await come_back(browser, provider.let_in(await away(browser)))).status_code == 403


async def test_where_it_leads_is_here(web: Web, provider: Provider) -> None:
    browser = web.browser()
    answer = await come_back(browser, provider.let_in(await away(browser, next_page="//evil.example")))
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "fields", [{"issuer": "http://idp.example"}, {"algorithms": ["none"]}, {"algorithms": ["HS256"]}, {"name": "../x"}]
)
def test_settings_that_would_not_be_safe(fields: dict[str, Any]) -> None:
    good = {"name": "corp", "issuer": "https://idp.example", "client_id": "a", "client_secret": "b"}
    Settings(sso=[good])
    with pytest.raises(ValueError, match="sso"):
        Settings(sso=[good | fields])
