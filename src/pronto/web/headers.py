"""The headers that every page has, and the check of where a post comes from."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from pronto.web.cookies import Ground

_SELF = "'self'"
# No inline script or style, nothing from elsewhere, and no string that becomes HTML in a script.
_POLICY = {
    "default-src": ("'none'",),
    "script-src": (_SELF,),
    "style-src": (_SELF,),
    "img-src": (_SELF, "data:", "blob:"),
    "media-src": (_SELF, "data:", "blob:"),
    "connect-src": (_SELF,),
    "manifest-src": (_SELF,),
    "base-uri": ("'none'",),
    "frame-ancestors": ("'none'",),
    "require-trusted-types-for": ("'script'",),
    "trusted-types": ("'none'",),
}
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), payment=(), usb=(), microphone=(self)",
}
_YEAR = 365 * 86_400  # seconds


def policy(form_targets: Sequence[str] = ()) -> str:
    """`form_targets`: other origins that an answer to one of our forms may lead to."""
    directives = _POLICY | {"form-action": (_SELF, *form_targets)}
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())


def page_headers(ground: Ground, policy: str) -> dict[str, str]:
    """Of a page; static files have their own word on how long they are kept."""
    headers = _ALWAYS | {"content-security-policy": policy, "cache-control": "no-store"}
    if ground.is_secure:
        headers["strict-transport-security"] = f"max-age={_YEAR}"
    return headers


def is_from_here(headers: Headers, ground: Ground) -> bool:
    """Whether a post comes from one of our own pages, by what the browser says of it. Silence is a no."""
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None and (referer := headers.get("referer")):
        parts = urlsplit(referer)
        origin = f"{parts.scheme}://{parts.netloc}"
    return origin in ground.origins if origin is not None else site is not None
