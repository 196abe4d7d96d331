"""Who pays: an organisation for its members, and for whoever has its own token; over a real store."""

import asyncio

import pytest

from pronto.accounts.authenticator import TTL, UNKNOWN_TTL
from pronto.accounts.tokens import Grant, issue
from pronto.core.errors import Forbidden
from pronto.core.identity import ANONYMOUS, INFERENCE_SCOPE, Role
from pronto.store.base import Member
from tests.contract.test_authenticator import house

__all__ = ["house"]


async def test_an_organisations_token_is_the_organisation(house):
    acme = await house.store.accounts.add("acme", "enterprise", kind="org")
    secret, row = issue(Grant(account_id=acme.id, name="n"), house.clock.now)
    await house.store.tokens.add(row)
    caller = await house.ask(secret)
    assert (caller.account_id, caller.org_id, caller.account, caller.plan) == (acme.id, acme.id, "acme", "enterprise")
    assert await house.door.billed_to(caller, "acme") is caller
    with pytest.raises(Forbidden, match="only its members"):
        await house.door.billed_to(caller, "other")


@pytest.fixture
async def acme(house):
    acme = await house.store.accounts.add("acme", "enterprise", kind="org")
    await house.store.accounts.set_limits(acme.id, '{"concurrency":3}')
    await house.store.organisations.set_member(Member(org_id=acme.id, account_id=1, role="read", created=1.0))
    return acme


async def test_who_pays_is_believed_as_long_as_the_token(house, acme):
    secret, _ = await house.make(role=Role.FINE_GRAINED, scopes=(INFERENCE_SCOPE,))
    caller = await house.ask(secret)
    billed = await house.door.billed_to(caller, "acme")
    assert (billed.org_id, billed.plan, billed.limits) == (acme.id, "enterprise", '{"concurrency":3}')
    assert (billed.account_id, billed.token_id, billed.scopes) == (1, caller.token_id, caller.scopes)
    await house.other.organisations.remove_member(acme.id, 1)
    house.clock.now += TTL - 0.001
    assert await house.door.billed_to(caller, "acme") is billed
    assert not await house.door.still_valid(billed)
    house.clock.now += 0.001
    with pytest.raises(Forbidden):
        await house.door.billed_to(caller, "acme")
    await house.other.organisations.set_member(Member(org_id=acme.id, account_id=1, role="read", created=1.0))
    with pytest.raises(Forbidden):
        await house.door.billed_to(caller, "acme")
    house.clock.now += UNKNOWN_TTL
    assert (await house.door.billed_to(caller, "acme")).org_id == acme.id


async def test_forgetting_ends_what_was_known_of_who_pays(house, acme):
    secret, _ = await house.make()
    caller = await house.ask(secret)
    billed = await house.door.billed_to(caller, "acme")
    assert await house.door.still_valid(billed)
    await house.other.accounts.set_plan(acme.id, "pro")
    early = asyncio.create_task(house.door.billed_to(caller, "acme"))
    house.door.forget()
    assert (await early).org_id == acme.id
    assert (await house.door.billed_to(caller, "acme")).plan == "pro"
    await house.other.accounts.suspend(acme.id, 1.0)
    house.door.forget()
    with pytest.raises(Forbidden, match="organisation is suspended"):
        await house.door.billed_to(caller, "acme")
    assert not await house.door.still_valid(billed)
    assert await house.door.still_valid(caller)


async def test_a_look_up_of_who_pays_that_is_overtaken_is_not_kept(house, acme):
    caller = await house.ask((await house.make())[0])
    early = asyncio.create_task(house.door.billed_to(caller, "acme"))
    await asyncio.sleep(0)
    house.door.forget()
    await early
    await house.other.organisations.remove_member(acme.id, 1)
    with pytest.raises(Forbidden):
        await house.door.billed_to(caller, "acme")


async def test_two_tokens_never_share_who_pays(house, acme):
    bob = await house.store.accounts.add("bob", "free")
    secret, row = issue(Grant(account_id=bob.id, name="n"), house.clock.now)
    await house.store.tokens.add(row)
    ann, bob = await house.ask((await house.make())[0]), await house.ask(secret)
    assert (await house.door.billed_to(ann, "acme")).org_id == acme.id
    for caller in (bob, ANONYMOUS):
        with pytest.raises(Forbidden):
            await house.door.billed_to(caller, "acme")
