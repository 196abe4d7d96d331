"""Errors on the routes of OpenAI: its statuses and its shape, or Hugging Face's for clients that know only that one."""

from collections.abc import Mapping

import msgspec

from pronto.core import errors
from pronto.core.errors import ProntoError
from pronto.wire import faults, sse
from pronto.wire.base import Response
from pronto.wire.faults import VALIDATION_PREFIX, Fault

_HUGGING_FACE = ("hf_hub/", "@huggingface/", "text-generation/")
# How stages beneath the wire name a parameter, and how OpenAI's clients know it.
_NAMES = {
    "max_new_tokens": "max_tokens",
    "top_n_tokens": "top_logprobs",
    "grammar": "response_format",
    "inputs": "messages",
}


def respond(error: ProntoError, headers: Mapping[str, str], names: Mapping[str, str] = _NAMES) -> Response:
    """A whole response; `headers` are the request's. `names` turns the house's parameters into the route's."""
    shown = _shown(error, names)
    status = 429 if shown.status == 503 and faults.is_impatient(headers) else shown.status
    return Response(
        status,
        [(b"content-type", b"application/json"), *shown.headers],
        _document(shown, is_string=is_hugging_face(headers)),
    )


def frame(error: ProntoError, *, is_string: bool) -> bytes:
    """A failure after the stream has begun; `is_string` as `is_hugging_face` says."""
    return sse.data(document(error, is_string=is_string))


def document(error: ProntoError, *, is_string: bool) -> bytes:
    """The body alone."""
    return _document(_shown(error, _NAMES), is_string=is_string)


def names_for(prompt: str) -> dict[str, str]:
    """The names of a route whose input is called `prompt`."""
    return _NAMES | {"inputs": prompt}


def is_hugging_face(headers: Mapping[str, str]) -> bool:
    """Whether the client reads `error` as a string, as old versions of Hugging Face's libraries do."""
    agent = headers.get("user-agent", "")
    # `node` alone is @huggingface/inference 2.x, which shows an object as "[object Object]".
    return not faults.is_openai(headers) and (agent == "node" or any(name in agent for name in _HUGGING_FACE))


def _document(shown: Fault, *, is_string: bool) -> bytes:
    return faults.hf_document(shown) if is_string else faults.openai_document(shown)


def _shown(error: ProntoError, names: Mapping[str, str]) -> Fault:
    shown = faults.fault(error)
    message, param, status = shown.message.removeprefix(VALIDATION_PREFIX), shown.param, shown.status
    if param is not None and param in names:
        message, param = message.replace(f"`{param}`", f"`{names[param]}`"), names[param]
    if status == 422:
        status = 400
    elif isinstance(error, errors.Overloaded):
        status = 503
    return msgspec.structs.replace(shown, status=status, message=message, param=param)
