"""What the tests of the wire formats share: requests as they come, and events as they go."""

import msgspec

from pronto.core.events import Done, Event, Finish, FinishReason, Started, Times, Token, Usage
from pronto.core.request import TextGeneration
from pronto.core.tasks import Task
from pronto.wire.base import Call, Raw
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.text_request import Bounds
from pronto.wire.tgi.dialect import TgiDialect

HUB_OLD = "unknown/None; hf_hub/0.24.7; python/3.11.7"
JS = "@huggingface/inference/4.13.30"
BOUNDS = Bounds(max_best_of=2, max_stop_sequences=4, max_new_tokens=512)

HF = HfDialect(BOUNDS)
TGI = TgiDialect(BOUNDS)


def raw(body: bytes | object, route: str = "hf", headers: dict[str, str] | None = None) -> Raw:
    """A request with this body (bytes, or something to be written as JSON)."""
    return Raw(
        request_id="r1",
        route=route,
        task=Task.TEXT_GENERATION,
        model="org/name",
        headers=headers or {},
        body=body if isinstance(body, bytes) else msgspec.json.encode(body),
    )


def decode(body: bytes | object, route: str = "hf", headers: dict[str, str] | None = None) -> Call:
    dialect = HF if route == "hf" else TGI
    return dialect.decode(raw(body, route, headers))


def work(body: bytes | object, route: str = "hf") -> TextGeneration:
    asked = decode(body, route).request.work
    assert isinstance(asked, TextGeneration)
    return asked


def with_parameters(**parameters: object) -> dict[str, object]:
    return {"inputs": "Hello", "parameters": parameters}


def started(*, age: int | None = None, warnings: tuple[str, ...] = ()) -> Started:
    return Started("abc123", "echo", "cache" if age is not None else "cpu", age, warnings=warnings)


def token(text: str, id: int = 7, choice: int = 0, logprob: float | None = -0.5, special: bool = False) -> Token:
    return Token(choice, id, text, logprob, special)


def answer(*texts: str, reason: FinishReason = FinishReason.LENGTH, seed: int | None = None) -> list[Event]:
    """A whole answer of one choice, made in 5 + 10 + 100 ms from a prompt of 3 tokens."""
    tokens = [token(text, id=index) for index, text in enumerate(texts)]
    done = Done(Usage(3, len(texts)), Times(5.0, 10.0, 100.0))
    return [started(), *tokens, Finish(0, reason, seed), done]
