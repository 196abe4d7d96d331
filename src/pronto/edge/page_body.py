"""The JSON body of a page that is no inference. Knows no page."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from pronto.core.errors import InvalidInput
from pronto.edge.body import read_body
from pronto.edge.errors import ClientLeft
from pronto.wire.json_body import decode_json

_Body = TypeVar("_Body")


async def read_page_body(request: Request, decoder: "msgspec.json.Decoder[_Body]", limit: int, seconds: float) -> _Body:
    """At most `limit` bytes within `seconds`. Raises Malformed, TooLarge and HttpFault."""
    try:
        body = await read_body(request.receive, request.headers, limit, seconds)
    except ClientLeft:
        # Nobody hears it; the page must end all the same.
        raise InvalidInput("The request body is not whole.") from None
    return decode_json(decoder, body)
