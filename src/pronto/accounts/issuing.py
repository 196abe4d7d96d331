"""What makes, rotates and revokes tokens, for the command line and the HTTP API alike. Knows neither.

Each change and its entry in the audit trail are one transaction; an entry names a token by its label and last letters.
"""

from collections.abc import Callable, Sequence

import msgspec

from pronto.accounts import names
from pronto.accounts.tokens import Grant, digest, issue, looks_valid, mint
from pronto.core.errors import Forbidden, InvalidInput, NotFound
from pronto.core.identity import Role
from pronto.store.base import Store, Token

ANYBODY = "anonymous"  # the actor who reports tokens that have leaked


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be made for the account `user`. `expires` as names.expiry reads it."""

    user: str
    name: str
    role: Role = Role.READ
    scopes: tuple[str, ...] = ()
    expires: str = "90d"


class Issuing:
    """`actor` is who changes; `may_make_admins`: whether the scope `admin` may be given. `now` gives Unix seconds.

    All raise NotFound, InvalidInput and Forbidden with a sentence, and StorageFailed.
    """

    def __init__(self, store: Store, *, actor: str, now: Callable[[], float], may_make_admins: bool = False) -> None:
        self._store, self._actor, self._now, self._may_make_admins = store, actor, now, may_make_admins

    async def create(self, new: NewToken) -> tuple[str, Token]:
        """The token, to be shown once, and its row."""
        now = self._now()
        scopes = names.scopes(new.scopes, new.role)
        self._check_admin(scopes)
        expires = names.expiry(new.expires, now)
        async with self._store.transaction():
            account = await self._store.accounts.by_name(new.user)
            if account is None:
                raise NotFound(f"There is no account named {new.user}. `pronto users list` shows all of them.")
            grant = Grant(
                account_id=account.id, name=names.label(new.name), role=new.role, scopes=scopes, expires=expires
            )
            secret, row = issue(grant, now)
            try:
                row = await self._store.tokens.add(row)
            except ValueError as error:
                raise InvalidInput(str(error)) from error
            await self._note("token.create", row, account.name)
        return secret, row

    async def rotate(self, id: int) -> tuple[str, Token]:
        """Another secret for a token; the old one is refused from now on."""
        async with self._store.transaction():
            row = await self._find(id)
            self._check_admin(row.scopes)
            secret = mint()
            if not await self._store.tokens.rotate(id, digest(secret), secret[-4:]):
                raise InvalidInput(f"The token {id} was revoked, and stays so. Please make a new one.")
            await self._note("token.rotate", row, await self._owner(row))
            return secret, await self._find(id)

    async def revoke(self, ids: Sequence[int]) -> list[Token]:
        """Those that were good until now. Nothing is revoked when one of them is unknown."""
        async with self._store.transaction():
            return await self._revoke([await self._find(id) for id in ids])

    async def revoke_reported(self, credentials: Sequence[str]) -> int:
        """Revoke what somebody holds, who proves it by showing it; how many were good until now."""
        digests = list(dict.fromkeys(digest(one) for one in credentials if looks_valid(one)))
        # Looked for before anything is locked: everybody may ask, and mostly with nothing.
        found = await self._store.tokens.find(digests) if digests else ()
        if not found:
            return 0
        return len(await self._revoke(found))

    async def _revoke(self, rows: Sequence[Token]) -> list[Token]:
        async with self._store.transaction():
            revoked = [row for row in rows if await self._store.tokens.revoke(row.id, self._now())]
            for row in revoked:
                await self._note("token.revoke", row, await self._owner(row))
        return revoked

    def _check_admin(self, scopes: Sequence[str]) -> None:
        if names.is_for_admins(scopes) and not self._may_make_admins:
            raise Forbidden(
                "Tokens with the scope `admin` are made and rotated at the command line of the server only."
            )

    async def _find(self, id: int) -> Token:
        row = next((row for row in await self._store.tokens.list() if row.id == id), None)
        if row is None:
            raise NotFound(f"There is no token {id}. `pronto tokens list` shows all of them.")
        return row

    async def _owner(self, row: Token) -> str:
        account = await self._store.accounts.get(row.account_id)
        return account.name if account is not None else ""

    async def _note(self, action: str, row: Token, owner: str) -> None:
        details = {"name": row.name, "last4": row.last4, "role": row.role, "scopes": list(row.scopes)}
        await self._store.audit.write(self._actor, action, owner, details)
