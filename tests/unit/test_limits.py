"""Concurrency: counted exactly, given back exactly once."""

import pytest

from pronto.core.errors import Overloaded, RateLimited
from pronto.core.identity import Caller
from pronto.gateway.limits import Limits

ALICE = Caller(account_id=1, account="alice", plan="pro", token_id=1)
BOB = Caller(account_id=2, account="bob", plan="pro", token_id=2)


def test_one_tenant_is_bounded_and_others_do_not_notice():
    limits = Limits(per_tenant=2, total=10)
    first = limits.enter(ALICE)
    limits.enter(ALICE)
    with pytest.raises(RateLimited) as refused:
        limits.enter(ALICE)
    assert refused.value.window == "concurrency"
    limits.enter(BOB)
    first.release()
    first.release()
    limits.enter(ALICE)
    with pytest.raises(RateLimited):
        limits.enter(ALICE)


def test_the_server_is_bounded():
    limits = Limits(per_tenant=5, total=2)
    lease = limits.enter(ALICE)
    limits.enter(BOB)
    with pytest.raises(Overloaded):
        limits.enter(ALICE)
    lease.release()
    limits.enter(ALICE)
    assert limits.in_work == 2


def test_nothing_is_kept_of_a_tenant_that_is_gone():
    limits = Limits(per_tenant=5, total=5)
    for _ in range(100):
        limits.enter(ALICE).release()
    assert limits.in_work == 0
    assert limits._tenants == {}
