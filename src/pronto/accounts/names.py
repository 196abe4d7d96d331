"""How accounts, tokens and scopes may be called, and when a token may end. Each raises InvalidInput with a sentence."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from pronto.core.errors import InvalidInput
from pronto.core.identity import ADMIN_SCOPE, INFERENCE_SCOPE, Role

ROLES = ("admin", "write", "read")  # of a member of an organisation
MOST_SCOPES = 50

# The actors of the audit trail and the plan of those without a token are no accounts.
_RESERVED = frozenset({"anonymous", "operator"})
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_SCOPE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_MODELS = re.compile(r"[A-Za-z0-9_.*?/-]{1,200}", re.ASCII)

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}  # seconds
_LONGEST = 100 * 365 * 86_400  # seconds


def account_name(value: str) -> str:
    if not _ACCOUNT.fullmatch(value) or value in _RESERVED or ".." in value:
        raise InvalidInput(
            "a name has 1 to 96 letters, digits, `.`, `_` and `-`, and begins with one of the first two", "name"
        )
    return value


def email(value: str | None) -> str | None:
    if value is not None and (not _EMAIL.fullmatch(value) or not value.isprintable()):
        raise InvalidInput("this is no e-mail address", "email")
    return value


def label(value: str) -> str:
    """What an owner calls a token."""
    if not 1 <= len(value) <= 96 or not value.isprintable():
        raise InvalidInput("a name has 1 to 96 characters, on one line", "name")
    return value


def member_role(value: str) -> str:
    if value not in ROLES:
        raise InvalidInput(f"there is no role {value!r} in an organisation; the roles are {', '.join(ROLES)}", "role")
    return value


def scopes(values: Sequence[str], role: Role) -> tuple[str, ...]:
    """Without doubles; without a word on scopes a fine-grained token is for running models."""
    if values and role is not Role.FINE_GRAINED:
        raise InvalidInput("Scopes go with the role fineGrained; the other roles may run all models.", "scopes")
    if len(values) > MOST_SCOPES:
        raise InvalidInput(f"a token has {MOST_SCOPES} scopes at most", "scopes")
    for value in values:
        scope, has_models, models = value.partition(":")
        is_good = _SCOPE.fullmatch(scope) and (
            not has_models or (scope == INFERENCE_SCOPE and _MODELS.fullmatch(models))
        )
        if not is_good:
            raise InvalidInput(
                f"{value!r} is no scope; the one that runs models is {INFERENCE_SCOPE}, and "
                f"{INFERENCE_SCOPE}:demo/* runs those that are named",
                "scopes",
            )
    return tuple(dict.fromkeys(values)) or ((INFERENCE_SCOPE,) if role is Role.FINE_GRAINED else ())


def is_for_admins(scopes: Sequence[str]) -> bool:
    """Whether a token of these scopes may change other accounts."""
    return ADMIN_SCOPE in scopes


def expiry(text: str, now: float) -> float | None:
    """`30d`, `12h`, a date or time in ISO form (UTC if it names no zone), or `never`, as Unix seconds."""
    if text == "never":
        return None
    span = re.fullmatch(r"(\d{1,9})([mhdwy])", text, re.ASCII)
    when = now + int(span[1]) * _UNITS[span[2]] if span else _iso_seconds(text)
    if when <= now:
        raise InvalidInput(f"{text} is not in the future", "expires")
    if when > now + _LONGEST:
        raise InvalidInput(f"{text} is over a hundred years away: say `never`", "expires")
    return when


def _iso_seconds(text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidInput(f"{text!r} is no time: write 30d, 12h, 2030-12-31 or never", "expires") from None
