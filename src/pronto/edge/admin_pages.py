"""The administration over HTTP: accounts, organisations, usage and the audit trail. Knows no token.

Every page is for fine-grained tokens with the scope `admin`, which only the command line can make.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pronto.accounts.issuing import Issuing
from pronto.accounts.registry import NewAccount, Registry
from pronto.accounts.usage_report import usage_report
from pronto.core.errors import Forbidden, InvalidInput
from pronto.core.identity import Caller
from pronto.edge.account_pages import asked_days, usage_response
from pronto.edge.authenticate import authenticate
from pronto.edge.health import json_response
from pronto.edge.page_body import read_page_body
from pronto.edge.ports import Rooms
from pronto.store.base import Account, Member

NEEDS_ADMIN = (
    "This page is for administrators: it needs a token that the operator made at the server with "
    "`pronto tokens create --role fineGrained --scope admin`."
)
MAX_BODY = 16_000  # bytes
_MOST_ENTRIES = 1000  # of the audit trail in one answer


class Desk(msgspec.Struct, frozen=True):
    """What an administrator works with, in their own name."""

    registry: Registry
    issuing: Issuing
    actor: str


Work = Callable[[Request, Desk], Awaitable[Response]]
Page = Callable[[Request], Awaitable[Response]]


class UserBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new account."""

    name: str
    plan: str = "free"
    email: str | None = None


class OrgBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new organisation."""

    name: str
    plan: str = "free"


class ChangeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be otherwise. `limits` null: the plan alone holds again."""

    plan: str | msgspec.UnsetType = msgspec.UNSET
    limits: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    suspended: bool | msgspec.UnsetType = msgspec.UNSET


class MemberBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member, or another role for one: admin, write or read."""

    user: str
    role: str = "write"


_user_decoder, _org_decoder = msgspec.json.Decoder(UserBody), msgspec.json.Decoder(OrgBody)
_change_decoder, _member_decoder = msgspec.json.Decoder(ChangeBody), msgspec.json.Decoder(MemberBody)


class Gate:
    """Lets administrators in, and lets what they change hold at once."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def __call__(self, work: Work) -> Page:
        async def page(request: Request) -> Response:
            caller = await authenticate(self._rooms.authenticator, request.headers, False)
            if not caller.may_administrate:
                raise Forbidden(NEEDS_ADMIN)
            try:
                response = await work(request, self._desk(caller))
            finally:
                if request.method not in ("GET", "HEAD"):
                    self._rooms.authenticator.forget()
            response.headers["cache-control"] = "no-store"
            return response

        return page

    def _desk(self, caller: Caller) -> Desk:
        store, actor = self._rooms.store, caller.account
        registry = Registry(store, lambda: self._rooms.plans, actor=actor, now=time.time)
        return Desk(registry, Issuing(store, actor=actor, now=time.time), actor)


class AdminPages:
    """The name of an account stands where other paths have a model's id."""

    def __init__(self, rooms: Rooms) -> None:
        self._store, self._timeout = rooms.store, rooms.settings.body_timeout

    async def users(self, _: Request, desk: Desk) -> Response:
        return await self._list("user")

    async def orgs(self, _: Request, desk: Desk) -> Response:
        return await self._list("org")

    async def add_user(self, request: Request, desk: Desk) -> Response:
        body = await read_page_body(request, _user_decoder, MAX_BODY, self._timeout)
        account = await desk.registry.add(NewAccount(name=body.name, plan=body.plan, email=body.email))
        return json_response(shown(account), 201)

    async def add_org(self, request: Request, desk: Desk) -> Response:
        body = await read_page_body(request, _org_decoder, MAX_BODY, self._timeout)
        account = await desk.registry.add(NewAccount(name=body.name, plan=body.plan, kind="org"))
        return json_response(shown(account), 201)

    async def user(self, request: Request, desk: Desk) -> Response:
        account = await desk.registry.find(request.path_params["model"], "user")
        places = await self._store.organisations.of(account.id)
        return json_response(shown(account) | {"orgs": [_place(place, org) for place, org in places]})

    async def org(self, request: Request, desk: Desk) -> Response:
        account = await desk.registry.find(request.path_params["model"], "org")
        places = await self._store.organisations.members(account.id)
        return json_response(shown(account) | {"members": [_place(place, user) for place, user in places]})

    async def change(self, request: Request, desk: Desk) -> Response:
        """Plan, limits and suspension of a user or an organisation; all of it or nothing."""
        kind = "org" if "/orgs/" in request.scope["path"] else "user"
        body = await read_page_body(request, _change_decoder, MAX_BODY, self._timeout)
        name = request.path_params["model"]
        async with self._store.transaction():
            account = await desk.registry.find(name, kind)
            if body.limits is None:
                account = await desk.registry.set_limits(name, None)
            if isinstance(body.plan, str):
                account = await desk.registry.set_plan(name, body.plan)
            if isinstance(body.limits, dict):
                account = await desk.registry.set_limits(name, body.limits)
            if isinstance(body.suspended, bool):
                account = await (desk.registry.suspend if body.suspended else desk.registry.resume)(name)
        return json_response(shown(account))

    async def set_member(self, request: Request, desk: Desk) -> Response:
        body = await read_page_body(request, _member_decoder, MAX_BODY, self._timeout)
        place = await desk.registry.set_member(request.path_params["model"], body.user, body.role)
        return json_response({"name": body.user, "role": place.role})

    async def remove_member(self, request: Request, desk: Desk) -> Response:
        await desk.registry.remove_member(request.path_params["model"], request.query_params.get("user", ""))
        return Response(status_code=204)

    async def usage(self, request: Request, desk: Desk) -> Response:
        """Of one user, one organisation, or everybody."""
        user, org = request.query_params.get("user"), request.query_params.get("org")
        account_id = None if user is None else (await desk.registry.find(user, "user")).id
        org_id = None if org is None else (await desk.registry.find(org, "org")).id
        days = asked_days(request)
        report = await usage_report(self._store, account_id=account_id, org_id=org_id, days=days, now=time.time())
        return usage_response(request, report)

    async def audit(self, request: Request, desk: Desk) -> Response:
        asked = request.query_params
        before, limit = _number(asked.get("before"), "before"), _number(asked.get("limit"), "limit")
        entries = await self._store.audit.list(
            subject=asked.get("subject"), before=before, limit=min(limit or 100, _MOST_ENTRIES)
        )
        return json_response(entries)

    async def _list(self, kind: str) -> Response:
        return json_response([shown(account) for account in await self._store.accounts.list() if account.kind == kind])


def shown(account: Account) -> dict[str, Any]:
    """An account as administrators see it. Times are Unix seconds."""
    fields = msgspec.structs.asdict(account)
    return fields | {"limits": None if account.limits is None else msgspec.json.decode(account.limits)}


def _place(place: Member, account: Account) -> dict[str, Any]:
    return {"name": account.name, "role": place.role, "since": place.created}


def _number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise InvalidInput(f"`{name}` is a number", name)
    return int(text)
