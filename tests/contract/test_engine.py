"""What every engine that generates text keeps to, echo, OpenVINO and vLLM alike."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pronto.core.events import FinishReason, Usage
from pronto.core.request import Export, Sampling, Work
from pronto.engines.base import Failed
from tests.contract.engine_scenes import (
    HERE,
    LETTERS,
    Bench,
    done,
    failed,
    finishes,
    generation,
    loaded,
    sampled,
    text_of,
    token_ids,
    tokens,
)

TOO = ["transformers"] if "openvino" in HERE else []  # on the interpreter that has everything but vLLM


@pytest.fixture(scope="module", params=["echo", *HERE, *TOO])
def bench(request: pytest.FixtureRequest, files_of: Callable[[str], Path | None]) -> Bench:
    return loaded(request.param, files_of(request.param))


def test_nothing_to_do_gives_nothing(bench: Bench) -> None:
    assert list(bench.step()) == []
    assert bench.engine.stats().running == 0


def test_tokens_then_finish_then_done(bench: Bench) -> None:
    events = bench.run(generation(new=7))
    assert [type(event).__name__ for event in events] == ["Token"] * 7 + ["Finish", "Done"]
    assert finishes(events)[0].reason is FinishReason.LENGTH
    assert finishes(events)[0].seed is None
    assert done(events).usage == Usage(prompt_tokens=len(LETTERS), generated_tokens=7)


def test_one_token(bench: Bench) -> None:
    events = bench.run(generation(new=1))
    assert len(tokens(events)) == 1
    assert finishes(events)[0].reason is FinishReason.LENGTH


def test_every_id_ends_exactly_once(bench: Bench) -> None:
    lengths = {bench.add(generation(LETTERS[:size], new=3 + size)): 3 + size for size in range(1, 20)}
    bench.until_over(lengths)
    for id, length in lengths.items():
        events = bench.events[id]
        assert done(events).usage.generated_tokens == len(tokens(events)) <= length
        assert len(finishes(events)) == 1


def test_the_same_request_alone_gives_the_same_tokens(bench: Bench) -> None:
    assert token_ids(bench.run(generation(new=20))) == token_ids(bench.run(generation(new=20)))


def test_a_cancelled_request_ends_at_the_next_step(bench: Bench) -> None:
    id = bench.add(generation(new=60))
    while not tokens(bench.events[id]):
        bench.step()
    before = len(tokens(bench.events[id]))
    bench.engine.cancel(id)
    bench.step()
    events = bench.events[id]
    assert done(events).usage == Usage(prompt_tokens=len(LETTERS), generated_tokens=before)
    assert [finish.reason for finish in finishes(events)] == [FinishReason.CANCELLED]
    bench.step()
    assert done(bench.events[id])


def test_every_open_choice_of_a_cancelled_request_is_finished(bench: Bench) -> None:
    id = bench.add(generation(new=60, choices=3, sampling=sampled(1)))
    while not tokens(bench.events[id], 2):
        bench.step()
    bench.engine.cancel(id)
    bench.engine.cancel(id)
    bench.until_over([id])
    events = bench.events[id]
    assert sorted(finish.choice for finish in finishes(events)) == [0, 1, 2]
    total = sum(len(tokens(events, choice)) for choice in range(3))
    assert done(events).usage == Usage(prompt_tokens=len(LETTERS), generated_tokens=total)


def test_cancelled_before_its_first_step(bench: Bench) -> None:
    id = bench.add(generation(new=60))
    bench.engine.cancel(id)
    bench.until_over([id])
    assert tokens(bench.events[id]) == []
    assert done(bench.events[id]).usage.generated_tokens == 0


def test_unknown_and_ended_ids_may_be_cancelled(bench: Bench) -> None:
    events = bench.run(generation(new=2))
    bench.engine.cancel(1)
    bench.engine.cancel(10**9)
    assert list(bench.step()) == []
    assert done(events)


def test_others_go_on_when_one_is_cancelled(bench: Bench) -> None:
    leaving, staying = bench.add(generation(new=60)), bench.add(generation(LETTERS[:9], new=30))
    for _ in range(5):
        bench.step()
    bench.engine.cancel(leaving)
    bench.until_over([leaving, staying])
    assert finishes(bench.events[staying])[0].reason is FinishReason.LENGTH
    assert len(tokens(bench.events[staying])) == 30


@pytest.mark.parametrize(
    "work",
    [generation(ids=[]), Export(folder="a", target="b", weights="fp16")],
    ids=["an empty prompt", "another kind of work"],
)
def test_a_bad_request_fails_alone(bench: Bench, work: Work) -> None:
    good = bench.add(generation(new=20))
    bench.step()
    bad = bench.add(work)
    bench.until_over([good, bad])
    refusal = failed(bench.events[bad])
    assert refusal.kind == "invalid_input"
    assert refusal.message
    assert len(tokens(bench.events[good])) == 20


def test_a_sampled_request_is_repeated_by_its_seed(bench: Bench) -> None:
    first, again, other = (token_ids(bench.run(generation(new=24, sampling=sampled(seed)))) for seed in (11, 11, 12))
    assert first == again
    assert first != other


def test_choices_have_seeds_of_their_own(bench: Bench) -> None:
    events = bench.run(generation(new=16, choices=3, sampling=sampled(40)))
    assert {finish.choice: finish.seed for finish in finishes(events)} == {0: 40, 1: 41, 2: 42}
    assert done(events).usage == Usage(prompt_tokens=len(LETTERS), generated_tokens=48)
    for choice in range(3):
        alone = bench.run(generation(new=16, sampling=sampled(40 + choice)))
        assert token_ids(events, choice)[:4] == token_ids(alone)[:4]


def test_logprobs_come_only_when_asked(bench: Bench) -> None:
    without = tokens(bench.run(generation()))
    asked = tokens(bench.run(generation(logprobs=True)))
    assert {token.logprob for token in without} == {None}
    assert all(token.logprob is not None and token.logprob <= 0 for token in asked)


@pytest.mark.parametrize("keep", [True, False])
def test_a_stop_string_across_tokens_ends_the_text(bench: Bench, keep: bool) -> None:
    whole = text_of(bench.run(generation(new=60)))
    stop = whole[len(whole) // 2 : len(whole) // 2 + 5]
    events = bench.run(generation(new=60, stop=("\0never", stop), keep_stop=keep))
    end = whole.index(stop)
    assert text_of(events) == whole[: end + len(stop) if keep else end]
    assert finishes(events)[0].reason is FinishReason.STOP
    assert finishes(events)[0].stop == stop
    assert done(events).usage.generated_tokens == len(tokens(events)) < 60


@pytest.mark.parametrize("keep", [True, False])
def test_a_stop_string_that_never_comes_changes_nothing(bench: Bench, keep: bool) -> None:
    whole = bench.run(generation(new=30))
    tail = text_of(whole)[-1] + "\0never"  # its start is held back at the end, and must come all the same
    events = bench.run(generation(new=30, stop=(tail,), keep_stop=keep))
    assert text_of(events) == text_of(whole)
    assert token_ids(events) == token_ids(whole)


def test_greedy_and_neutral_parameters_are_one(bench: Bench) -> None:
    neutral = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, typical_p=1.0, repetition_penalty=1.0)
    assert token_ids(bench.run(generation(sampling=neutral))) == token_ids(bench.run(generation()))


def test_stats_tell_of_running_requests(bench: Bench) -> None:
    ids = [bench.add(generation(new=30)) for _ in range(3)]
    bench.step()
    stats = bench.engine.stats()
    assert stats.running + stats.waiting == 3
    assert 0.0 <= stats.kv_used <= 1.0
    bench.until_over(ids)
    assert bench.engine.stats().running == 0


def test_no_event_is_a_failure_in_a_good_run(bench: Bench) -> None:
    ids = [bench.add(generation(LETTERS[:size], new=10, sampling=sampled(size))) for size in range(1, 25)]
    bench.until_over(ids)
    assert not [event for id in ids for event in bench.events[id] if isinstance(event, Failed)]
