"""What every Replica does, whatever it runs in; over the real echo engine."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec
import pytest

from pronto.core.errors import GenerationFailed, InvalidInput
from pronto.core.events import Done, Event, Finish, FinishReason, Token
from pronto.core.request import Sampling, TokenPrompt
from pronto.fleet.replica import Health, Launcher, LoadFailed, Replica, Tally, WorkerDied
from tests.contract.fleet_scenes import DEVICE, ask, collect, echo_spec, settles, text_of

Started = Callable[[str], "asyncio.Future[Replica]"]


@pytest.fixture
async def started(launcher: Launcher) -> AsyncGenerator[Callable, None]:
    """A function that starts a replica of an echo model by its magic name."""
    replicas = []

    async def start(name: str = "echo", **settings: object) -> Replica:
        replica = await launcher.launch(echo_spec(name, **settings), DEVICE)
        replicas.append(replica)
        await replica.start()
        return replica

    yield start
    for replica in replicas:
        await replica.stop()


def counted(prompt_tokens: int = 3) -> tuple[Tally, list[str]]:
    """A tally, and the outcomes with which it was closed."""
    tally, outcomes = Tally(prompt_tokens), []
    tally.on_close(lambda closed: outcomes.append(closed.outcome))
    return tally, outcomes


async def test_events_come_in_order_and_the_tally_is_closed_before_done_is_seen(started: Callable) -> None:
    replica = await started()
    tally, outcomes = counted()
    async for event in replica.run(ask("abc", 5), tally):
        if type(event) is Done:
            assert outcomes == ["done"]
            assert (event.usage.prompt_tokens, event.usage.generated_tokens) == (3, 5)
            break
        assert outcomes == [] or tally.generated_tokens == 5
    assert (tally.generated_tokens, tally.finish) == (5, "length")


async def test_capabilities_say_what_was_loaded(launcher: Launcher) -> None:
    replica = await launcher.launch(echo_spec(slots=3, kv_cache_mb=2), DEVICE)
    capabilities = await replica.start()
    await replica.stop()
    assert (capabilities.slots, capabilities.kv_tokens) == (3, 2048)


async def test_many_at_once_get_their_own_answers(started: Callable) -> None:
    replica = await started()
    answers = await asyncio.gather(*(collect(replica, ask(f"<{n}>", 12)) for n in range(100)))
    assert [text_of(events) for events in answers] == [(f"<{n}>" * 4)[:12] for n in range(100)]
    assert await settles(lambda: replica.stats.running == 0)


async def test_choices_seeds_stops_and_logprobs(started: Callable) -> None:
    replica = await started()
    work = {"choices": 2, "logprobs": True, "sampling": Sampling(do_sample=True, seed=7)}
    one, again, other = [
        await collect(replica, ask("abcdefgh", 8, **(work | extra)))
        for extra in ({}, {}, {"sampling": Sampling(do_sample=True, seed=99)})
    ]
    assert one == again != other
    assert text_of(one, 0) != text_of(one, 1)
    assert [event.seed for event in one if isinstance(event, Finish)] == [7, 8]
    assert {event.logprob for event in one if isinstance(event, Token)} == {0.0}
    trimmed = await collect(replica, ask("abc", 9, stop=("ca",), keep_stop=False))
    assert text_of(trimmed) == "ab"
    assert [event.reason for event in trimmed if isinstance(event, Finish)] == [FinishReason.STOP]


async def test_leaving_early_queues_a_cancel_and_the_last_frame_closes_the_tally(started: Callable) -> None:
    replica = await started("slow-2s")
    tally, outcomes = counted()
    async with aclosing(replica.run(ask("abc", 1000), tally)) as events:
        async for _ in events:
            break
    assert outcomes == []
    assert await settles(lambda: outcomes == ["done"], 1.0)
    assert tally.finish == "cancelled"
    assert 0 < tally.generated_tokens < 1000
    assert replica.stats.running == 0


async def test_a_request_can_be_left_before_its_first_event(started: Callable) -> None:
    replica = await started("slow-2s")
    tally, outcomes = counted()
    stream = replica.run(ask("abc", 2), tally)
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    await stream.aclose()
    assert await settles(lambda: outcomes == ["done"], 1.0)
    assert tally.generated_tokens == 0


async def test_a_bad_request_is_its_own_fault(started: Callable) -> None:
    replica = await started()
    tally, outcomes = counted(0)
    with pytest.raises(InvalidInput, match="empty"):
        await collect(replica, ask(""), tally)
    assert outcomes == ["failed"]
    assert text_of(await collect(replica, ask("ok", 2))) == "ok"


async def test_ids_that_are_no_characters_are_refused(started: Callable) -> None:
    replica = await started()
    for number in (0x110000, 0xD800, 2**60, -1):
        request = ask()
        work = msgspec.structs.replace(request.work, prompt=TokenPrompt([97, number]))
        with pytest.raises(InvalidInput, match="no characters"):
            await collect(replica, msgspec.structs.replace(request, work=work))
    assert text_of(await collect(replica, ask("ok", 2))) == "ok"


async def test_a_failed_generation_says_that_it_had_started(started: Callable) -> None:
    replica = await started("fail-mid")
    tally, outcomes = counted()
    with pytest.raises(GenerationFailed) as raised:
        await collect(replica, ask(), tally)
    assert raised.value.started
    assert (outcomes, tally.generated_tokens) == (["failed"], 3)


async def test_a_step_that_raises_is_the_workers_death_for_all(started: Callable) -> None:
    replica = await started("crash")
    innocent, innocent_outcomes = counted()
    waiting = asyncio.create_task(collect(replica, ask("abc", 10**6), innocent))
    assert await settles(lambda: innocent.started)
    guilty, guilty_outcomes = counted()
    with pytest.raises(WorkerDied, match="Crash"):
        await collect(replica, ask("crash-early"), guilty)
    with pytest.raises(WorkerDied):
        await waiting
    assert innocent_outcomes == guilty_outcomes == ["died"]
    assert (guilty.generated_tokens, guilty.started) == (0, False)
    assert "Crash" in await replica.ended()
    assert await replica.health() is Health.DEAD
    late, late_outcomes = counted()
    with pytest.raises(WorkerDied):
        await collect(replica, ask(), late)
    assert late_outcomes == ["refused"]


async def test_a_model_that_does_not_load_says_why(launcher: Launcher) -> None:
    replica = await launcher.launch(echo_spec("fail-start"), DEVICE)
    with pytest.raises(LoadFailed, match="fails to load, as its name says"):
        await replica.start()
    assert await replica.health() is Health.DEAD
    await replica.stop()


async def test_progress_of_a_slow_load(launcher: Launcher) -> None:
    replica = await launcher.launch(echo_spec("slow-load"), DEVICE)
    loading = asyncio.create_task(replica.start())
    assert await settles(lambda: replica.progress is not None and 0 < replica.progress.done < replica.progress.total)
    assert await replica.health() is Health.READY
    await loading
    await replica.stop()


async def test_an_idle_worker_is_ready(started: Callable) -> None:
    assert await (await started()).health() is Health.READY


async def test_stop_closes_what_is_open_and_may_come_twice(started: Callable) -> None:
    replica = await started("slow-2s")
    tally, outcomes = counted()
    reading = asyncio.create_task(collect(replica, ask("abc", 100), tally))
    assert await settles(lambda: tally.started)
    await replica.stop()
    with pytest.raises(WorkerDied):
        await reading
    assert outcomes == ["died"]
    await replica.stop()


async def test_a_closer_that_fails_hurts_nobody_else(started: Callable) -> None:
    replica = await started()

    def broken(tally: Tally) -> None:
        raise RuntimeError("a closer must not raise")

    tally = Tally(3)
    tally.on_close(broken)
    events: list[list[Event]] = await asyncio.gather(
        collect(replica, ask("ab", 2), tally), collect(replica, ask("cd", 2))
    )
    assert [text_of(each) for each in events] == ["ab", "cd"]
