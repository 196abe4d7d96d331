"""The sentence of a refusal: which window, what is left of it, and when it opens. Knows no counter."""

import math
from datetime import UTC, datetime

import msgspec

from pronto.core.errors import RateLimited
from pronto.core.plan import Plan, Standing
from pronto.shared.base import Claim, Verdict


def refusal(plan: Plan, claim: Claim, verdict: Verdict, now: int) -> RateLimited:
    """`now` in Unix nanoseconds."""
    window, cost = claim
    assert verdict.refused is not None  # only refusals have a sentence
    standing = verdict.standings[verdict.refused]
    unit = window.unit.replace("_", " ")
    allowed = f"the {plan.name} plan allows {window.limit:,} {unit} per {window.per}"
    if verdict.retry_after is None:
        asked = f" This request may need {cost:,} at once: please ask for less." if window.limit else ""
        message = f"This cannot be served on your plan: {allowed}.{asked}"
    else:
        message = (
            f"You have reached a limit: {allowed}, and {standing.remaining:,} of them are left{_needed(cost)}. "
            f"Please try again in {spell(verdict.retry_after)}, at {_moment(now, verdict.retry_after)} UTC."
        )
    ordered = (standing, *(other for other in verdict.standings if other is not standing))
    return RateLimited(
        message,
        window=window.name,
        retry_after=verdict.retry_after,
        limits=tuple(_shut(one) if one is standing else one for one in ordered),
    )


def spell(seconds: float) -> str:
    """`3 h 12 min`, `40 s`: two units at most, rounded up."""
    whole = math.ceil(seconds)
    for size, name, smaller, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = math.ceil(whole % size / smaller)
            return f"{whole // size} {name} {rest} {small}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


def _needed(cost: int) -> str:
    return f", while this request may need {cost:,}" if cost > 1 else ""


def _moment(now: int, seconds: float) -> str:
    return datetime.fromtimestamp(math.ceil(now / 1e9 + seconds), UTC).strftime("%Y-%m-%d %H:%M:%S")


def _shut(standing: Standing) -> Standing:
    # Clients of the Hub wait only where nothing is left; what is left was not enough.
    return msgspec.structs.replace(standing, remaining=0)
