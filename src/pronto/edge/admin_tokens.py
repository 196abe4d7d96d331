"""Tokens over HTTP, for administrators: listed without what makes them work, made, rotated and revoked.

Nothing here makes a token that could do the same.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pronto.accounts.issuing import NewToken
from pronto.core.errors import NotFound
from pronto.core.identity import Role
from pronto.edge.admin_pages import MAX_BODY, Desk
from pronto.edge.health import json_response
from pronto.edge.page_body import read_page_body
from pronto.edge.ports import Rooms
from pronto.store.base import Token


class NewTokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new token. `expires`: 30d, 12h, 2030-12-31 (UTC) or never."""

    user: str
    name: str = "api"
    role: Role = Role.READ
    scopes: tuple[str, ...] = ()
    expires: str = "90d"


class TokenShown(msgspec.Struct, frozen=True, kw_only=True):
    """A token as administrators see it. Times are Unix seconds."""

    id: int
    user: str
    name: str
    role: str
    scopes: tuple[str, ...]
    last4: str
    created: float
    expires: float | None
    last_used: float | None
    revoked: float | None
    token: str | msgspec.UnsetType = msgspec.UNSET  # in the answer that makes it, and never again


_decoder = msgspec.json.Decoder(NewTokenBody)


class AdminTokens:
    """The number of a token stands where other paths have a model's id."""

    def __init__(self, rooms: Rooms) -> None:
        self._store, self._timeout = rooms.store, rooms.settings.body_timeout

    async def list(self, request: Request, desk: Desk) -> Response:
        user = request.query_params.get("user")
        account_id = None if user is None else (await desk.registry.find(user)).id
        names = {account.id: account.name for account in await self._store.accounts.list()}
        rows = await self._store.tokens.list(account_id)
        return json_response([_shown(row, names.get(row.account_id, "")) for row in rows])

    async def create(self, request: Request, desk: Desk) -> Response:
        body = await read_page_body(request, _decoder, MAX_BODY, self._timeout)
        new = NewToken(user=body.user, name=body.name, role=body.role, scopes=body.scopes, expires=body.expires)
        secret, row = await desk.issuing.create(new)
        return json_response(msgspec.structs.replace(_shown(row, body.user), token=secret), 201)

    async def rotate(self, request: Request, desk: Desk) -> Response:
        secret, row = await desk.issuing.rotate(_id(request))
        owner = await self._store.accounts.get(row.account_id)
        shown = _shown(row, owner.name if owner is not None else "")
        return json_response(msgspec.structs.replace(shown, token=secret))

    async def revoke(self, request: Request, desk: Desk) -> Response:
        await desk.issuing.revoke([_id(request)])
        return Response(status_code=204)


def _id(request: Request) -> int:
    text: str = request.path_params["model"]
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise NotFound(f"There is no token {text}.")
    return int(text)


def _shown(row: Token, user: str) -> TokenShown:
    fields = {name: getattr(row, name) for name in Token.__struct_fields__ if name not in ("digest", "account_id")}
    return TokenShown(user=user, **fields)
