"""A thousand streams, each cut at a random moment: every token that came is counted once, and nothing stays behind."""

import asyncio
import os
import random
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.contract.fleet_scenes import DEVICE, ask, descriptors, echo_spec, settles

from pronto.core.events import Token
from pronto.fleet import inbox
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.replica import Tally

STREAMS = 1000
AT_ONCE = 64


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
        self.closed: list[int] = []
        self.generated = 0
        self.prompt = 0

    def tally(self, number: int, prompt_tokens: int) -> Tally:
        tally = Tally(prompt_tokens)

        def closer(closed: Tally) -> None:
            self.closed.append(number)
            self.generated += closed.generated_tokens
            self.prompt += closed.prompt_tokens

        tally.on_close(closer)
        return tally


async def cut(stream, moment: float, after: int) -> None:
    """Read until `after` tokens or `moment` seconds, whichever is first; then leave."""

    async def read() -> None:
        seen = 0
        async with aclosing(stream) as events:
            async for _ in events:
                seen += 1
                if seen > after:
                    return

    task = asyncio.create_task(read())
    await asyncio.wait({task}, timeout=moment)
    task.cancel()
    await asyncio.wait({task})


async def test_cut_streams_are_counted_once_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks_before, descriptors_before = len(asyncio.all_tasks()), descriptors()
    counted, ledger, rng = Counted(monkeypatch), Ledger(), random.Random(20)
    replica = await SubprocessLauncher(tmp_path).launch(echo_spec(), DEVICE)
    await replica.start()
    gate = asyncio.Semaphore(AT_ONCE)
    prompts = [rng.randint(1, 40) for _ in range(STREAMS)]

    async def one(number: int) -> None:
        async with gate:
            tally = ledger.tally(number, prompts[number])
            stream = replica.run(ask("x" * prompts[number], tokens=rng.randint(1, 200)), tally)
            await cut(stream, rng.choice([0.0, 0.0005, 0.002, 0.01, 1.0]), rng.randint(0, 150))

    await asyncio.gather(*(one(number) for number in range(STREAMS)))
    assert await settles(lambda: len(ledger.closed) == STREAMS)
    assert sorted(ledger.closed) == list(range(STREAMS))
    assert ledger.generated == counted.tokens > 0
    assert ledger.prompt == sum(prompts)
    assert replica.stats.running == replica.stats.waiting == 0

    pid = replica.pid
    await replica.stop()
    assert await settles(lambda: len(asyncio.all_tasks()) == tasks_before, 2)
    assert await settles(lambda: descriptors() == descriptors_before, 2)
    assert not os.path.exists(f"/proc/{pid}")
