"""How windows stand, as headers: the IETF's draft for rate limits, as the Hub's clients parse it, and OpenAI's.

Shared by the dialects.
"""

import math
from collections.abc import Sequence

from pronto.core.plan import Standing, Unit
from pronto.wire.base import Headers

_TOKENS = (Unit.GENERATED_TOKENS, Unit.PROMPT_TOKENS)


def limit_headers(limits: Sequence[Standing]) -> Headers:
    """`RateLimit` and `RateLimit-Policy`. A window with nothing left comes first: clients look at the first alone."""
    if 0 in [standing.remaining for standing in limits]:
        limits = sorted(limits, key=lambda standing: standing.remaining > 0)
    now = ", ".join([f'"{x.window.name}";r={x.remaining};t={math.ceil(x.reset)}' for x in limits])
    policy = ", ".join([x.window.policy for x in limits])
    return [(b"ratelimit", now.encode()), (b"ratelimit-policy", policy.encode())] if limits else []


def openai_headers(limits: Sequence[Standing]) -> Headers:
    """`x-ratelimit-*` of the narrowest window of requests, and of tokens."""
    headers: Headers = []
    for word, units in (("requests", (Unit.REQUESTS,)), ("tokens", _TOKENS)):
        mine = [standing for standing in limits if standing.window.unit in units]
        if mine:
            least = min(mine, key=lambda standing: standing.remaining / max(1, standing.window.limit))
            headers += [
                (f"x-ratelimit-limit-{word}".encode(), str(least.window.limit).encode()),
                (f"x-ratelimit-remaining-{word}".encode(), str(least.remaining).encode()),
                (f"x-ratelimit-reset-{word}".encode(), duration(least.reset).encode()),
            ]
    return headers


def duration(seconds: float) -> str:
    """As OpenAI writes it: `12ms`, `6.5s`, `6m0s`, `1h0m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{math.ceil(seconds * 10) / 10:g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"
