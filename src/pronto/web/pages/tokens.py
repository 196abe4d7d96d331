"""Tokens in a browser: listed, made, rotated and revoked, one's own and those of organisations that one administrates.

A token is in the page that makes it, and never again.
"""

import time
from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from pronto.accounts.issuing import Issuing, NewToken
from pronto.core.errors import Forbidden, InvalidInput, ModelNotFound, NotFound
from pronto.core.identity import INFERENCE_SCOPE, Role
from pronto.store.base import Account, Token
from pronto.web.once import Once
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, status_of, wrong_fields

PAGE = "/settings/tokens"
LIVES = (("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days"), ("365d", "1 year"), ("never", "Never"))
MOST_LISTED = 200  # models to choose from; more are named by a pattern


class Owned(msgspec.Struct, frozen=True):
    """A token and whose it is."""

    token: Token
    owner: Account
    models: tuple[str, ...]  # that it may run; empty: all
    is_over: bool


class Draft(msgspec.Struct, kw_only=True):
    """A form as it was filled in."""

    owner: str
    name: str = ""
    role: str = Role.FINE_GRAINED.value
    reach: str = "all"  # all | some
    models: tuple[str, ...] = ()
    patterns: str = ""
    expires: str = "90d"


class TokenPages:
    """What a page shows of a token is its name, its end and its last letters."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._store, self._models, self._view, self._once = rooms.store, rooms.models, view, Once()

    async def all(self, visit: Visit) -> Response:
        owners, now = await self._owners(visit), time.time()
        rows = [
            Owned(token, owner, _models_of(token), token.expires is not None and token.expires <= now)
            for owner in owners
            for token in reversed(await self._store.tokens.list(owner.id))
            if token.revoked is None
        ]
        return self._view.page(visit, "settings/tokens.html", tokens=rows, has_orgs=len(owners) > 1)

    async def new(self, visit: Visit) -> Response:
        """Also at the Hub's own address, with what its links ask for."""
        asked = visit.request.query_params
        draft = Draft(owner=visit.query("org") or visit.user.name)
        if asked.get("tokenType") in [role.value for role in Role]:
            draft.role = asked["tokenType"]
        if INFERENCE_SCOPE in asked.getlist("ownUserPermissions"):
            draft.role = Role.FINE_GRAINED.value
        if model := visit.query("model"):
            draft.reach, draft.models = "some", (model,)
        return await self._form(visit, draft, {})

    async def create(self, visit: Visit) -> Response:
        """Raises Forbidden for an organisation that is not one's own to administrate."""
        draft = _read(visit)
        owner = await self._owner(visit, draft.owner)
        if not self._once.claim(visit.form.get("once")):
            return redirect(PAGE, "token-made-before")
        try:
            role = Role(draft.role)
            new = NewToken(
                user=owner.name, name=draft.name, role=role, scopes=_scopes(draft, role), expires=draft.expires
            )
            secret, row = await self._issuing(visit).create(new)
        except (InvalidInput, ValueError) as error:
            fault = error if isinstance(error, InvalidInput) else InvalidInput("please choose one of these", "role")
            return await self._form(visit, draft, wrong_fields(fault), status_of(fault))
        return self._made(visit, row, owner, secret, "Your new token")

    async def rotate(self, visit: Visit) -> Response:
        """Raises NotFound for another's."""
        if not self._once.claim(visit.form.get("once")):
            return redirect(PAGE, "token-made-before")
        token, owner = await self._own(visit)
        secret, row = await self._issuing(visit).rotate(token.id)
        return self._made(visit, row, owner, secret, "The token has another secret")

    async def revoke(self, visit: Visit) -> Response:
        """Raises NotFound for another's."""
        token, _ = await self._own(visit)
        await self._issuing(visit).revoke([token.id])
        return redirect(PAGE, "token-revoked")

    async def one(self, visit: Visit) -> Response:
        """What one token is, with what can be done to it. Raises NotFound for another's."""
        token, owner = await self._own(visit)
        values = {"token": token, "owner": owner, "models": _models_of(token), "once": self._once.mark()}
        return self._view.page(visit, "settings/token.html", **values)

    def _made(self, visit: Visit, row: Token, owner: Account, secret: str, title: str) -> Response:
        try:
            model = self._models.describe(self._models.default())
        except ModelNotFound:
            model = None
        values = {"token": row, "owner": owner, "secret": secret, "headline": title, "model": model}
        return self._view.page(visit, "settings/token_made.html", **values)

    async def _form(self, visit: Visit, draft: Draft, wrong: dict[str, str], status: int = 200) -> Response:
        models = [model.id for model in self._models.list()][:MOST_LISTED]
        owners = await self._owners(visit)
        values = {
            "draft": draft,
            "wrong": wrong,
            "models": models,
            "owners": owners,
            "lives": LIVES,
            "once": self._once.mark(),
        }
        return self._view.page(visit, "settings/token_new.html", status, **values)

    async def _owners(self, visit: Visit) -> Sequence[Account]:
        """Whose tokens this user handles: their own, and those of organisations where they are an admin."""
        places = await self._store.organisations.of(visit.user.id)
        return [visit.user, *(org for place, org in places if place.role == "admin")]

    async def _owner(self, visit: Visit, name: str) -> Account:
        owner = next((one for one in await self._owners(visit) if one.name == name), None)
        if owner is None:
            raise Forbidden("You cannot make tokens of this organisation: only its admins can.")
        return owner

    async def _own(self, visit: Visit) -> tuple[Token, Account]:
        id = int(visit.params["id"])
        for owner in await self._owners(visit):
            for token in await self._store.tokens.list(owner.id):
                if token.id == id and token.revoked is None:
                    return token, owner
        raise NotFound("There is no such token of yours, or it was revoked.")

    def _issuing(self, visit: Visit) -> Issuing:
        return Issuing(self._store, actor=visit.user.name, now=time.time)


def _read(visit: Visit) -> Draft:
    form = visit.form
    return Draft(
        owner=form.get("owner") or visit.user.name,
        name=form.get("name"),
        role=form.get("role"),
        reach=form.get("reach") or "all",
        models=tuple(form.all("model")),
        patterns=form.get("patterns"),
        expires=form.get("until") if form.get("expires") == "date" else form.get("expires") or "90d",
    )


def _scopes(draft: Draft, role: Role) -> tuple[str, ...]:
    if role is not Role.FINE_GRAINED:
        return ()
    if draft.reach != "some":
        return (INFERENCE_SCOPE,)
    chosen = [*draft.models, *draft.patterns.replace(",", " ").split()]
    if not chosen:
        raise InvalidInput("choose a model, or write a pattern such as demo/*", "models")
    return tuple(f"{INFERENCE_SCOPE}:{model}" for model in chosen)


def _models_of(token: Token) -> tuple[str, ...]:
    start = INFERENCE_SCOPE + ":"
    return tuple(scope[len(start) :] for scope in token.scopes if scope.startswith(start))
