"""The table of all pages: method and path to a name, and who may open it. Knows no handler.

`{model}` is a model's id with at most one slash, `{id}` digits, every other name one segment.
"""

import re
from enum import Enum

import msgspec


class For(Enum):
    """Who may open a page. Others are led to the sign-in, or told what is missing."""

    ANYBODY = "anybody"
    USERS = "users"
    ADMINISTRATORS = "administrators"


class Page(msgspec.Struct, frozen=True):
    """One line of the table."""

    name: str
    method: str
    path: str
    access: For = For.ANYBODY
    is_shared: bool = False  # the API answers at this path too: the page is for who asks for HTML
    takes_foreign_posts: bool = False  # a machine posts here, and proves who it is by a signature


class Found(msgspec.Struct, frozen=True):
    """A page, and what its path names."""

    page: Page
    params: dict[str, str]


_MODEL = r"[\w.-]{1,96}(?:/[\w.-]{1,96})?"
_PARTS = {"model": _MODEL, "id": r"[0-9]{1,18}"}
_SEGMENT = r"[\w.@+-]{1,200}"

TABLE: tuple[Page, ...] = (
    Page("home", "GET", "/", is_shared=True),
    Page("models", "GET", "/models", is_shared=True),
    Page("model", "GET", "/models/{model}", is_shared=True),
    Page("docs", "GET", "/docs", is_shared=True),
    Page("login", "GET", "/login"),
    Page("log-in", "POST", "/login"),
    Page("join", "GET", "/join"),
    Page("ask-to-join", "POST", "/join"),
    Page("join-by-link", "GET", "/join/{code}"),
    Page("join-now", "POST", "/join/{code}"),
    Page("forgotten", "GET", "/password"),
    Page("send-link", "POST", "/password"),
    Page("new-password", "GET", "/password/{code}"),
    Page("set-password", "POST", "/password/{code}"),
    Page("invitation", "GET", "/invitation/{code}"),
    Page("accept-invitation", "POST", "/invitation/{code}", For.USERS),
    Page("device", "GET", "/oauth/device", For.USERS, is_shared=True),
    Page("let-in", "POST", "/device", For.USERS),
    Page("account", "GET", "/settings/account", For.USERS),
    Page("change-password", "POST", "/settings/account/password", For.USERS),
    Page("sso-begin", "GET", "/sso/{provider}"),
    Page("sso-back", "GET", "/sso/{provider}/callback"),
    Page("sso-link", "POST", "/sso/{provider}/link", For.USERS),
    Page("log-out", "POST", "/logout", For.USERS),
    Page("tokens", "GET", "/settings/tokens", For.USERS),
    Page("new-token", "GET", "/settings/tokens/new", For.USERS),
    Page("create-token", "POST", "/settings/tokens/new", For.USERS),
    Page("token", "GET", "/settings/tokens/{id}", For.USERS),
    Page("rotate-token", "POST", "/settings/tokens/{id}/rotate", For.USERS),
    Page("revoke-token", "POST", "/settings/tokens/{id}/revoke", For.USERS),
    Page("usage", "GET", "/settings/usage", For.USERS),
    Page("usage-csv", "GET", "/settings/usage/csv", For.USERS),
    Page("pricing", "GET", "/pricing"),
    Page("billing", "GET", "/settings/billing", For.USERS),
    Page("ask-for-plan", "POST", "/settings/billing/ask", For.USERS),
    Page("withdraw-request", "POST", "/settings/billing/withdraw", For.USERS),
    Page("leave-plan", "POST", "/settings/billing/leave", For.USERS),
    Page("subscribe", "POST", "/settings/billing/subscribe", For.USERS),
    Page("portal", "POST", "/settings/billing/portal", For.USERS),
    Page("stripe-webhook", "POST", "/stripe/webhook", takes_foreign_posts=True),
    Page("sessions", "GET", "/settings/sessions", For.USERS),
    Page("end-session", "POST", "/settings/sessions/{id}/end", For.USERS),
    Page("end-sessions", "POST", "/settings/sessions/end", For.USERS),
    Page("organization", "GET", "/organizations/{org}", For.USERS),
    Page("invite-member", "POST", "/organizations/{org}/invite", For.USERS),
    Page("set-role", "POST", "/organizations/{org}/role", For.USERS),
    Page("remove-member", "POST", "/organizations/{org}/remove", For.USERS),
    Page("leave-organization", "POST", "/organizations/{org}/leave", For.USERS),
    Page("admin", "GET", "/admin", For.ADMINISTRATORS),
    Page("admin-accounts", "GET", "/admin/accounts", For.ADMINISTRATORS),
    Page("admin-add", "POST", "/admin/accounts", For.ADMINISTRATORS),
    Page("admin-invite", "POST", "/admin/invite", For.ADMINISTRATORS),
    Page("admin-account", "GET", "/admin/accounts/{name}", For.ADMINISTRATORS),
    Page("admin-change", "POST", "/admin/accounts/{name}", For.ADMINISTRATORS),
    Page("admin-password", "POST", "/admin/accounts/{name}/password", For.ADMINISTRATORS),
    Page("admin-requests", "GET", "/admin/requests", For.ADMINISTRATORS),
    Page("admin-decide", "POST", "/admin/requests/{id}", For.ADMINISTRATORS),
    Page("admin-models", "GET", "/admin/models", For.ADMINISTRATORS),
    Page("admin-model", "POST", "/admin/models", For.ADMINISTRATORS),
    Page("admin-audit", "GET", "/admin/audit", For.ADMINISTRATORS),
    Page("page-token", "POST", "/session/token", For.USERS),
)


class Pages:
    """The table, made ready for matching."""

    def __init__(self, table: tuple[Page, ...] = TABLE) -> None:
        self._plain: dict[str, dict[str, Page]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Page]]] = []
        methods: dict[str, dict[str, Page]] = {}
        for page in table:
            methods.setdefault(page.path, {})[page.method] = page
        for path, pages in methods.items():
            if "{" in path:
                self._patterns.append((_pattern(path), pages))
            else:
                self._plain[path] = pages
        # The first segments that are the pages' alone: the API has nothing beneath them.
        shared = {_first(page.path) for page in table if page.is_shared}
        self._own = {_first(page.path) for page in table} - shared

    def owns(self, path: str) -> bool:
        """Whether nothing but pages is there."""
        return _first(path) in self._own

    def find(self, path: str) -> tuple[dict[str, Page], dict[str, str]] | None:
        """The pages at a path by their methods, and what it names."""
        if path.endswith("/") and path != "/":
            path = path[:-1]
        pages = self._plain.get(path)
        if pages is not None:
            return pages, {}
        for pattern, pages in self._patterns:
            if match := pattern.fullmatch(path):
                return pages, match.groupdict()
        return None


def _first(path: str) -> str:
    return path[1:].partition("/")[0]


def _pattern(path: str) -> re.Pattern[str]:
    def part(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{_PARTS.get(match[1], _SEGMENT)})"

    return re.compile(re.sub(r"\{(\w+)\}", part, path), re.ASCII)
