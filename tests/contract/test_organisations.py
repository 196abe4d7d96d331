"""The Store seam: organisations, limits, suspension, removal, rotation and the audit trail."""

import sqlite3
from contextlib import closing

import pytest

from pronto.store.base import KeptTurn, Member
from pronto.store.sqlite import FILE_NAME
from tests.contract.test_ledger import NOON, reservation, settlement
from tests.contract.test_store import pair, store, token

__all__ = ["pair", "store"]


def member(org, account, role="write", created=5.0):
    return Member(org_id=org.id, account_id=account.id, role=role, created=created)


@pytest.fixture
async def people(store):
    names = ("alice", "bob")
    alice, bob = [await store.accounts.add(name, "free") for name in names]
    return alice, bob, await store.accounts.add("acme", "enterprise", kind="org")


async def test_an_organisation_is_an_account_of_its_kind(store, people):
    alice, _, acme = people
    assert (alice.kind, acme.kind) == ("user", "org")
    assert (await store.accounts.by_name("acme")) == acme
    with pytest.raises(ValueError, match="named acme already"):
        await store.accounts.add("acme", "free")


async def test_members_come_and_go(store, people):
    alice, bob, acme = people
    await store.organisations.set_member(member(acme, bob))
    await store.organisations.set_member(member(acme, alice, "admin"))
    assert list(await store.organisations.members(acme.id)) == [
        (member(acme, alice, "admin"), alice),
        (member(acme, bob), bob),
    ]
    assert list(await store.organisations.of(bob.id)) == [(member(acme, bob), acme)]
    await store.organisations.set_member(member(acme, bob, "read", created=9.0))
    assert await store.organisations.membership(bob.id, "acme") == (member(acme, bob, "read"), acme)
    assert await store.organisations.remove_member(acme.id, bob.id)
    assert not await store.organisations.remove_member(acme.id, bob.id)
    assert list(await store.organisations.of(bob.id)) == []


@pytest.mark.parametrize("name", ["nothing", "bob", "ACME", "' OR 1=1 --", ""])
async def test_no_membership_of_what_is_no_organisation_of_ones_own(store, people, name):
    alice, bob, acme = people
    await store.organisations.set_member(member(acme, bob))
    assert await store.organisations.membership(alice.id, name) is None
    assert await store.organisations.membership(alice.id, "acme") is None
    # An account is no organisation, whatever stands in the table.
    await store.organisations.set_member(member(bob, alice))
    assert await store.organisations.membership(alice.id, "bob") is None


async def test_a_member_is_an_account(store, people):
    with pytest.raises(ValueError, match="no such account"):
        await store.organisations.set_member(Member(org_id=people[2].id, account_id=10**9, role="read", created=1.0))


async def test_limits_and_suspension_are_kept(store, people):
    alice, bob, _ = people
    await store.accounts.set_limits(alice.id, '{"concurrency":2}')
    await store.accounts.suspend(alice.id, 9.5)
    found = await store.accounts.get(alice.id)
    assert (found.limits, found.suspended) == ('{"concurrency":2}', 9.5)
    assert await store.accounts.get(bob.id) == bob
    await store.accounts.set_limits(alice.id, None)
    await store.accounts.suspend(alice.id, None)
    assert await store.accounts.get(alice.id) == alice


async def test_removing_an_account_takes_all_of_it_but_the_ledger(store, people):
    alice, bob, acme = people
    await store.tokens.add(token(alice.id))
    kept = await store.tokens.add(token(bob.id, b"e" * 32))
    for one in (alice, bob):
        await store.organisations.set_member(member(acme, one))
        turn = KeptTurn(id="t", account_id=one.id, created=1.0, expires=9e9, body=b"x")
        await store.conversations.keep(turn, most_bytes=100)
    await store.ledger.record(reservation(1, account_id=alice.id), settlement(1))
    assert await store.accounts.remove(alice.id)
    assert not await store.accounts.remove(alice.id)
    assert await store.accounts.by_name("alice") is None
    assert await store.tokens.by_digest(b"d" * 32) is None
    assert list(await store.tokens.list()) == [kept]
    assert [one.name for _, one in await store.organisations.members(acme.id)] == ["bob"]
    assert list(await store.conversations.of(alice.id)) == []
    assert [turn.id for turn in await store.conversations.of(bob.id)] == ["t"]
    assert [row.account_id for row in await store.ledger.rows()] == [alice.id]


async def test_removing_an_organisation_leaves_its_members(store, people):
    alice, _, acme = people
    await store.organisations.set_member(member(acme, alice))
    assert await store.accounts.remove(acme.id)
    assert list(await store.organisations.of(alice.id)) == []
    assert await store.accounts.get(alice.id) == alice


@pytest.mark.parametrize("trace", ["a row", "a row that is forgotten", "an organisation's bill"])
async def test_a_new_account_never_inherits_what_a_removed_one_used(store, people, trace):
    acme = people[2]
    org = acme.id if trace.startswith("an org") else None
    payer = people[0].id if org else acme.id
    await store.ledger.record(reservation(1, account_id=payer, org_id=org), settlement(1))
    if trace != "a row":
        await store.ledger.forget(NOON)
    await store.accounts.remove(acme.id)
    assert (await store.accounts.add("dora", "free")).id > acme.id


async def test_a_rotated_token_is_another_one_in_the_same_place(store, people):
    alice = people[0]
    kept = await store.tokens.add(token(alice.id, scopes=("a",), expires=99.0))
    await store.tokens.touch({kept.id: 5.0})
    assert await store.tokens.rotate(kept.id, b"n" * 32, "wxyz")
    assert await store.tokens.by_digest(b"d" * 32) is None
    found, _ = await store.tokens.by_digest(b"n" * 32)
    assert (found.id, found.last4, found.scopes, found.expires, found.last_used) == (
        kept.id,
        "wxyz",
        ("a",),
        99.0,
        None,
    )
    await store.tokens.revoke(kept.id, 7.0)
    assert not await store.tokens.rotate(kept.id, b"m" * 32, "wxyz")
    assert not await store.tokens.rotate(10**9, b"m" * 32, "wxyz")
    assert await store.tokens.by_digest(b"m" * 32) is None


async def test_many_tokens_are_found_at_once_and_unknown_ones_passed_over(store, people):
    rows = [await store.tokens.add(token(people[0].id, number.to_bytes(32))) for number in range(450)]
    await store.tokens.revoke(rows[0].id, 3.0)
    asked = [number.to_bytes(32) for number in range(0, 900, 2)]
    assert sorted(await store.tokens.find(asked), key=lambda one: one.id) == rows[2::2]
    assert list(await store.tokens.find([])) == []


async def test_the_audit_trail_is_read_newest_first_and_in_pages(store):
    for number in range(5):
        await store.audit.write("operator", "plan.change", f"user-{number % 2}", {"number": number})
    newest = await store.audit.list(limit=2)
    assert [entry.details["number"] for entry in newest] == [4, 3]
    assert [entry.details["number"] for entry in await store.audit.list(before=newest[-1].id)] == [2, 1, 0]
    assert [entry.details["number"] for entry in await store.audit.list(subject="user-1")] == [3, 1]
    assert (newest[0].actor, newest[0].action, newest[0].subject) == ("operator", "plan.change", "user-0")
    assert newest[0].at > 1.7e9


async def test_a_change_and_its_entry_are_kept_together_or_not_at_all(store, people):
    async def broken():
        async with store.transaction():
            await store.audit.write("operator", "account.suspend", "alice", {})
            await store.accounts.suspend(people[0].id, 5.0)
            raise KeyError

    with pytest.raises(KeyError):
        await broken()
    assert list(await store.audit.list()) == []
    assert (await store.accounts.get(people[0].id)).suspended is None


async def test_each_change_is_noticed_by_another_process(pair):
    mine, other = pair
    alice, acme = await other.accounts.add("alice", "pro"), await other.accounts.add("acme", "pro", kind="org")
    kept = await other.tokens.add(token(alice.id))
    assert await mine.changed()
    for change in (
        lambda: other.accounts.set_limits(alice.id, "{}"),
        lambda: other.accounts.suspend(alice.id, 5.0),
        lambda: other.organisations.set_member(member(acme, alice)),
        lambda: other.organisations.remove_member(acme.id, alice.id),
        lambda: other.tokens.rotate(kept.id, b"n" * 32, "last"),
        lambda: other.accounts.remove(alice.id),
    ):
        await change()
        assert await mine.changed()
        assert not await mine.changed()
    await other.audit.write("operator", "x", "y", {})
    assert not await mine.changed()


async def test_what_a_tenant_has_used_since_a_day(store):
    day = 86_400_000_000
    rows = [(1, 1, None, 0), (2, 1, None, 1), (3, 1, 9, 1), (4, 2, 9, 1), (5, 2, None, 1), (6, 9, 9, 2)]
    for id, account, org, days in rows:
        ended = NOON + days * day
        done = settlement(id, ended=ended, images=id, audio_ms=10)
        await store.ledger.record(reservation(id, account_id=account, org_id=org), done)

    async def used(account_id, org_id, since):
        found = await store.ledger.sums(account_id=account_id, org_id=org_id, since=since)
        return found.requests, found.images, found.generated_tokens, found.prompt_tokens, found.audio_ms

    assert await used(1, None, "2026-01-01") == (2, 3, 10, 6, 20)
    assert await used(1, None, "2026-01-02") == (1, 2, 5, 3, 10)
    assert await used(1, 9, "2026-01-01") == (3, 13, 15, 9, 30)
    assert await used(7, 9, "2026-01-03") == (1, 6, 5, 3, 10)
    assert await used(7, None, "2026-01-01") == (0, 0, 0, 0, 0)
    assert [one.account_id for one in await store.ledger.totals(org_id=9, since="2026-01-02")] == [1, 2, 9]
    assert [one.org_id for one in await store.ledger.totals(account_id=2)] == [0, 9]


def test_the_sums_of_a_tenant_are_found_by_an_index(store, tmp_path):
    from pronto.store.ledger import _SUMS, _SUMS_ALONE

    tenant = {"account_id": 1, "org_id": 0, "since": "2026-01-01"}
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        for statement in (_SUMS, _SUMS_ALONE):
            plan = " ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + statement, tenant))
            assert "SEARCH usage_days USING INDEX ix_usage_days_tenant (org_id=?" in plan


async def test_old_rows_are_forgotten_in_batches_and_the_roll_ups_stay(store, monkeypatch):
    from pronto.store import ledger

    monkeypatch.setattr(ledger, "_FORGET_BATCH", 10)
    for id in range(1, 41):
        await store.ledger.record(reservation(id), settlement(id))
    await store.ledger.reserve(reservation(41))
    await store.ledger.record(reservation(1000), settlement(1000))
    before = await store.ledger.totals()
    assert await store.ledger.forget(500) == 40
    assert [row.id for row in await store.ledger.rows()] == [1000, 41]
    assert await store.ledger.totals() == before
    assert await store.ledger.forget(500) == 0
