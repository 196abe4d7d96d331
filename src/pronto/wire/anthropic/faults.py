"""Errors as Anthropic writes them: its types, its statuses, its body."""

import msgspec

from pronto.core import errors
from pronto.core.errors import ProntoError
from pronto.wire import faults

_TABLE: dict[type[ProntoError], tuple[int, str]] = {
    errors.InvalidInput: (400, "invalid_request_error"),
    errors.Unauthenticated: (401, "authentication_error"),
    errors.Forbidden: (403, "permission_error"),
    errors.NotFound: (404, "not_found_error"),
    errors.MethodNotAllowed: (405, "invalid_request_error"),
    errors.Conflict: (409, "invalid_request_error"),
    errors.TooLarge: (413, "request_too_large"),
    errors.RateLimited: (429, "rate_limit_error"),
    errors.Overloaded: (529, "overloaded_error"),
    errors.Loading: (503, "overloaded_error"),
    errors.Draining: (503, "overloaded_error"),
    errors.Stopped: (503, "overloaded_error"),
    errors.DeadlineExceeded: (504, "timeout_error"),
    errors.StorageFailed: (503, "api_error"),
    errors.ProntoError: (500, "api_error"),
}
_encode = msgspec.json.Encoder().encode


def status_and_type(error: ProntoError) -> tuple[int, str]:
    """By the nearest class of the tree; faults of HTTP itself keep their status."""
    if isinstance(error, faults.HttpFault):
        return error.status, "invalid_request_error" if error.status < 500 else "api_error"
    return next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)


def document(error: ProntoError, request_id: str) -> bytes:
    """The body, also of an error event in a stream."""
    _, kind = status_and_type(error)
    shown = {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": request_id}
    return _encode(shown)
