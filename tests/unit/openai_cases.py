"""What the tests of OpenAI's formats share."""

from pronto.core.events import Event
from pronto.core.request import ChatPrompt, TextGeneration
from pronto.core.tasks import Task
from pronto.wire.base import Call, Encoder, Raw
from pronto.wire.openai.chat import ChatDialect
from pronto.wire.openai.completions import CompletionDialect
from tests.unit import wire_cases
from tests.unit.wire_cases import BOUNDS

CHAT = ChatDialect(BOUNDS)
COMPLETIONS = CompletionDialect(BOUNDS, 4)
HELLO = [{"role": "user", "content": "Hello"}]
NOW = 1_700_000_000
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


def raw(
    body: bytes | object, headers: dict[str, str] | None = None, model: str = "org/name", named: bool = True
) -> Raw:
    came = wire_cases.raw(body, "openai", headers)
    return Raw(
        request_id="r1",
        route="openai",
        task=Task.TEXT_GENERATION,
        model=model,
        is_named=named,
        headers=came.headers,
        body=came.body,
        now=NOW,
    )


def chat(headers: dict[str, str] | None = None, **fields: object) -> Call:
    return CHAT.decode(raw({"messages": HELLO, **fields}, headers))


def complete(headers: dict[str, str] | None = None, **fields: object) -> Call:
    return COMPLETIONS.decode(raw({"prompt": "Hello", **fields}, headers))


def work(call: Call) -> TextGeneration:
    asked = call.request.work
    assert isinstance(asked, TextGeneration)
    return asked


def prompt(call: Call) -> ChatPrompt:
    asked = work(call).prompt
    assert isinstance(asked, ChatPrompt)
    return asked


def written(encoder: Encoder, events: list[Event]) -> bytes:
    return b"".join([encoder.feed(event) for event in events])
