"""Status, type, body and headers of every error."""

import json

import pytest

from pronto.core import errors
from pronto.core.errors import ProntoError
from pronto.wire.faults import HttpFault, Malformed, fault, respond
from tests.unit.wire_cases import JS

LOADING = errors.Loading("gpt2", estimated_time=12.34, guessed=False)
TABLE: list[tuple[ProntoError, int, str]] = [
    (errors.Unauthenticated("no"), 401, "authentication"),
    (errors.Forbidden("no"), 403, "permission"),
    (errors.NotFound("no"), 404, "not_found"),
    (errors.ModelNotFound("gpt3"), 404, "model_not_found"),
    (errors.MethodNotAllowed("no", ("GET",)), 405, "method_not_allowed"),
    (errors.InvalidInput("no"), 422, "validation"),
    (errors.Unsupported("no"), 422, "validation"),
    (errors.KeyReused("no"), 422, "idempotency_key_reused"),
    (errors.Conflict("no", retry_after=1), 409, "idempotency_in_progress"),
    (Malformed("no"), 422, "validation"),
    (errors.TooLarge("no"), 413, "too_large"),
    (errors.RateLimited("no", window="hour", retry_after=3.2), 429, "rate_limited"),
    (errors.Overloaded(), 429, "overloaded"),
    (LOADING, 503, "loading"),
    (errors.Draining(), 503, "draining"),
    (errors.ModelFailed("gpt2", "a file is missing"), 500, "model_failed"),
    (errors.GenerationFailed("boom"), 424, "generation"),
    (errors.Stopped("no", reason="shutdown"), 503, "shutdown"),
    (errors.Stopped("no", reason="revoked"), 503, "revoked"),
    (errors.DeadlineExceeded("no", stage="queue"), 504, "timeout"),
    (errors.StorageFailed(), 503, "storage"),
    (HttpFault("no", status=415, error_type="unsupported_encoding"), 415, "unsupported_encoding"),
    (ProntoError("no"), 500, "internal"),
]


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_the_table_knows_every_error_of_the_tree() -> None:
    tree = {kind for kind in subclasses(ProntoError) if kind.__module__ == errors.__name__}
    assert tree - {type(error) for error, _, _ in TABLE} == set()


@pytest.mark.parametrize(("error", "status", "error_type"), TABLE)
def test_status_and_type(error: ProntoError, status: int, error_type: str) -> None:
    response = respond(error, {})
    assert response.status == status
    assert dict(response.headers)[b"content-type"] == b"application/json"
    body = json.loads(response.body)
    assert body["error_type"] == error_type
    assert type(body["error"]) is str


@pytest.mark.parametrize("headers", [{"user-agent": "OpenAI/Python 3.54.0"}, {"x-stainless-lang": "js"}])
@pytest.mark.parametrize(("error", "status", "error_type"), TABLE)
def test_the_shape_for_openai_clients(
    error: ProntoError, status: int, error_type: str, headers: dict[str, str]
) -> None:
    response = respond(error, headers)
    assert response.status == status
    shown = json.loads(response.body)["error"]
    assert set(shown) == {"message", "type", "param", "code"}
    assert shown["type"] == shown["code"] == error_type


@pytest.mark.parametrize(("error", "status", "error_type"), TABLE)
def test_a_client_that_posts_again_at_once_never_sees_503(error: ProntoError, status: int, error_type: str) -> None:
    response = respond(error, {"user-agent": f"Mozilla {JS}"})
    assert response.status == (429 if status == 503 else status)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InvalidInput("`inputs` cannot be empty"), "Input validation error: `inputs` cannot be empty"),
        (errors.InvalidInput("Input validation error: x"), "Input validation error: x"),
        (Malformed("Failed to x"), "Failed to x"),
        (errors.GenerationFailed("boom"), "Request failed during generation: boom"),
        (LOADING, "Model gpt2 is currently loading"),
        (errors.ModelNotFound("gpt3"), "Model gpt3 does not exist"),
    ],
)
def test_messages(error: ProntoError, expected: str) -> None:
    assert fault(error).message == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LOADING, {"retry-after": "13", "x-should-retry": "true"}),
        (errors.Loading("m", estimated_time=600, guessed=True), {"retry-after": "600", "x-should-retry": "false"}),
        (errors.Overloaded(retry_after=0.2), {"retry-after": "1", "x-should-retry": "true"}),
        (errors.Draining(retry_after=5), {"retry-after": "5", "x-should-retry": "true"}),
        (errors.RateLimited("x", window="day", retry_after=None), {"x-should-retry": "false"}),
        (errors.RateLimited("x", window="hour", retry_after=3000), {"retry-after": "3000", "x-should-retry": "false"}),
        (errors.ModelFailed("m", "r", retry_after=30), {"retry-after": "30", "x-should-retry": "false"}),
        (errors.Unauthenticated("x"), {"www-authenticate": "Bearer"}),
        (errors.MethodNotAllowed("x", ("GET", "HEAD")), {"allow": "GET, HEAD"}),
        (errors.InvalidInput("x"), {}),
    ],
)
def test_headers(error: ProntoError, expected: dict[str, str]) -> None:
    assert {name.decode(): value.decode() for name, value in fault(error).headers} == expected


def test_loading_tells_how_long() -> None:
    assert json.loads(respond(LOADING, {}).body)["estimated_time"] == 12.3
    assert "estimate_is_a_guess" not in json.loads(respond(LOADING, {}).body)
    guess = errors.Loading("gpt2", estimated_time=600, guessed=True)
    assert json.loads(respond(guess, {}).body)["estimate_is_a_guess"] is True


def test_the_field_is_named_for_openai_clients() -> None:
    error = errors.InvalidInput("`top_k` must be strictly positive", "top_k")
    assert json.loads(respond(error, {"x-stainless-lang": "python"}).body)["error"]["param"] == "top_k"
