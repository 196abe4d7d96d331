"""The least that a Python server can do with the same request: decode it, encode an answer. No token, no ledger.

The yardstick of cached_hit.py and uncached_echo.py: python bench/bare_starlette.py PORT
"""

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Generate(msgspec.Struct):
    """The body of a text-generation request, as far as the echo needs it."""

    inputs: str
    parameters: dict[str, object] = {}


class Generated(msgspec.Struct):
    """One element of the answer."""

    generated_text: str


decode = msgspec.json.Decoder(Generate).decode
encode = msgspec.json.Encoder().encode


async def generate(request: Request) -> Response:
    asked = decode(await request.body())
    return Response(encode([Generated(asked.inputs)]), media_type="application/json")


async def ready(request: Request) -> Response:
    return Response()


app = Starlette(
    routes=[Route("/models/{id:path}", generate, methods=["POST"]), Route("/health/ready", ready, methods=["GET"])]
)

if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
        lifespan="off",
    )
