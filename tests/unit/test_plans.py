"""Plans as data: what is shipped, what an operator's file says, and what is refused with its line."""

import os

import pytest

from pronto.accounts.plans import FILE_NAME, PlanFault, Plans
from pronto.core.plan import Per, Unit

SHIPPED = Plans()


def plans(folder, text):
    (folder / FILE_NAME).write_text(text)
    return Plans(folder)


def limits(plan):
    return {(window.unit, window.per): window.limit for window in plan.windows}


def test_the_shipped_plans_are_those_that_are_promised():
    assert SHIPPED.names == ("free", "pro", "enterprise")
    assert limits(SHIPPED.get("free")) == {(Unit.REQUESTS, Per.HOUR): 300, (Unit.REQUESTS, Per.DAY): 1000}
    assert limits(SHIPPED.get("pro")) == {(Unit.REQUESTS, Per.HOUR): 1000, (Unit.REQUESTS, Per.DAY): 20_000}
    assert limits(SHIPPED.get("enterprise")) == {(Unit.REQUESTS, Per.HOUR): 10_000}


@pytest.mark.parametrize(
    ("plan", "needed", "is_allowed"),
    [
        ("anonymous", "free", True),
        ("anonymous", "pro", False),
        ("free", "free", True),
        ("free", "pro", False),
        ("free", "enterprise", False),
        ("pro", "free", True),
        ("pro", "pro", True),
        ("pro", "enterprise", False),
        ("enterprise", "pro", True),
        ("enterprise", "enterprise", True),
    ],
)
def test_a_plan_allows_what_smaller_plans_allow(plan, needed, is_allowed):
    assert SHIPPED.allows(plan, needed) is is_allowed


@pytest.mark.parametrize("name", ["gold", "", "PRO", "pro ", "free\x00"])
def test_an_unknown_plan_is_refused_with_a_sentence(name):
    with pytest.raises(ValueError, match=r"no plan named .*the plans are free, pro, enterprise\."):
        SHIPPED.get(name)


def test_an_account_whose_plan_is_gone_is_on_the_free_one():
    assert SHIPPED.of("gold") is SHIPPED.get("free")


def test_an_operators_file_replaces_fields_and_adds_plans(tmp_path):
    ours = plans(
        tmp_path,
        """
        [pro]
        requests = { minute = { limit = 60, burst = 10 } }

        [team]
        level = 1
        weight = 6.5
        models = ["lab/*", "demo/tiny"]
        generated_tokens = { month = 5000000 }
        """,
    )
    (rate,) = ours.get("pro").windows
    assert (rate.limit, rate.burst, rate.name) == (60, 10, "requests_per_minute")
    assert ours.get("pro").weight == 4
    team = ours.get("team")
    assert ours.names == ("free", "pro", "team", "enterprise")
    assert [team.covers(id) for id in ("lab/one", "demo/tiny", "demo/tiny-coder")] == [True, True, False]
    assert limits(ours.get("free")) == limits(SHIPPED.get("free"))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[free]\nlevel = 0\nrequests = { hour = -3 }", 3, "`requests` of the plan free must be between 0"),
        ("[free]\nconcurrency = 0", 2, "`concurrency`"),
        ("[gold]\nrequests = { hour = 2 }", 1, "`level` of the plan gold is missing"),
        ("[free]\n\nrequests = { hour = 1.5 }", 3, "whole number"),
        ("[pro]\nrequests = { hour = 99999999999999999999 }", 2, "between 0"),
        ("[pro]\nrequests = { day = { limit = 3, burst = 2 } }", 2, "only minute and hour have one"),
        ("[pro]\nrequests = { week = 3 }", 2, "no window 'week'"),
        ("[pro]\nrequests = 7", 2, "must name windows"),
        ("[pro]\nweight = inf", 2, "`weight`"),
        ("[pro]\nweight = true", 2, "`weight`"),
        ("[pro]\n# tokens\ntokens = { hour = 1 }", 3, "`tokens` of the plan pro is not known"),
        ('[pro]\nmodels = "demo/*"', 2, "must be a list"),
        ("[free]\n[pro]\nqueue_deadline = 0", 3, "`queue_deadline` of the plan pro"),
    ],
)
def test_a_wrong_limit_is_refused_with_file_and_line(tmp_path, text, line, words):
    with pytest.raises(PlanFault) as refused:
        plans(tmp_path, text)
    assert f"{FILE_NAME}, line {line}: " in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["[free", "x = 1", "[free]\nlevel ="])
def test_what_is_no_plans_file_is_refused_with_its_name(tmp_path, text):
    with pytest.raises(PlanFault, match=FILE_NAME):
        plans(tmp_path, text)


def test_limits_of_one_account_replace_fields_of_its_plan():
    own = SHIPPED.check_overrides("pro", {"requests": {"hour": 5}, "concurrency": 2})
    plan = SHIPPED.of("pro", own)
    assert limits(plan) == {(Unit.REQUESTS, Per.HOUR): 5}
    assert (plan.concurrency, plan.weight) == (2, 4)
    for wrong in ({"requests": {"hour": -1}}, {"colour": 1}, {"weight": "much"}):
        with pytest.raises(PlanFault):
            SHIPPED.check_overrides("pro", wrong)


def test_a_changed_file_is_read_and_a_broken_one_changes_nothing(tmp_path):
    ours = plans(tmp_path, "[free]\nconcurrency = 3")
    assert not ours.reload_if_changed()
    file = tmp_path / FILE_NAME
    file.write_text("[free]\nconcurrency = 4")
    os.utime(file, ns=(1, 1))
    assert ours.reload_if_changed()
    assert ours.get("free").concurrency == 4
    file.write_text("[free]\nconcurrency = -4")
    os.utime(file, ns=(2, 2))
    assert not ours.reload_if_changed()
    assert ours.get("free").concurrency == 4
    file.unlink()
    assert ours.reload_if_changed()
    assert ours.get("free").concurrency == 8
