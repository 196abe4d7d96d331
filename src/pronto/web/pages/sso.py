"""Signing in with a provider: on the way there, and back. Knows nothing of tokens."""

import time

from starlette.responses import Response

from pronto.accounts.address_guard import AddressGuard
from pronto.accounts.sso import Begin
from pronto.core.errors import Forbidden, NotFound, RateLimited
from pronto.web.pages.sign_in import admit
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.site_errors import NEEDS_HTTPS
from pronto.web.visit import Visit, local_path, redirect

BEGINS_PER_MINUTE = 30  # of one address


class SsoPages:
    """An attempt belongs to the cookie of the browser that began it."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._sso, self._view = rooms, rooms.sso, view
        self._guard = AddressGuard(BEGINS_PER_MINUTE, time.monotonic)

    async def begin(self, visit: Visit) -> Response:
        """Raises NotFound, RateLimited and Overloaded."""
        next_page = local_path(visit.query("next"))
        if visit.account is not None:
            return redirect(next_page)
        return await self._away(visit, next_page, None)

    async def link(self, visit: Visit) -> Response:
        """For who is signed in: this provider's identity is to be theirs."""
        return await self._away(visit, "/settings/account", visit.user.id)

    async def back(self, visit: Visit) -> Response:
        """Raises InvalidInput and Forbidden."""
        name = visit.params["provider"]
        query = dict(visit.request.query_params)
        identity, attempt = await self._sso.end(name, visit.binding(), query)
        provider = self._sso.providers[name]
        if attempt.account_id is not None:
            if visit.account is None or visit.account.id != attempt.account_id:
                raise Forbidden("You are not signed in any more. Please sign in, and begin again.")
            await self._rooms.sso_people.link(visit.account, identity)
            return redirect(attempt.next_page, "sso-linked")
        account = await self._rooms.sso_people.admit(provider, identity)
        self._rooms.authenticator.forget()  # what groups have changed holds at once
        await admit(visit, self._rooms, account, provider.title or provider.name)
        return redirect(attempt.next_page)

    async def _away(self, visit: Visit, next_page: str, account_id: int | None) -> Response:
        if not visit.ground.is_allowed:
            raise Forbidden(NEEDS_HTTPS)
        name, address = visit.params["provider"], visit.place.address
        if name not in self._sso.providers:
            raise NotFound("There is no such way to sign in.")
        if wait := self._guard.wait(address):
            raise RateLimited("Too many sign-ins were begun from your address.", window="sso", retry_after=wait)
        self._guard.count(address)
        asked = Begin(
            provider=name,
            browser=visit.binding(),
            callback=f"{self._view.address(visit)}/sso/{name}/callback",
            next_page=next_page,
            account_id=account_id,
        )
        return Response(status_code=303, headers={"location": await self._sso.begin(asked)})
