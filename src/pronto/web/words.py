"""Sentences that several pages share: what was done, and how numbers, times and sizes are written. Knows no page."""

from datetime import UTC, datetime

# What a page says after a form was taken: `?done=NAME`. Nothing of the address itself is ever shown.
DONE = {
    "joined": "Welcome! Your account is made. Next you need a token.",
    "member": "You are a member now.",
    "password-set": "Your new password holds. Please sign in with it.",
    "password-changed": "Your new password holds. All other browsers are signed out.",
    "token-revoked": "The token is revoked.",
    "token-made-before": "This was done already, and a token is shown only once. Revoke it here if you lost it.",
    "plan-asked": "Your wish is sent. You see the answer here.",
    "plan-withdrawn": "Your wish is withdrawn.",
    "plan-left": "You are on the free plan now.",
    "paid": "Thank you! Your plan changes as soon as Stripe has told us: mostly within seconds.",
    "role-set": "The role is set.",
    "member-removed": "They are no member any more.",
    "org-left": "You have left the organisation.",
    "account-made": "The account is made.",
    "account-changed": "That holds from now on.",
    "request-decided": "Your decision holds from now on.",
    "model-load": "The model is on its way.",
    "model-unload": "The model is unloaded.",
    "model-pin": "The model stays loaded once it is.",
    "model-unpin": "The model goes when memory is needed.",
    "sso-linked": "You can sign in with this provider from now on.",
    "signed-out": "You are signed out.",
    "session-ended": "That browser is signed out.",
    "sessions-ended": "All other browsers are signed out.",
}

_STEPS = ((60, "second"), (3600, "minute"), (86_400, "hour"), (30 * 86_400, "day"), (365 * 86_400, "month"))


def count(number: float) -> str:
    """12,345."""
    return f"{number:,.0f}"


def short(number: float) -> str:
    """950, 12.3k, 4.5M."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + letter
    return f"{number:.0f}"


def size(number: float) -> str:
    """Bytes, as people say them."""
    for step, word in ((2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if number >= step:
            return f"{number / step:.1f} {word}"
    return f"{number:.0f} bytes"


def span(seconds: float) -> str:
    """3 minutes."""
    amount, word = seconds, "second"
    for limit, unit in _STEPS:
        word = unit
        if seconds < limit:
            break
        amount = seconds / limit
    else:
        word = "year"
    whole = max(1, int(amount))
    return f"{whole} {word}{'' if whole == 1 else 's'}"


def took(milliseconds: float) -> str:
    """850 ms, 1.2 s, 75 s."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1000:.{1 if milliseconds < 10_000 else 0}f} s"


def moment(seconds: float) -> str:
    """2026-11-25 17:30 UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def browser(agent: str) -> str:
    """What a browser is, as far as it says so: Firefox on Linux."""
    name = next((word for mark, word in _BROWSERS if mark in agent), "")
    system = next((word for mark, word in _SYSTEMS if mark in agent), "")
    if not name:
        return agent.split(" ", 1)[0].partition("/")[0][:40] or "Unknown browser"
    return f"{name} on {system}" if system else name


# The first that is found: most call themselves by their forebears' names too.
_BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("HeadlessChrome/", "Chrome"), ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip
