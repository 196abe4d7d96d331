"""The pages as one ASGI application: finds the page, checks who may open it and where a form comes from, writes faults.

It stands before the API: `takes` says which requests are the pages'.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pronto.core.errors import Forbidden, InvalidInput, MethodNotAllowed, NotFound, ProntoError, Unauthenticated
from pronto.observe import logger
from pronto.web.assets import PREFIX, Assets
from pronto.web.cookies import ground_of, read_cookie
from pronto.web.forms import read_form
from pronto.web.headers import is_from_here, page_headers, policy
from pronto.web.pages.table import page_table
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.routes import For, Found, Page, Pages
from pronto.web.site_errors import FOREIGN, NEEDS_HTTPS, STALE
from pronto.web.visit import Visit, redirect
from pronto.wire.faults import fault

Handler = Callable[[Visit], Awaitable[Response]]

# A browser follows the answer to a form only where the policy lets forms lead.
PAYMENT_PAGES = ("https://checkout.stripe.com", "https://billing.stripe.com")

_API = ("/v1/", "/models/", "/api/", "/hf-inference/", "/pipeline/")

log = logger("web")


class Site:
    """Everything that people open in a browser."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms, self._pages, self.assets = rooms, Pages(), Assets()
        self.view = View(rooms.settings, self.assets)
        self._handlers: Mapping[str, Handler] = page_table(rooms, self.view)
        self._policy = policy([*(PAYMENT_PAGES if rooms.billing.is_on else ()), *rooms.sso.origins])

    def takes(self, method: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether a request is for a page, or for what pages need."""
        if method == "POST" and path.startswith(_API):
            return False  # what most requests are is told first
        if self._pages.owns(path) or path.startswith(PREFIX):
            return True
        if method not in ("GET", "HEAD") or not wants_html(headers):
            return False
        found = self._pages.find(path)
        return found is not None and "GET" in found[0]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        response = None
        if scope["path"].startswith(PREFIX) and scope["method"] in ("GET", "HEAD"):
            response = self.assets.answer(request)
        if response is None:
            response = await self._answer(request, self._open(request))
        await response(scope, receive, send)

    async def show(self, error: ProntoError, scope: Any, receive: Any, send: Any) -> None:
        """A fault of a request that was for no page, for a browser that asked for one."""

        async def failed(_: Visit) -> Response:
            raise error

        response = await self._answer(Request(scope, receive), failed)
        await response(scope, receive, send)

    def _open(self, request: Request) -> Handler:
        async def open_page(visit: Visit) -> Response:
            found = self._find(request)
            visit.params = found.params
            refused = self._refuse(visit, found.page)
            if refused is not None:
                return refused
            if found.page.method == "POST" and not found.page.takes_foreign_posts:
                await self._take_form(visit)
            try:
                return await self._handlers[found.page.name](visit)
            finally:
                if found.page.method == "POST" and found.page.name != "page-token":
                    self._rooms.authenticator.forget()  # what was changed holds at once

        return open_page

    async def _answer(self, request: Request, handler: Handler) -> Response:
        ground = ground_of(request, self._rooms.settings)
        visit = Visit(request, ground, {}, read_cookie(request, ground.cookie))
        try:
            await self._recognize(visit)
            response = await handler(visit)
        except ProntoError as error:
            response = self._fault(visit, error)
        except Exception as error:
            request_id = request.headers.get("x-request-id", "")
            log.error("a page failed", request_id=request_id, path=visit.path, exc_info=error)
            response = self._fault(visit, _Broken(request_id))
        headers = page_headers(ground, self._policy)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("vary", "accept, cookie")
        visit.finish(response)
        return response

    def _find(self, request: Request) -> Found:
        path, method = request.scope["path"], request.method
        found = self._pages.find(path)
        if found is None:
            raise NotFound(f"There is nothing at {path[:200]}.")
        pages, params = found
        page = pages.get("GET" if method == "HEAD" else method)
        if page is None:
            allowed = (*pages, "HEAD") if "GET" in pages else tuple(pages)
            raise MethodNotAllowed(f"{path[:200]} does not take {method}.", allowed)
        return Found(page, params)

    async def _recognize(self, visit: Visit) -> None:
        secret = visit.secret
        found = await self._rooms.sessions.find(secret) if secret and visit.ground.is_allowed else None
        if found is not None:
            visit.session, visit.account = found
            visit.is_administrator = await self._rooms.store.passwords.is_administrator(visit.account.id)

    def _refuse(self, visit: Visit, page: Page) -> Response | None:
        """Where the browser is led to instead; None: it may open the page. Raises Forbidden and Unauthenticated."""
        if page.access is For.ANYBODY:
            return None
        if visit.account is None:
            if visit.is_script:
                raise Unauthenticated("You are not signed in any more. Please sign in again.")
            if not visit.ground.is_allowed:
                raise Forbidden(NEEDS_HTTPS)
            asked = visit.request.url.path + (f"?{visit.request.url.query}" if visit.request.url.query else "")
            return redirect(sign_in_path(asked if visit.request.method != "POST" else ""))
        if page.access is For.ADMINISTRATORS and not visit.is_administrator:
            raise Forbidden("This page is for administrators. Whoever runs the server can make you one.")
        return None

    async def _take_form(self, visit: Visit) -> None:
        """Raises Forbidden for a form that is not our own, TooLarge and InvalidInput."""
        if not is_from_here(visit.request.headers, visit.ground):
            raise Forbidden(FOREIGN)
        visit.form = await read_form(visit.request, self._rooms.settings.body_timeout)
        if not visit.holds(visit.request.headers.get("x-form-token", "") or visit.form.get("_form")):
            raise Forbidden(STALE if visit.ground.is_allowed else NEEDS_HTTPS)

    def _fault(self, visit: Visit, error: ProntoError) -> Response:
        shown = fault(error)
        status = 500 if isinstance(error, _Broken) else shown.status
        headers = {name.decode(): value.decode() for name, value in shown.headers if name != b"www-authenticate"}
        response: Response
        if visit.is_script:
            response = JSONResponse({"error": error.message, "error_type": shown.error_type}, status)
        else:
            message = _sentence(error.message) if isinstance(error, InvalidInput) else error.message
            response = self.view.page(visit, "fault.html", status, code=status, message=message)
        response.headers.update(headers)
        return response


class _Broken(ProntoError):
    """A fault of ours; the log has it whole."""

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Something went wrong inside the server. Please report it with this id: {request_id}.")


def wants_html(headers: Mapping[str, str]) -> bool:
    return "text/html" in headers.get("accept", "")


def sign_in_path(next_page: str) -> str:
    return f"/login?next={quote(next_page, safe='')}" if next_page else "/login"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
