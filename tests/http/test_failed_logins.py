"""Addresses whose tokens keep failing: refused before a look-up, while good tokens behind them go on working."""

import httpx
import pytest

from pronto.accounts.address_guard import AddressGuard
from pronto.core.errors import RateLimited, Unauthenticated
from pronto.core.identity import ANONYMOUS, Caller
from pronto.edge.guarded_logins import ADDRESS, GuardedLogins
from tests.http.edge_scene import AUTH, CALLER, Source, build, running

GOOD, WRONG = "Bearer good", "Bearer wrong"


class Forgetful:
    """Knows one token, and has nothing at hand."""

    def __init__(self) -> None:
        self.looked_up = 0
        self.allows_anonymous = False

    def cached(self, authorization: str | None) -> Caller | None:
        return None

    async def billed_to(self, caller: Caller, org: str) -> Caller:
        raise NotImplementedError

    def forget(self) -> None:
        """It remembers nothing."""

    async def authenticate(self, authorization: str | None, api_key: str | None = None) -> Caller:
        if not (authorization or api_key) and self.allows_anonymous:
            return ANONYMOUS
        self.looked_up += 1
        if GOOD in (authorization, api_key):
            return CALLER
        raise Unauthenticated("no")


@pytest.fixture
def known() -> Forgetful:
    return Forgetful()


@pytest.fixture
def logins(known: Forgetful) -> GuardedLogins:
    ADDRESS.set("1.2.3.4")
    return GuardedLogins(known, AddressGuard(3, lambda: 50.0))


async def fail(logins: GuardedLogins, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Unauthenticated):
            await logins.authenticate(WRONG)


async def test_the_fourth_is_not_looked_up(logins: GuardedLogins, known: Forgetful) -> None:
    await fail(logins, 3)
    with pytest.raises(RateLimited) as refused:
        await logins.authenticate(WRONG)
    assert refused.value.retry_after == pytest.approx(20.0)
    with pytest.raises(RateLimited):
        await logins.authenticate(None, "wrong")
    assert known.looked_up == 3


async def test_a_token_that_was_good_is_always_looked_up(logins: GuardedLogins) -> None:
    assert await logins.authenticate(GOOD) is CALLER
    await fail(logins, 3)
    assert await logins.authenticate(GOOD) is CALLER
    with pytest.raises(RateLimited):
        await logins.authenticate(WRONG)


async def test_good_tokens_and_other_addresses_are_not_counted(logins: GuardedLogins) -> None:
    for _ in range(20):
        await logins.authenticate(GOOD)
    await fail(logins, 3)
    ADDRESS.set("1.2.3.5")
    await fail(logins, 3)


async def test_without_a_token_the_answer_stays_the_same(logins: GuardedLogins, known: Forgetful) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await logins.authenticate(None)
    with pytest.raises(RateLimited):
        await logins.authenticate(WRONG)
    known.allows_anonymous = True
    assert await logins.authenticate(None) is ANONYMOUS


@pytest.mark.parametrize("trusted", [(), ("127.0.0.1",)])
def test_over_http(trusted: tuple[str, ...]) -> None:
    app, _ = build(Source(), failed_logins_per_minute=2)
    bad = {"authorization": "Bearer hf_wrong", "x-forwarded-for": "9.9.9.9"}
    with running(app, trusted_proxies=trusted) as server, httpx.Client(base_url=server.url) as client:
        statuses = [
            client.post("/models/gpt2", json={"inputs": "Hi"}, headers=bad).status_code,
            client.get("/api/whoami-v2", headers=bad).status_code,
        ]
        assert statuses == [401, 401]
        for response in (
            client.post("/v1/chat/completions", json={}, headers=bad),
            client.get("/api/whoami-v2", headers=bad),
        ):
            assert response.status_code == 429
            assert 1 <= int(response.headers["retry-after"]) <= 30
        assert client.post("/models/gpt2", json={"inputs": "Hi"}, headers=bad | AUTH).status_code == 200
        elsewhere = client.get("/api/whoami-v2", headers=bad | {"x-forwarded-for": "8.8.8.8"})
        # Only a proxy that is trusted can name another address.
        assert elsewhere.status_code == (401 if trusted else 429)
