"""The plans, from the smallest to the largest. Knows no limits yet: only who may use what."""

ORDER = ("free", "pro", "enterprise")


def known(plan: str) -> str:
    """The plan itself. Raises ValueError with a sentence when there is none of this name."""
    if plan not in ORDER:
        raise ValueError(f"there is no plan {plan!r}; choose one of {', '.join(ORDER)}")
    return plan


def allows(plan: str, needed: str) -> bool:
    """Whether an account on `plan` may use what needs `needed`. An unknown plan allows nothing but free things."""
    have = ORDER.index(plan) if plan in ORDER else 0
    need = ORDER.index(needed) if needed in ORDER else len(ORDER)
    return have >= need
