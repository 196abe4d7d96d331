"""The fields of a form that was sent. Knows no page.

Browsers send them URL-encoded; files go to the API, never to a page.
"""

import asyncio
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from pronto.core.errors import InvalidInput, TooLarge

MAX_BODY = 64_000  # bytes
MAX_FIELDS = 200


class Form:
    """Fields by name; a name that was sent more than once has all its values. Values have no spaces around them."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str) -> str:
        """Empty where there is none."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """As it was typed: for passwords."""
        return self._values.get(name, [""])[-1]

    def all(self, name: str) -> list[str]:
        return [value.strip() for value in self._values.get(name, [])]


async def read_form(request: Request, seconds: float) -> Form:
    """Raises TooLarge and InvalidInput."""
    body = await read_body(request, MAX_BODY, seconds)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "") or (body and not kind):
        raise InvalidInput("A form is sent as application/x-www-form-urlencoded.")
    try:
        return Form(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise InvalidInput("The form could not be read. Please go back and try again.") from None


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """At most `limit` bytes within `seconds`. Raises TooLarge and InvalidInput."""
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise TooLarge(f"The form is larger than {limit} bytes, which is the most that is taken here.")
    except TimeoutError:
        raise InvalidInput("The form did not arrive in time. Please send it again.") from None
    except ClientDisconnect:
        raise InvalidInput("The form is not whole.") from None
    return bytes(body)
