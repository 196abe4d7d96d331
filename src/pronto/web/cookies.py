"""The one cookie of the pages, and the addresses at which it is safe. Knows no session.

A browser without an account has a cookie too, once it was shown a form: the form's token is bound to it.
"""

import hashlib
import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from pronto.settings import Settings

_FORM = b"pronto form"


class Ground(msgspec.Struct, frozen=True):
    """What a request came over. `origins` are those whose posts are our own."""

    is_secure: bool  # https
    is_trusted: bool  # https or a loopback address: cookies get Secure and the prefix __Host-
    is_allowed: bool  # whether anybody may sign in over it
    origins: frozenset[str]

    @property
    def cookie(self) -> str:
        return "__Host-pronto" if self.is_trusted else "pronto"


def ground_of(request: Request, settings: Settings) -> Ground:
    host, scheme = request.headers.get("host", ""), request.scope["scheme"]
    origins = {f"{scheme}://{host}"}
    public = urlsplit(settings.public_url or "")
    if public.scheme and host == public.netloc:
        scheme = public.scheme
        origins.add(f"{scheme}://{host}")
    is_secure = scheme == "https"
    is_trusted = is_secure or is_loopback(host)
    return Ground(is_secure, is_trusted, is_trusted or settings.insecure_http, frozenset(origins))


def is_loopback(host: str) -> bool:
    """Whether a Host header names this very machine."""
    name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def read_cookie(request: Request, name: str) -> str:
    """Empty where there is none."""
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def set_cookie(ground: Ground, value: str, seconds: int | None) -> str:
    """A Set-Cookie header. `seconds` None: until the browser is closed; 0: gone at once."""
    attributes = [f"{ground.cookie}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
    if ground.is_trusted:
        attributes.append("Secure")
    if seconds is not None:
        attributes.append(f"Max-Age={seconds}")
    return "; ".join(attributes)


def form_token(secret: str) -> str:
    """What a form of this browser carries. Nobody else can know it, and it tells nothing about the cookie."""
    return hmac.new(secret.encode(), _FORM, hashlib.sha256).hexdigest()


def is_form_token(secret: str, token: str) -> bool:
    return bool(secret) and hmac.compare_digest(form_token(secret).encode(), token.encode("utf-8", "replace"))
