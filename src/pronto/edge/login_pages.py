"""Login of a device over HTTP (RFC 8628), as `hf auth login` asks for it. Knows no password and no browser session.

Whoever runs the server confirms a code with `pronto login confirm`; the device then gets a token of its own.
"""

import re
import time
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from pronto.accounts.address_guard import AddressGuard
from pronto.accounts.device_login import INTERVAL, TTL, Answer, Device, DeviceLogins, Login, is_code, normal
from pronto.accounts.tokens import Grant, issue
from pronto.core.errors import RateLimited, StorageFailed
from pronto.edge.body import read_body
from pronto.edge.errors import ClientLeft
from pronto.edge.health import json_response
from pronto.edge.pages import POLICY, STYLE
from pronto.settings import Settings
from pronto.store.base import Tokens

MAX_BODY = 8192  # bytes
BEGINS_PER_MINUTE = 10  # of one address
TOKEN_LIFE = 90 * 86_400  # seconds, as `pronto tokens create` gives
GRANT = "urn:ietf:params:oauth:grant-type:device_code"

_CLIENT_ID = re.compile(r"[!-~]{1,128}")
_PRODUCT = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}/[A-Za-z0-9_.+-]{1,20}")
# huggingface_hub 2.x says nothing else of itself while it logs in.
_CLIENTS = {"26be6b09-91c5-47da-9861-d2d2bb7a7e36": "huggingface_hub"}
_DESCRIPTIONS = {
    Answer.PENDING: "The code is not confirmed yet.",
    Answer.SLOW_DOWN: "Please ask less often.",
    Answer.EXPIRED: "The code has expired. Please begin again.",
    Answer.DENIED: "The login was turned down.",
    Answer.UNKNOWN: "There is no such login, or its token was fetched already.",
}


class LoginPages:
    """`tokens` is where what a device gets is kept, as a digest like all others."""

    def __init__(self, logins: DeviceLogins, tokens: Tokens, settings: Settings) -> None:
        self._logins, self._tokens, self._settings = logins, tokens, settings
        self._guard = AddressGuard(BEGINS_PER_MINUTE, time.monotonic)

    async def begin(self, request: Request) -> Response:
        """A code for the device, and one for whoever confirms it."""
        form = await self._form(request)
        client_id, address = form.get("client_id", ""), request.client.host if request.client else ""
        if _CLIENT_ID.fullmatch(client_id) is None:
            return _refused("invalid_request", "`client_id` is missing, or no client's name.")
        if wait := self._guard.wait(address):
            raise RateLimited("Too many logins were begun from your address.", window="logins", retry_after=wait)
        self._guard.count(address)
        begun = self._logins.begin(Device(client_id, _name(client_id, request.headers.get("user-agent", "")), address))
        page = f"{self._address(request)}/oauth/device"
        return _fresh(
            {
                "device_code": begun.device_code,
                "user_code": begun.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={begun.user_code}",
                "expires_in": int(TTL),
                "interval": int(INTERVAL),
            }
        )

    async def token(self, request: Request) -> Response:
        """The token, once the code is confirmed; shown to the device that has the device code, and once."""
        form = await self._form(request)
        if form.get("grant_type") != GRANT:
            return _refused("unsupported_grant_type", f"The only grant that is given here is {GRANT}.")
        device_code = form.get("device_code", "")
        answer = self._logins.poll(device_code, form.get("client_id", ""))
        if isinstance(answer, Answer):
            return _refused(answer, _DESCRIPTIONS[answer])
        try:
            token = await self._make(answer)
        except StorageFailed:
            self._logins.give_back(device_code, answer)
            raise
        return _fresh({"access_token": token, "token_type": "bearer", "expires_in": TOKEN_LIFE, "scope": "read"})

    async def page(self, request: Request) -> Response:
        """What to do with a code, for whoever opens the address that the device shows."""
        code = request.query_params.get("user_code", "")
        code = normal(code) if is_code(code) else "CODE"
        command = f"pronto login confirm {code} --user NAME"
        if "text/html" not in request.headers.get("accept", ""):
            return _fresh({"message": _ASK, "command": command})
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": POLICY} | _NO_STORE
        return Response(_html(command), headers=headers)

    async def _make(self, login: Login) -> str:
        assert login.account_id is not None  # `poll` gives confirmed logins only
        now = time.time()
        grant = Grant(account_id=login.account_id, name=login.device.name, expires=now + TOKEN_LIFE)
        token, row = issue(grant, now)
        await self._tokens.add(row)
        return token

    async def _form(self, request: Request) -> dict[str, str]:
        try:
            body = await read_body(request.receive, request.headers, MAX_BODY, self._settings.body_timeout)
        except ClientLeft:
            return {}  # nobody reads the answer
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=32))

    def _address(self, request: Request) -> str:
        settings = self._settings
        host = request.headers.get("host") or f"{settings.host}:{settings.port}"
        return settings.public_url or f"{request.scope['scheme']}://{host}"


_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
_ASK = (
    "Ask whoever runs this server to confirm your code. On the server, that is this command, with your account's name:"
)


def _fresh(value: Any, status: int = 200) -> Response:
    response = json_response(value, status)
    response.headers.update(_NO_STORE)
    return response


def _refused(error: str, description: str) -> Response:
    return _fresh({"error": error, "error_description": description}, 400)


def _name(client_id: str, user_agent: str) -> str:
    """What the token is called: after the client, by its id where that is known, else as it calls itself."""
    product = _PRODUCT.search(user_agent)
    return f"login {_CLIENTS.get(client_id) or (product[0] if product else 'device')}"


def _html(command: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Log in to Pronto</title><style>{STYLE}</style></head><body>
<h1>Log in to Pronto</h1>
<p>{escape(_ASK)}</p>
<pre>{escape(command)}</pre>
<p>Compare the code with the one that your program shows. Then go back to it: it goes on by itself.
A code holds for {int(TTL / 60)} minutes.</p>
</body></html>
"""
