"""Several prompts in one request: one answer with one beginning and one end, and all stopped when one fails."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from pronto.core.errors import Overloaded
from pronto.core.events import Done, Event, Finish, FinishReason, Started, Times, Token, ToolCall, Usage, Waiting
from pronto.core.request import InferenceRequest, TextGeneration, TextPrompt
from pronto.core.tasks import Task
from pronto.gateway.several import Merge, serve_several

STARTED = Started("rev", "echo", "cpu")


def asked(text: str, choices: int = 1) -> InferenceRequest:
    work = TextGeneration(prompt=TextPrompt(text), choices=choices)
    return InferenceRequest(id="r", model="m", task=Task.TEXT_GENERATION, work=work)


class Line:
    """Answers with the prompt's letters; `!` fails, `?` never ends, `~` begins with a wait."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.closed: list[str] = []

    async def serve(self, request: InferenceRequest) -> AsyncGenerator[Event, None]:
        assert isinstance(request.work, TextGeneration)
        assert isinstance(request.work.prompt, TextPrompt)
        text = request.work.prompt.text
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if "~" in text:
                yield Waiting("queue", 1)
            yield STARTED
            for choice in range(request.work.choices):
                for letter in text:
                    await asyncio.sleep(0)
                    if letter == "!":
                        raise Overloaded
                    if letter == "?":
                        await asyncio.sleep(60)
                    yield Token(choice, 1, letter)
                yield Finish(choice, FinishReason.EOS)
            yield Done(Usage(len(text), len(text)), Times(1.0, float(len(text)), 2.0))
        finally:
            self.running -= 1
            self.closed.append(text)


async def collect(line: Line, *requests: InferenceRequest, at_once: int = 8) -> list[Event]:
    async with aclosing(serve_several(line.serve, requests, at_once)) as events:
        return [event async for event in events]


def texts(events: list[Event]) -> dict[int, str]:
    found: dict[int, str] = {}
    for event in events:
        if isinstance(event, Token):
            found[event.choice] = found.get(event.choice, "") + event.text
    return found


async def test_one_beginning_and_one_end() -> None:
    events = await collect(Line(), asked("ab", 2), asked("cde", 2))
    assert events[0] is STARTED
    assert sum(isinstance(event, Started) for event in events) == 1
    assert events[-1] == Done(Usage(5, 5), Times(1.0, 3.0, 2.0))
    assert sum(isinstance(event, Done) for event in events) == 1
    assert texts(events) == {0: "ab", 1: "ab", 2: "cde", 3: "cde"}
    assert sorted(event.choice for event in events if isinstance(event, Finish)) == [0, 1, 2, 3]


async def test_only_some_run_at_once() -> None:
    line = Line()
    events = await collect(line, *(asked(letter) for letter in "abcdefgh"), at_once=3)
    assert line.most == 3
    assert texts(events) == dict(enumerate("abcdefgh"))


async def test_one_failure_ends_all() -> None:
    line = Line()
    with pytest.raises(Overloaded):
        await collect(line, asked("a?"), asked("b!"), asked("c?"))
    await asyncio.sleep(0)
    assert line.running == 0


async def test_whoever_leaves_stops_all() -> None:
    line = Line()
    async with aclosing(serve_several(line.serve, [asked("a?"), asked("b?")])) as events:
        async for event in events:
            if isinstance(event, Token):
                break
    await asyncio.sleep(0)
    assert line.running == 0


async def test_waits_are_told_until_it_begins() -> None:
    assert (await collect(Line(), asked("~a"), asked("~b")))[0] == Waiting("queue", 1)


async def test_a_slow_reader_holds_the_prompts_back() -> None:
    line = Line()
    async with aclosing(serve_several(line.serve, [asked("a" * 2000), asked("b" * 2000)])) as events:
        await anext(events)
        for _ in range(3000):
            await asyncio.sleep(0)
        assert line.running == 2
        left = [event async for event in events]
    assert texts(left) == {0: "a" * 2000, 1: "b" * 2000}


async def test_called_tools_are_shifted() -> None:
    async def serve(request: InferenceRequest) -> AsyncGenerator[Event, None]:
        yield STARTED
        yield ToolCall(0, 0, "id", "f", "{}")
        yield Done()

    async with aclosing(serve_several(serve, [asked("a"), asked("b")])) as events:
        calls = [event async for event in events if isinstance(event, ToolCall)]
    assert [call.choice for call in calls] == [0, 1]


def test_a_shifted_finish_keeps_which_stop_string_it_was() -> None:
    merge = Merge(2)
    assert merge.take(Finish(0, FinishReason.STOP, 7, "END"), 3) == Finish(3, FinishReason.STOP, 7, "END")
