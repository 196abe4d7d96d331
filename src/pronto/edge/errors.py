"""Faults of HTTP itself, as errors that the dialects can write. Knows no dialect's shapes."""

from pronto.core.errors import TooLarge
from pronto.observe import logger
from pronto.wire.faults import HttpFault

log = logger("edge")


class ClientLeft(Exception):
    """The client closed its connection; there is nobody to answer."""


def too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(f"The request body is larger than {limit_bytes} bytes, which is the most this route takes.")


def body_too_slow(seconds: float) -> HttpFault:
    return HttpFault(
        f"The request body did not arrive within {seconds:g} seconds. Please send it again.",
        status=408,
        error_type="timeout",
    )


def encoded_body() -> HttpFault:
    return HttpFault(
        "Compressed request bodies are not taken. Please send the body without Content-Encoding.",
        status=415,
        error_type="unsupported_encoding",
    )


def bad_host() -> HttpFault:
    return HttpFault("The Host header is malformed.", status=400, error_type="bad_request")


def cancelled() -> HttpFault:
    """499, as nginx says it: no client takes it for a reason to ask again."""
    return HttpFault("The request was cancelled by its account.", status=499, error_type="cancelled")


def incomplete() -> HttpFault:
    return HttpFault("Incomplete generation", status=500, error_type="incomplete_generation")


def internal(error: Exception, request_id: str) -> HttpFault:
    """A fault of ours: the log gets it whole, the client only the id to ask with."""
    log.error("unexpected failure", request_id=request_id, exc_info=error)
    return HttpFault(
        f"Something went wrong inside the server. Please report it with the request id {request_id}.",
        status=500,
        error_type="internal",
    )
