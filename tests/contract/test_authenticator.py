"""Who is let in, over a real store: the cache, expiry, revocation, last use, and hostile headers."""

import asyncio
import random
import sqlite3
import time
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pronto.accounts.authenticator import (
    INVALID,
    MISSING,
    SUSPENDED,
    TOUCH_EVERY,
    TTL,
    UNKNOWN_TTL,
    Authenticator,
)
from pronto.accounts.tokens import Grant, digest, issue, mint
from pronto.core.errors import Forbidden, StorageFailed, Unauthenticated
from pronto.core.identity import ANONYMOUS, INFERENCE_SCOPE, Role
from pronto.store.database import open_store
from pronto.store.sqlite import FILE_NAME


class Clock:
    """Unix seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class House:
    """A store with an account, and an authenticator over it. `other` is another process's view of the file."""

    def __init__(self, store, other) -> None:
        self.store, self.other, self.clock = store, other, Clock()
        self.door = Authenticator(store, self.clock)

    async def make(self, **grant):
        secret, row = issue(Grant(account_id=1, name="n", **grant), self.clock.now)
        return secret, await self.store.tokens.add(row)

    async def ask(self, secret):
        return await self.door.authenticate(f"Bearer {secret}")


@pytest.fixture
async def house(tmp_path):
    store, other = await open_store(tmp_path, busy_timeout=0.2), await open_store(tmp_path)
    await store.accounts.add("alice", "pro")
    yield House(store, other)
    await store.close()
    await other.close()


async def refused(house, authorization, api_key=None):
    with pytest.raises(Unauthenticated) as error:
        await house.door.authenticate(authorization, api_key)
    return error.value.message


async def test_a_token_gives_its_caller(house):
    secret, row = await house.make(role=Role.FINE_GRAINED, scopes=(INFERENCE_SCOPE,), expires=house.clock.now + 100)
    caller = await house.ask(secret)
    assert (caller.account_id, caller.account, caller.plan, caller.token_id) == (1, "alice", "pro", row.id)
    assert (caller.role, caller.scopes, caller.expires) == (Role.FINE_GRAINED, {INFERENCE_SCOPE}, row.expires)
    assert caller.digest == digest(secret)
    assert caller.may_infer


async def test_all_spellings_that_clients_have(house):
    secret, _ = await house.make()
    for authorization in (f"Bearer {secret}", f"bearer {secret}", f"BEARER   {secret}  "):
        assert (await house.door.authenticate(authorization)).account == "alice"
    assert (await house.door.authenticate(None, secret)).account == "alice"
    assert (await house.door.authenticate("", secret)).account == "alice"
    assert await refused(house, f"Bearer {mint()}", secret) == INVALID


async def test_nothing_sent_and_something_wrong_are_told_apart_and_no_more(house):
    revoked, row = await house.make()
    await house.store.tokens.revoke(row.id, house.clock.now)
    expired, _ = await house.make(expires=house.clock.now)
    for authorization in (None, "", "Bearer", "Bearer ", "Bearer    ", "Basic YTpi", mint()):
        assert await refused(house, authorization) == MISSING
    for token in (mint(), revoked, expired, "My API Key", "-", "sk-abc", "hf_" + "a" * 34):
        assert await refused(house, f"Bearer {token}") == INVALID


async def test_the_operator_may_let_in_who_has_no_token(house):
    open_door = Authenticator(house.store, house.clock, allow_anonymous=True)
    for authorization in (None, ""):
        assert await open_door.authenticate(authorization) is ANONYMOUS
    assert await open_door.still_valid(ANONYMOUS)
    assert not await house.door.still_valid(ANONYMOUS)
    for authorization in ("Basic YTpi", "Bearer x"):
        with pytest.raises(Unauthenticated):
            await open_door.authenticate(authorization)


async def test_a_known_token_needs_no_wait_for_some_seconds(house):
    secret, row = await house.make()
    assert house.door.cached(f"Bearer {secret}") is None
    caller = await house.ask(secret)
    assert house.door.cached(f"Bearer {secret}") is caller
    assert await house.ask(secret) is caller
    await house.other.tokens.revoke(row.id, house.clock.now)
    house.clock.now += TTL - 0.001
    assert house.door.cached(f"Bearer {secret}") is caller
    house.clock.now += 0.001
    assert house.door.cached(f"Bearer {secret}") is None
    assert await refused(house, f"Bearer {secret}") == INVALID


async def test_forgetting_ends_what_is_not_true_any_more(house):
    secret, row = await house.make()
    caller = await house.ask(secret)
    assert await house.door.still_valid(caller)
    await house.other.tokens.revoke(row.id, house.clock.now)
    assert await house.door.still_valid(caller)
    assert await house.store.changed()
    house.door.forget()
    assert not await house.door.still_valid(caller)
    assert await refused(house, f"Bearer {secret}") == INVALID


async def test_a_new_plan_holds_after_forgetting(house):
    secret, _ = await house.make()
    assert (await house.ask(secret)).plan == "pro"
    await house.other.accounts.set_plan(1, "free")
    house.door.forget()
    assert (await house.ask(secret)).plan == "free"


async def test_expiry_is_exact_also_for_a_known_token(house):
    secret, row = await house.make(expires=house.clock.now + 2.5)
    caller = await house.ask(secret)
    house.clock.now = row.expires - 0.001
    assert house.door.cached(f"Bearer {secret}") is caller
    assert await house.door.still_valid(caller)
    house.clock.now = row.expires
    assert house.door.cached(f"Bearer {secret}") is None
    assert not await house.door.still_valid(caller)
    assert await refused(house, f"Bearer {secret}") == INVALID


async def test_an_unknown_token_is_remembered_for_a_second(house):
    secret, row = issue(Grant(account_id=1, name="late"), house.clock.now)
    assert await refused(house, f"Bearer {secret}") == INVALID
    await house.other.tokens.add(row)
    house.clock.now += UNKNOWN_TTL - 0.001
    assert await refused(house, f"Bearer {secret}") == INVALID
    house.clock.now += 0.001
    assert (await house.ask(secret)).account == "alice"


async def test_a_suspended_account_is_refused_with_the_reason(house):
    secret, row = await house.make()
    caller = await house.ask(secret)
    await house.other.accounts.suspend(1, house.clock.now)
    assert house.door.cached(f"Bearer {secret}") is caller
    house.door.forget()
    early = [asyncio.create_task(house.ask(secret)) for _ in range(3)]
    for refusal in await asyncio.gather(*early, return_exceptions=True):
        assert isinstance(refusal, Forbidden)
        assert refusal.message == SUSPENDED
    assert house.door.cached(f"Bearer {secret}") is None
    assert not await house.door.still_valid(caller)
    await house.other.accounts.suspend(1, None)
    house.clock.now += UNKNOWN_TTL - 0.001
    with pytest.raises(Forbidden):
        await house.ask(secret)
    house.clock.now += 0.001
    assert (await house.ask(secret)).token_id == row.id
    # Whoever shows a token that is over learns nothing of the account.
    await house.other.accounts.suspend(1, house.clock.now)
    await house.other.tokens.revoke(row.id, house.clock.now)
    house.door.forget()
    assert await refused(house, f"Bearer {secret}") == INVALID


async def test_a_look_up_that_was_under_way_when_all_was_forgotten_is_not_believed(house):
    secret, row = await house.make()
    early = asyncio.create_task(house.ask(secret))
    await asyncio.sleep(0)
    house.door.forget()
    assert (await early).account == "alice"
    assert house.door.cached(f"Bearer {secret}") is None
    await house.other.tokens.revoke(row.id, house.clock.now)
    assert await refused(house, f"Bearer {secret}") == INVALID


async def test_one_who_leaves_does_not_end_the_look_up_of_the_others(house):
    secret, _ = await house.make()
    first, second = (asyncio.create_task(house.ask(secret)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).account == "alice"


async def test_last_use_is_written_by_flush_and_once_a_minute(house):
    secret, row = await house.make()

    async def last_used():
        return (await house.store.tokens.list())[0].last_used

    first = house.clock.now
    await house.ask(secret)
    assert await last_used() is None
    await house.door.flush()
    assert await last_used() == first
    for _ in range(11):
        house.clock.now += TOUCH_EVERY / 12
        await house.ask(secret)
    await house.door.flush()
    assert await last_used() == first
    house.clock.now += TOUCH_EVERY / 12
    await house.ask(secret)
    await house.door.flush()
    assert await last_used() == first + TOUCH_EVERY
    assert row.last_used is None


async def test_last_use_that_cannot_be_written_is_written_later(house, tmp_path):
    secret, _ = await house.make()
    await house.ask(secret)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        await house.door.flush()
        holder.execute("ROLLBACK")
    assert (await house.store.tokens.list())[0].last_used is None
    await house.door.flush()
    assert (await house.store.tokens.list())[0].last_used == house.clock.now


async def test_a_database_that_is_gone_ends_no_stream_and_lets_nobody_in(house, tmp_path):
    secret, row = await house.make(expires=house.clock.now + 60)
    caller = await house.ask(secret)
    await house.store._sessions.close()  # so that the next question opens the file again
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(path.suffix + ".away"))
    house.door.forget()
    assert await house.door.still_valid(caller)
    with pytest.raises(StorageFailed):
        await house.ask(secret)
    house.clock.now = row.expires
    assert not await house.door.still_valid(caller)


HOSTILE = [
    "Bearer ' OR '1'='1",
    'Bearer "; DROP TABLE tokens; --',
    "Bearer x' UNION SELECT * FROM tokens --",
    "Bearer \x00",
    "Bearer hf_\x00" + "a" * 37,
    "Bearer " + "a" * 1_000_000,
    "Bearer hf_" + "a" * 1_000_000,
    "Bearer \ud800\udfff",
    "Bearer 名前" * 10,
    "Bearer hf_" + "٣" * 38,
    "Bearer %00%27",
    "\x00",
    "Bearer\thf_" + "a" * 38,
]


@pytest.mark.parametrize("authorization", HOSTILE)
async def test_hostile_headers_are_refused(house, authorization):
    await house.make()
    began = time.perf_counter()
    assert await refused(house, authorization) in (MISSING, INVALID)
    assert await refused(house, None, authorization) == INVALID
    assert house.door.cached(authorization) is None
    assert time.perf_counter() - began < 0.05


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=80), cut=st.integers(0, 41), seed=st.integers(0, 2**32))
def test_only_the_whole_token_is_its_owner(tmp_path_factory, text, cut, seed):
    """Tokens that share a beginning or an end with a known one are not it."""

    async def go():
        store = await open_store(tmp_path_factory.getbasetemp() / "prefixes")
        try:
            alice = await store.accounts.by_name("alice") or await store.accounts.add("alice", "pro")
            secret, row = issue(Grant(account_id=alice.id, name="n"), 1.0)
            await store.tokens.add(row)
            door = Authenticator(store, Clock())
            assert (await door.authenticate(f"Bearer {secret}")).account == "alice"
            rival = mint(random.Random(seed))
            for other in (secret[:cut] + text, text + secret[cut:], secret[:cut] + rival[cut:], rival):
                if other.strip() == secret:
                    continue
                assert door.cached(f"Bearer {other}") is None
                with pytest.raises(Unauthenticated):
                    await door.authenticate(f"Bearer {other}")
        finally:
            await store.close()

    asyncio.run(go())


async def test_a_flood_of_wrong_tokens_is_bounded_in_memory(house):
    good, _ = await house.make()
    await house.ask(good)
    from pronto.accounts import authenticator

    for _ in range(50):
        await refused(house, f"Bearer {mint()}")
    assert len(house.door._unknown) == 50 <= authenticator.MAX_UNKNOWN
    for number in range(authenticator.MAX_UNKNOWN + 5):
        authenticator._keep(house.door._unknown, number.to_bytes(4), 0.0, authenticator.MAX_UNKNOWN)
    assert len(house.door._unknown) == authenticator.MAX_UNKNOWN
    assert house.door.cached(f"Bearer {good}") is not None
