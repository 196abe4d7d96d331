"""The plans and their order: who may use what another plan is needed for. Knows no prices and no limits."""

PLANS = ("free", "pro", "enterprise")  # each includes what stands before it
_RANK = {plan: rank for rank, plan in enumerate(PLANS)}


def rank(plan: str) -> int:
    """Its place in the order. Raises ValueError with a sentence for a plan that does not exist."""
    try:
        return _RANK[plan]
    except KeyError:
        raise ValueError(f"There is no plan named {plan!r}; the plans are {', '.join(PLANS)}.") from None


def allows(plan: str, needed: str) -> bool:
    """Whether an account on `plan` may use what `needed` is needed for. Raises ValueError for an unknown plan."""
    return rank(plan) >= rank(needed)
