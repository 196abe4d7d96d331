"""What goes wrong, as HTTP sees it: one table of status and error type for whole answers and for streams alike.

Shared by the dialects; the shape of the body that is not Hugging Face's or OpenAI's belongs to the dialect that has it.
"""

import math
from collections.abc import Mapping

import msgspec

from pronto.core import errors
from pronto.core.errors import ProntoError
from pronto.wire.base import Headers, Response
from pronto.wire.limits import limit_headers, openai_headers

VALIDATION_PREFIX = "Input validation error: "
OPENAI_PATIENCE = 120.0  # seconds; an OpenAI client does not retry at all after a longer Retry-After

_encode = msgspec.json.Encoder().encode


class HttpFault(ProntoError):
    """A fault of HTTP itself, which no stage beneath the edge can have."""

    def __init__(self, message: str, *, status: int, error_type: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class Malformed(errors.InvalidInput):
    """The body is no JSON, or has another shape than it should. Shown without the prefix of a failed validation."""


class Fault(msgspec.Struct, frozen=True):
    """How an error is shown."""

    status: int
    error_type: str
    message: str
    param: str | None
    facts: dict[str, float | bool]  # further fields of the body
    headers: Headers


_TABLE: dict[type[ProntoError], tuple[int, str]] = {
    errors.Unauthenticated: (401, "authentication"),
    errors.Forbidden: (403, "permission"),
    errors.NotFound: (404, "not_found"),
    errors.ModelNotFound: (404, "model_not_found"),
    errors.MethodNotAllowed: (405, "method_not_allowed"),
    errors.InvalidInput: (422, "validation"),
    errors.Unsupported: (422, "validation"),
    Malformed: (422, "validation"),
    errors.TooLarge: (413, "too_large"),
    errors.RateLimited: (429, "rate_limited"),
    errors.Overloaded: (429, "overloaded"),
    errors.Loading: (503, "loading"),
    errors.Draining: (503, "draining"),
    errors.ModelFailed: (500, "model_failed"),
    errors.GenerationFailed: (424, "generation"),
    errors.Stopped: (503, "shutdown"),
    errors.DeadlineExceeded: (504, "timeout"),
    errors.StorageFailed: (503, "storage"),
}


def is_openai(headers: Mapping[str, str]) -> bool:
    """Whether the client is one of OpenAI's libraries, which need their own shape of errors."""
    return "x-stainless-lang" in headers or headers.get("user-agent", "").startswith("OpenAI/")


def is_impatient(headers: Mapping[str, str]) -> bool:
    """Whether the client posts again at once, and for ever, on a 503."""
    return "@huggingface/inference/" in headers.get("user-agent", "")


def fault(error: ProntoError) -> Fault:
    """Status, type, message and facts of any error of the tree."""
    if isinstance(error, HttpFault):
        status, error_type = error.status, error.error_type
    else:
        status, error_type = _TABLE.get(type(error), (500, "internal"))
    message, facts, headers = error.message, dict[str, float | bool](), Headers()
    retry_after: float | None = None
    match error:
        case Malformed():
            pass
        case errors.InvalidInput() if not message.startswith(VALIDATION_PREFIX):
            message = VALIDATION_PREFIX + message
        case errors.GenerationFailed():
            message = f"Request failed during generation: {message}"
        case errors.Stopped():
            error_type = error.reason
        case errors.Unauthenticated():
            headers.append((b"www-authenticate", b"Bearer"))
        case errors.MethodNotAllowed():
            headers.append((b"allow", ", ".join(error.allowed).encode()))
        case errors.Loading():
            retry_after = error.estimated_time
            facts["estimated_time"] = round(error.estimated_time, 1)
            if error.guessed:
                facts["estimate_is_a_guess"] = True
        case errors.RateLimited():
            retry_after = error.retry_after
            headers += limit_headers(error.limits) + openai_headers(error.limits)
        case errors.Overloaded() | errors.Draining() | errors.ModelFailed():
            retry_after = error.retry_after
    headers += _retry_headers(status, retry_after)
    return Fault(status, error_type, message, getattr(error, "param", None), facts, headers)


def _retry_headers(status: int, retry_after: float | None) -> Headers:
    # OpenAI's libraries retry every 429 and 5xx unless this header says no.
    if retry_after is None:
        return [(b"x-should-retry", b"false")] if status in (424, 429, 500) else []
    seconds = max(1, math.ceil(retry_after))
    helps = b"true" if seconds <= OPENAI_PATIENCE and status in (429, 503) else b"false"
    return [(b"retry-after", str(seconds).encode()), (b"x-should-retry", helps)]


def hf_document(shown: Fault) -> bytes:
    """The body of Hugging Face and TGI, also of an error event in their streams."""
    return _encode({"error": shown.message, "error_type": shown.error_type, **shown.facts})


def openai_document(shown: Fault) -> bytes:
    """The body that OpenAI's libraries can read."""
    error = {"message": shown.message, "type": shown.error_type, "param": shown.param, "code": shown.error_type}
    return _encode({"error": error, **shown.facts})


def respond(error: ProntoError, headers: Mapping[str, str]) -> Response:
    """A whole response on the Hugging Face and TGI routes; `headers` are the request's."""
    shown = fault(error)
    status = 429 if shown.status == 503 and is_impatient(headers) else shown.status
    body = openai_document(shown) if is_openai(headers) else hf_document(shown)
    return Response(status, [(b"content-type", b"application/json"), *shown.headers], body)
