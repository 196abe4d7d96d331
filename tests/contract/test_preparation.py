"""The preparation workers: the real engine in a real process, slow pieces, deaths, and grammars on a real probe."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from pronto.core.errors import GenerationFailed, InvalidInput, Overloaded, Unsupported
from pronto.core.request import Grammar, Prepare, TextGeneration, TextPrompt
from pronto.fleet import preparation as module
from pronto.fleet.launcher import InProcessLauncher, SubprocessLauncher
from pronto.fleet.preparation import Preparation
from pronto.fleet.process import SubprocessReplica
from tests.contract.engine_scenes import model
from tests.contract.fleet_scenes import DEVICE, descriptors, echo_model, settles

EXPLODING = Grammar("regex", "(.{1,999}){1,999}")


def work(text: str = "abc", context: int = 100) -> Prepare:
    return Prepare(folder="", engine="echo", context=context, work=TextGeneration(prompt=TextPrompt(text)))


def worker(preparation: Preparation) -> int:
    replica = preparation._bench._replica
    assert isinstance(replica, SubprocessReplica)
    assert replica.pid is not None
    return replica.pid


@pytest.fixture
async def preparation(processes: Callable[..., SubprocessLauncher]) -> AsyncGenerator[Preparation, None]:
    launcher = processes()
    before, tasks = descriptors(), len(asyncio.all_tasks())
    preparation = Preparation(launcher, DEVICE, timeout=0.5, grammar_timeout=0.25)
    yield preparation
    await preparation.stop()
    await preparation.stop()
    assert await settles(lambda: descriptors() == before and len(asyncio.all_tasks()) == tasks)


async def test_a_prompt_becomes_ids(preparation: Preparation) -> None:
    await preparation.start()
    prepared = await preparation.prepare(work("hé!"))
    assert prepared.ids == [104, 233, 33]
    assert (prepared.max_new_tokens, prepared.prompt_characters) == (97, 3)


async def test_many_at_once_get_their_own(preparation: Preparation) -> None:
    prepared = await asyncio.gather(*(preparation.prepare(work(f"<{n}>")) for n in range(100)))
    assert ["".join(map(chr, each.ids)) for each in prepared] == [f"<{n}>" for n in range(100)]


async def test_the_same_without_a_process() -> None:
    preparation = Preparation(InProcessLauncher(), DEVICE, timeout=5, grammar_timeout=1)
    assert (await preparation.prepare(work("a"))).ids == [97]
    await preparation.stop()


async def test_bad_input_is_told_as_such(preparation: Preparation) -> None:
    with pytest.raises(InvalidInput, match="less than 2 tokens") as raised:
        await preparation.prepare(work("abc", context=2))
    assert raised.value.param == "inputs"


async def test_a_slow_one_is_refused_and_the_others_do_not_notice(preparation: Preparation) -> None:
    await preparation.start()
    stopped = worker(preparation)
    os.kill(stopped, signal.SIGSTOP)  # as good as a template that loops
    began = time.monotonic()
    slow = asyncio.create_task(preparation.prepare(work("slow")))
    await asyncio.sleep(0)
    others = [asyncio.create_task(preparation.prepare(work(f"{n}"))) for n in range(5)]
    with pytest.raises(InvalidInput, match=r"longer than 0\.5 seconds to prepare: please shorten it"):
        await slow
    assert time.monotonic() - began < 2
    assert [each.ids for each in await asyncio.gather(*others)] == [[ord(str(n))] for n in range(5)]
    assert worker(preparation) != stopped


async def test_who_leaves_a_slow_one_does_not_pass_its_time_on(preparation: Preparation) -> None:
    await preparation.start()
    stopped = worker(preparation)
    os.kill(stopped, signal.SIGSTOP)
    slow = asyncio.create_task(preparation.prepare(work("slow")))
    await asyncio.sleep(0.1)
    slow.cancel()
    assert (await preparation.prepare(work("next"))).ids == [110, 101, 120, 116]


async def test_a_worker_that_died_is_replaced_and_the_request_served(preparation: Preparation) -> None:
    await preparation.start()
    os.kill(worker(preparation), signal.SIGKILL)
    assert (await preparation.prepare(work("a"))).ids == [97]


async def test_a_request_whose_worker_dies_under_it_is_tried_once_more(preparation: Preparation) -> None:
    await preparation.start()
    first = worker(preparation)
    os.kill(first, signal.SIGSTOP)
    asking = asyncio.create_task(preparation.prepare(work("a")))
    await asyncio.sleep(0.05)
    os.kill(first, signal.SIGKILL)
    assert (await asking).ids == [97]


async def test_a_request_whose_worker_dies_each_time_is_refused(preparation: Preparation) -> None:
    await preparation.start()
    bench = preparation._bench
    bench._limit = 60.0  # the death should come first, also on a busy machine
    asking = asyncio.create_task(preparation.prepare(work("a" * 3_000_000, context=10**7)))
    for _ in range(module.ATTEMPTS):
        assert await settles(lambda: bench._replica is not None and bool(bench._replica._inboxes._open))
        os.kill(worker(preparation), signal.SIGKILL)
        assert await settles(lambda: bench._replica is None)
    with pytest.raises(GenerationFailed, match="could not be prepared"):
        await asking
    assert (await preparation.prepare(work("a"))).ids == [97]


async def test_the_line_is_bounded(preparation: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE", 3)
    await preparation.start()
    os.kill(worker(preparation), signal.SIGSTOP)
    tasks = [asyncio.create_task(preparation.prepare(work("a"))) for _ in range(8)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, Overloaded) for result in results) == 4
    assert sum(isinstance(result, InvalidInput) for result in results) == 1


async def test_grammars_are_tried_on_the_engine_itself(preparation: Preparation, exported_llama: Path) -> None:
    llama = model("openvino", exported_llama)
    await preparation.check_grammar(llama, Grammar("regex", "[0-9]{3}"))
    probe = next(iter(preparation._probes.values()))
    replica = probe._replica
    with pytest.raises(InvalidInput, match="Unclosed") as raised:
        await preparation.check_grammar(llama, Grammar("regex", "[0-9"))
    assert raised.value.param == "grammar"
    assert probe._replica is replica

    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(InvalidInput, match="takes too long to compile"):
            await preparation.check_grammar(llama, EXPLODING)
    assert time.monotonic() - began < 2.0  # the second time from memory
    await preparation.check_grammar(llama, Grammar("regex", "[a-z]{3}"))
    assert probe._replica is not replica


async def test_an_engine_without_grammars_says_so(preparation: Preparation) -> None:
    with pytest.raises(Unsupported):
        await preparation.check_grammar(echo_model(), Grammar("regex", "a"))


async def test_a_probe_that_cannot_start_is_our_fault(preparation: Preparation, tmp_path: Path) -> None:
    with pytest.raises(GenerationFailed, match="cannot be checked"):
        await preparation.check_grammar(model("openvino", tmp_path), Grammar("regex", "a"))
