"""A thousand streams, each cut at a random moment: every token that came is counted once, and nothing stays behind."""

import asyncio
import itertools
import os
import random
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import uvloop

from pronto.core.events import Event, Token
from pronto.core.request import InferenceRequest
from pronto.fleet import inbox
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.process import SubprocessReplica
from pronto.fleet.replica import Tally
from tests.contract.fleet_scenes import DEVICE, ask, deployment_of, descriptors, echo_spec, serve, settles

STREAMS = 1000
AT_ONCE = 64


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """The server runs on uvloop, the other suites on asyncio's own loop."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


class Counted:
    """Counts the tokens of each frame where the socket's reader hands them on, before any tally sees them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tokens = 0
        deliver = inbox.Inboxes.deliver

        def counting(inboxes: inbox.Inboxes, events: list) -> None:
            self.tokens += sum(type(event) is Token for _, event in events)
            deliver(inboxes, events)

        monkeypatch.setattr(inbox.Inboxes, "deliver", counting)


class Ledger:
    """What the tallies said at their ends."""

    def __init__(self) -> None:
        self.opened: dict[int, int] = {}  # prompt tokens by number
        self.closed: list[int] = []
        self.generated = 0
        self.prompt = 0

    def tally(self, number: int, prompt_tokens: int) -> Tally:
        self.opened[number] = prompt_tokens
        tally = Tally(prompt_tokens)

        def closer(closed: Tally) -> None:
            self.closed.append(number)
            self.generated += closed.generated_tokens
            self.prompt += closed.prompt_tokens

        tally.on_close(closer)
        return tally


async def cut(stream: AsyncGenerator[Event, None], moment: float, after: int) -> int:
    """Read until `after` tokens or `moment` seconds, whichever is first; then leave. Returns the tokens seen."""
    seen = 0

    async def read() -> None:
        nonlocal seen
        async with aclosing(stream) as events:
            async for event in events:
                seen += type(event) is Token
                if seen > after:
                    return

    task = asyncio.create_task(read())
    await asyncio.wait({task}, timeout=moment)
    task.cancel()
    await asyncio.wait({task})
    return seen


Open = Callable[[InferenceRequest, Callable[[], Tally]], AsyncGenerator[Event, None]]


async def cut_a_thousand(stream: Open, ledger: Ledger) -> list[int]:
    """Returns what each reader saw."""
    rng, gate = random.Random(20), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> int:
        async with gate:
            prompt, tokens = rng.randint(1, 40), rng.randint(1, 200)
            moment, after = rng.choice([0.0, 0.0005, 0.002, 0.01, 1.0]), rng.randint(0, 150)
            request = ask("x" * prompt, tokens=tokens)
            return await cut(stream(request, lambda: ledger.tally(number, prompt)), moment, after)

    return await asyncio.gather(*(one(number) for number in range(STREAMS)))


def check(ledger: Ledger, counted: Counted, seen: list[int]) -> None:
    assert sorted(ledger.closed) == sorted(ledger.opened)
    assert ledger.generated == counted.tokens >= sum(seen) > 0
    assert ledger.prompt == sum(ledger.opened.values())
    # Some were cut before their first token, some in the middle.
    assert seen.count(0) > 10
    assert len([count for count in seen if count > 0]) > 100


def test_cut_streams_are_counted_once_and_leave_nothing(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.run(cut_through_a_replica(tmp_path, monkeypatch))


async def cut_through_a_replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks_before, descriptors_before = len(asyncio.all_tasks()), descriptors()
    counted, ledger = Counted(monkeypatch), Ledger()
    replica = await SubprocessLauncher(tmp_path).launch(echo_spec(), DEVICE)
    assert isinstance(replica, SubprocessReplica)
    await replica.start()

    seen = await cut_a_thousand(lambda request, tally: replica.run(request, tally()), ledger)
    assert len(ledger.opened) == STREAMS
    assert await settles(lambda: len(ledger.closed) == STREAMS)
    check(ledger, counted, seen)
    assert replica.stats.running == replica.stats.waiting == 0

    assert replica.pid is not None
    await replica.stop()
    assert await settles(lambda: len(asyncio.all_tasks()) == tasks_before, 2)
    assert await settles(lambda: descriptors() == descriptors_before, 2)
    with pytest.raises(ProcessLookupError):
        os.kill(replica.pid, 0)


def test_the_same_through_a_deployment_gives_every_slot_back(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.run(cut_through_a_deployment(tmp_path, monkeypatch))


async def cut_through_a_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks_before, descriptors_before = len(asyncio.all_tasks()), descriptors()
    counted, ledger, tenants = Counted(monkeypatch), Ledger(), itertools.cycle("abcde")
    deployment = deployment_of(SubprocessLauncher(tmp_path), slots=16)
    await deployment.start()

    seen = await cut_a_thousand(lambda request, tally: serve(deployment, request, tally, next(tenants)), ledger)
    assert await settles(lambda: len(ledger.closed) == len(ledger.opened))
    check(ledger, counted, seen)
    # Those that were cut in the queue never began.
    assert 100 < len(ledger.opened) <= STREAMS
    assert (deployment.running, deployment.waiting, deployment.free_slots) == (0, 0, 16)
    assert deployment.stats.running == deployment.stats.waiting == 0

    await deployment.stop()
    assert await settles(lambda: len(asyncio.all_tasks()) == tasks_before, 2)
    assert await settles(lambda: descriptors() == descriptors_before, 2)
