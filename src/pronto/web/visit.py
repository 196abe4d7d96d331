"""One request for a page: who is there, what was sent, and what the browser is to keep. Knows no page."""

from starlette.requests import Request
from starlette.responses import Response

from pronto.accounts.sessions import Place, new_secret
from pronto.core.errors import ProntoError
from pronto.store.base import Account, SignIn
from pronto.web.cookies import Ground, form_token, is_form_token, set_cookie
from pronto.web.forms import Form
from pronto.wire.faults import fault


class Visit:
    """`session` and `account` are both set for whoever is signed in, and both None otherwise."""

    def __init__(self, request: Request, ground: Ground, params: dict[str, str], secret: str) -> None:
        self.request, self.ground, self.params = request, ground, params
        self.session: SignIn | None = None
        self.account: Account | None = None
        self.is_administrator = False
        self.form = Form([])
        self.secret, self._cookie = secret, ""

    @property
    def path(self) -> str:
        return str(self.request.scope["path"])

    @property
    def user(self) -> Account:
        """For pages that only users can open."""
        assert self.account is not None  # the table of pages says so
        return self.account

    @property
    def place(self) -> Place:
        client = self.request.client
        return Place(client.host if client else "", self.request.headers.get("user-agent", ""))

    @property
    def is_script(self) -> bool:
        """Whether one of our scripts asks, who wants JSON."""
        return "application/json" in self.request.headers.get("accept", "")

    def query(self, name: str) -> str:
        return str(self.request.query_params.get(name, "")).strip()

    def form_token(self) -> str:
        """What a form on this page must carry; a browser without a cookie gets one for it."""
        if not self.secret:
            self.secret = new_secret()
            self._cookie = set_cookie(self.ground, self.secret, None)
        return form_token(self.secret)

    def binding(self) -> str:
        """What binds something to this browser; tells nothing about its cookie."""
        self.form_token()
        return form_token(f"binding {self.secret}")

    def holds(self, token: str) -> bool:
        """Whether a form's token is this browser's."""
        return is_form_token(self.secret, token)

    def sign_in(self, secret: str, seconds: float) -> None:
        """The browser is to keep this from now on, in the place of whatever it had."""
        self.secret, self._cookie = secret, set_cookie(self.ground, secret, int(seconds))

    def sign_out(self) -> None:
        self.secret, self._cookie = "", set_cookie(self.ground, "", 0)

    def finish(self, response: Response) -> None:
        """Give the browser what it is to keep."""
        if self._cookie:
            response.headers.append("set-cookie", self._cookie)


def wrong_fields(error: ProntoError) -> dict[str, str]:
    """What is wrong in a form, by field; under the empty name what is wrong with all of it. Sentences."""
    name = getattr(error, "param", None) or ""
    text = error.message
    return {name: text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")}


def status_of(error: ProntoError) -> int:
    return fault(error).status


def redirect(path: str, done: str = "") -> Response:
    """Show another page after a form was taken. `done` is a name in words.DONE, which that page says."""
    target = f"{path}{'&' if '?' in path else '?'}done={done}" if done else path
    return Response(status_code=303, headers={"location": target})


def local_path(text: str, otherwise: str = "/") -> str:
    """`text` when it leads to one of our own pages: never to another host, whatever a browser makes of it."""
    is_plain = text.isascii() and text.isprintable() and "\\" not in text
    return text if is_plain and text.startswith("/") and not text.startswith("//") else otherwise
