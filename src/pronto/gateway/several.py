"""A request with several prompts: each goes down the line by itself, and their events come back as one answer's.

Some run at once, in order of their prompts. When one fails, all are stopped and its error is the answer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from pronto.core.events import (
    Done,
    Event,
    Finish,
    Prefill,
    Started,
    Step,
    Times,
    Token,
    ToolCall,
    Usage,
    Waiting,
    unpacked,
)
from pronto.core.request import InferenceRequest, TextGeneration

AT_ONCE = 8  # prompts of one request in work together, so that it does not fill every slot alone
BACKLOG = 256  # events that may lie ready before the prompts wait for their reader

Serve = Callable[[InferenceRequest], AsyncGenerator[Step, None]]


class Merge:
    """What has come of each prompt so far."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._is_begun = False
        self._prompt_tokens = self._generated_tokens = 0
        self._times = Times()

    def take(self, event: Event, shift: int) -> Event | None:
        """The event as it stands in the whole answer; None for one that has no place there."""
        match event:
            case Token() | ToolCall() | Finish() | Prefill():
                return _shifted(event, shift) if shift else event
            case Started() if not self._is_begun:
                self._is_begun = True
                return event
            case Waiting() if not self._is_begun:
                return event
            case Done():
                return self._add(event)
        return None

    def _add(self, done: Done) -> Done | None:
        self._left -= 1
        self._prompt_tokens += done.usage.prompt_tokens
        self._generated_tokens += done.usage.generated_tokens
        times, longest = done.times, self._times
        self._times = Times(
            max(times.validation_ms, longest.validation_ms),
            max(times.queue_ms, longest.queue_ms),
            max(times.inference_ms, longest.inference_ms),
        )
        return None if self._left else Done(Usage(self._prompt_tokens, self._generated_tokens), self._times)


async def serve_several(
    serve: Serve, requests: Sequence[InferenceRequest], at_once: int = AT_ONCE
) -> AsyncGenerator[Event, None]:
    """One stream of events for all; choice c of request r comes as `r * choices + c`. Raises what the line raises."""
    merge, queue = Merge(len(requests)), asyncio.Queue[tuple[Event, int]](BACKLOG)
    room = asyncio.Semaphore(at_once)

    async def run(request: InferenceRequest, shift: int) -> None:
        async with room, aclosing(serve(request)) as events:
            async for step in events:
                for event in unpacked(step):
                    await queue.put((event, shift))

    shifts = _shifts(requests)
    tasks = [asyncio.create_task(run(request, shift)) for request, shift in zip(requests, shifts, strict=True)]
    whole = asyncio.gather(*tasks)
    try:
        while not (whole.done() and queue.empty()):
            for event, shift in await _next(queue, whole):
                merged = merge.take(event, shift)
                if merged is not None:
                    yield merged
        await whole
    finally:
        # No wait here: each task closes its own stream, and what it holds belongs to its tally.
        for task in tasks:
            task.cancel()
        if whole.done() and not whole.cancelled():
            whole.exception()


async def _next(
    queue: "asyncio.Queue[tuple[Event, int]]", whole: "asyncio.Future[list[None]]"
) -> list[tuple[Event, int]]:
    """What lies ready; waits for it, or for the end. Raises the first failure, whatever else lies ready."""
    if queue.empty() and not whole.done():
        getter = asyncio.ensure_future(queue.get())
        ends: list[asyncio.Future[Any]] = [getter, whole]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not getter.done():
                getter.cancel()
        if getter.done() and not getter.cancelled():
            return [getter.result()]
    if whole.done():
        whole.result()
    return [queue.get_nowait() for _ in range(queue.qsize())]


def _shifts(requests: Sequence[InferenceRequest]) -> list[int]:
    shifts, total = [], 0
    for request in requests:
        shifts.append(total)
        total += request.work.choices if isinstance(request.work, TextGeneration) else 1
    return shifts


def _shifted(event: Token | ToolCall | Finish | Prefill, shift: int) -> Event:
    choice = event.choice + shift
    match event:
        case Token():
            return Token(choice, event.id, event.text, event.logprob, event.special, event.top, event.part)
        case ToolCall():
            return ToolCall(choice, event.index, event.id, event.name, event.arguments_delta)
        case Prefill():
            return Prefill(choice, event.tokens)
        case Finish():
            return Finish(choice, event.reason, event.seed, event.stop)
