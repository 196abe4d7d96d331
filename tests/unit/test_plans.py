"""The order of the plans."""

import pytest

from pronto.accounts.plans import PLANS, allows, rank


@pytest.mark.parametrize(
    ("plan", "needed", "is_allowed"),
    [
        ("free", "free", True),
        ("free", "pro", False),
        ("free", "enterprise", False),
        ("pro", "free", True),
        ("pro", "pro", True),
        ("pro", "enterprise", False),
        ("enterprise", "free", True),
        ("enterprise", "pro", True),
        ("enterprise", "enterprise", True),
    ],
)
def test_a_plan_allows_what_smaller_plans_allow(plan, needed, is_allowed):
    assert allows(plan, needed) is is_allowed


def test_all_plans_are_known():
    assert [rank(plan) for plan in PLANS] == [0, 1, 2]


@pytest.mark.parametrize("name", ["gold", "", "PRO", "pro ", "free\x00"])
def test_an_unknown_plan_is_refused_with_a_sentence(name):
    for question in (lambda: allows(name, "free"), lambda: allows("free", name), lambda: rank(name)):
        with pytest.raises(ValueError, match=r"no plan named .*the plans are free, pro, enterprise\."):
            question()
