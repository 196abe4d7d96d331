"""Pages about whoever asks: whose token it is, what was used, and tokens that have leaked. Knows no model.

The shape of whoami is the Hub's, as huggingface_hub 0.16 to 2.4 and @huggingface/hub read it.
"""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pronto.accounts.issuing import ANYBODY, Issuing
from pronto.accounts.usage_report import UsageReport, as_csv, usage_report
from pronto.core.errors import Forbidden, InvalidInput, TooLarge, Unauthenticated
from pronto.core.identity import Caller
from pronto.edge.authenticate import authenticate
from pronto.edge.health import json_response
from pronto.edge.page_body import read_page_body
from pronto.edge.ports import Rooms
from pronto.store.base import Account, Member, Token
from pronto.wire.faults import HttpFault, Malformed

INVALID = "Invalid credentials in Authorization header"
NO_ADMIN = "You cannot see the usage of this organisation: only its admins can. Please check its name."
MOST_CREDENTIALS = 1000

_MAX_BODY = 256_000  # bytes: a thousand tokens, with room
_DAYS = 30


class RevokeBody(msgspec.Struct, frozen=True):
    """The body of /api/credentials/revoke."""

    credentials: Annotated[list[str], msgspec.Meta(max_length=MOST_CREDENTIALS)]


_revoke_decoder = msgspec.json.Decoder(RevokeBody)


class AccountPages:
    """What a page shows of a token is its name and its end, never what makes it work."""

    def __init__(self, rooms: Rooms) -> None:
        self._authenticator, self._store, self._plans = rooms.authenticator, rooms.store, rooms.plans
        self._timeout = rooms.settings.body_timeout

    async def whoami(self, request: Request) -> Response:
        """The account of a token, in the words of `login()` and `whoami()`."""
        try:
            caller = await authenticate(self._authenticator, request.headers, False)
        except Unauthenticated:
            return json_response({"error": INVALID}, 401)
        found = None if caller.is_anonymous else await self._store.tokens.by_digest(caller.digest)
        if found is None:
            return json_response({"error": INVALID}, 401)
        token, account = found
        places = await self._store.organisations.of(account.id)
        return json_response(
            _shown(account, self._plans.allows(account.plan, "pro"))
            | {"email": account.email, "emailVerified": False}
            | {"orgs": [self._org(place, org) for place, org in places]}
            | {"auth": {"type": "access_token", "accessToken": _access(token)}}
        )

    async def usage(self, request: Request) -> Response:
        """Of the caller's account, or of an organisation for its admins. Raises Forbidden and InvalidInput."""
        caller = await authenticate(self._authenticator, request.headers, False)
        if caller.is_anonymous:
            raise Unauthenticated("A token is needed: usage is kept by account.")
        org_id = await self._org_of(caller, request.query_params.get("org"))
        account_id = caller.account_id if org_id is None else None
        days = asked_days(request)
        report = await usage_report(self._store, account_id=account_id, org_id=org_id, days=days, now=time.time())
        return usage_response(request, report)

    async def revoke(self, request: Request) -> Response:
        """No token is needed, and nothing is told: not even whether one of them was good."""
        try:
            body = await read_page_body(request, _revoke_decoder, _MAX_BODY, self._timeout)
        except (Malformed, TooLarge):
            raise HttpFault(
                f'The body must be {{"credentials": ["hf_...", ...]}} with at most {MOST_CREDENTIALS} of them.',
                status=400,
                error_type="validation",
            ) from None
        issuing = Issuing(self._store, actor=ANYBODY, now=time.time)
        if await issuing.revoke_reported(body.credentials):
            self._authenticator.forget()
        return Response(status_code=202)

    def _org(self, place: Member, org: Account) -> dict[str, Any]:
        return _shown(org, self._plans.allows(org.plan, "pro")) | {"roleInOrg": place.role}

    async def _org_of(self, caller: Caller, name: str | None) -> int | None:
        """The organisation whose usage is asked for; None: the account's own."""
        if caller.org_id == caller.account_id and name in (None, caller.account):
            return caller.org_id
        if name is None:
            return None
        found = await self._store.organisations.membership(caller.account_id, name)
        if found is None or found[0].role != "admin":
            raise Forbidden(NO_ADMIN)
        return found[1].id


def asked_days(request: Request) -> int:
    """Raises InvalidInput for what is no number."""
    text = request.query_params.get("days", str(_DAYS))
    if not (text.isascii() and text.isdecimal() and len(text) < 6):
        raise InvalidInput("`days` is a number of days, such as 30", "days")
    return int(text)


def usage_response(request: Request, report: UsageReport) -> Response:
    """JSON, or CSV for who asks with `format=csv` or the Accept header."""
    wants_csv = request.query_params.get("format", "") == "csv" or "text/csv" in request.headers.get("accept", "")
    if not wants_csv:
        return json_response(report)
    headers = {
        "content-type": "text/csv; charset=utf-8",
        "content-disposition": 'attachment; filename="usage.csv"',
        "x-content-type-options": "nosniff",
    }
    return Response(as_csv(report.usage), headers=headers)


def _shown(account: Account, is_pro: bool) -> dict[str, Any]:
    return {
        "type": account.kind,
        "id": str(account.id),
        "name": account.name,
        "fullname": account.name,
        "isPro": is_pro,
        "canPay": False,
        "periodEnd": None,
    }


def _access(token: Token) -> dict[str, Any]:
    shown = {"displayName": token.name, "role": token.role, "createdAt": _moment(token.created)}
    return shown if token.expires is None else shown | {"expiration": _moment(token.expires)}


def _moment(seconds: float) -> str:
    """As JavaScript writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
