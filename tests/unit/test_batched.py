"""What engines/batched.py promises of any BatchModel: batches by cost and kind, bad items alone, one end each."""

from collections.abc import Sequence
from typing import Any

import pytest

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Finish, Output, Progress, Usage
from pronto.core.labels import Label, Labels
from pronto.core.model import Model, Source
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.core.text_work import ClassifyText
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import BatchedEngine, Batches, Item


class Lengths:
    """Labels each text with its length. Texts with `bad` cannot be split, with `poison` break their whole batch."""

    batches = Batches(items=4, cost=40)

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        return Capabilities(slots=8)

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        assert isinstance(request.work, ClassifyText)
        if "bad" in request.work.texts:
            raise InvalidInput("no", "inputs")
        return [Item(value=text, cost=len(text), kind=request.work.function) for text in request.work.texts]

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        self.seen.append([item.value for item in items])
        if any(item.value == "poison" for item in items):
            raise RuntimeError(f"cannot compute {items!r}")
        if any(item.value == "memory" for item in items):
            raise RuntimeError("CUDA out of memory")
        return [float(len(item.value)) for item in items]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Labels, Usage]:
        return Labels(tuple((Label("length", value),) for value in values)), Usage(int(sum(values)))


@pytest.fixture
def model() -> Lengths:
    return Lengths()


@pytest.fixture
def engine(model: Lengths) -> BatchedEngine:
    engine = BatchedEngine(model)
    asked = Model(id="a/b", task=Task.TEXT_CLASSIFICATION, engine="x", source=Source(folder="x"), revision="r")
    engine.load(asked, Device(), lambda _: frozenset())
    return engine


def ask(*texts: str, function: str | None = None) -> InferenceRequest:
    work = ClassifyText(texts=texts, function=function)
    return InferenceRequest(id="r", model="a/b", task=Task.TEXT_CLASSIFICATION, work=work)


def run(engine: BatchedEngine) -> dict[int, list[Any]]:
    events: dict[int, list[Any]] = {}
    while engine.stats().running:
        for id, event in engine.step():
            events.setdefault(id, []).append(event)
    return events


def scores(events: Sequence[Any]) -> list[float]:
    output, done = events
    assert type(output) is Output
    assert type(done) is Done
    assert isinstance(output.value, Labels)
    return [row[0].score for row in output.value.rows]


def test_items_of_several_requests_run_together_and_come_back_in_their_order(
    engine: BatchedEngine, model: Lengths
) -> None:
    engine.add(1, ask("aaaa", "a"))
    engine.add(2, ask("aaa", "aa"))
    events = run(engine)
    assert model.seen == [["aaaa", "aaa", "aa", "a"]]
    assert scores(events[1]) == [4.0, 1.0]
    assert scores(events[2]) == [3.0, 2.0]
    assert events[1][-1].usage == Usage(5)


def test_a_batch_costs_its_longest_item_times_their_number(engine: BatchedEngine, model: Lengths) -> None:
    engine.add(1, ask("a" * 20, "b", "c" * 19, "d", "e"))
    run(engine)
    assert model.seen == [["a" * 20, "c" * 19], ["b", "d", "e"]]


def test_an_item_over_the_budget_runs_alone(engine: BatchedEngine, model: Lengths) -> None:
    engine.add(1, ask("a" * 100, "b"))
    run(engine)
    assert model.seen == [["a" * 100], ["b"]]


def test_only_items_of_one_kind_run_together(engine: BatchedEngine, model: Lengths) -> None:
    engine.add(1, ask("a", function="sigmoid"))
    engine.add(2, ask("b", function="softmax"))
    run(engine)
    assert model.seen == [["a"], ["b"]]


def test_a_request_that_cannot_be_read_fails_alone(engine: BatchedEngine) -> None:
    engine.add(1, ask("bad"))
    engine.add(2, ask("good"))
    events = run(engine)
    assert events[1] == [Failed("invalid_input", "no", "inputs")]
    assert scores(events[2]) == [4.0]


def test_a_poisonous_item_fails_its_request_and_not_its_batch(
    engine: BatchedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.add(1, ask("fine", "poison"))
    engine.add(2, ask("good"))
    events = run(engine)
    assert [type(event) for event in events[1]] == [Failed]
    assert events[1][0].kind == "generation"
    assert scores(events[2]) == [4.0]
    assert "poison" not in capsys.readouterr().err  # what a library says may quote the input


def test_too_little_memory_is_one_request_s_failure(engine: BatchedEngine) -> None:
    engine.add(1, ask("memory"))
    assert "memory" in run(engine)[1][0].message


@pytest.mark.parametrize("steps", [0, 1])
def test_a_cancelled_request_ends_with_one_done(engine: BatchedEngine, steps: int) -> None:
    engine.add(1, ask(*"abcdefgh"))
    engine.add(2, ask("x"))
    early = [event for _ in range(steps) for event in engine.step()]
    engine.cancel(1)
    engine.cancel(77)
    events = run(engine)
    assert [type(event) for event in events[1]] == [Finish, Done]
    assert scores([event for id, event in early if id == 2] or events[2]) == [1.0]


def test_who_leaves_in_the_middle_of_a_batch_ends_with_one_done_and_the_others_with_their_answers(
    model: Lengths,
) -> None:
    engine = BatchedEngine(model)
    asked = Model(id="a/b", task=Task.TEXT_CLASSIFICATION, engine="x", source=Source(folder="x"), revision="r")
    engine.load(asked, Device(), lambda _: frozenset({1}))

    def predict(items: Sequence[Item], tick: Tick) -> Sequence[Any]:
        left = tick(())
        return [Failed("generation", "nobody waits") if item.owner in left else 1.0 for item in items]

    model.predict = predict  # type: ignore[method-assign]  # a predict that looks at its tick
    engine.add(1, ask("a"))
    engine.add(2, ask("b"))
    events = run(engine)
    assert [type(event) for event in events[1]] == [Finish, Done]
    assert scores(events[2]) == [1.0]


def test_a_long_list_does_not_hold_up_those_that_came_after_it(engine: BatchedEngine) -> None:
    engine.add(1, ask(*["long"] * 400))
    for id in (2, 3, 4):
        engine.add(id, ask("aaaa"))
    ended: dict[int, int] = {}
    for step in range(400):
        ended |= {id: step for id, event in engine.step() if type(event) is Done}
    assert max(ended[id] for id in (2, 3, 4)) <= 5
    assert ended[1] <= 103  # and those hold it up by no more than their own batches


def test_many_requests_end_exactly_once(engine: BatchedEngine) -> None:
    for id in range(1, 60):
        engine.add(id, ask("a" * (id % 7 + 1)))
    events = run(engine)
    assert sorted(events) == list(range(1, 60))
    assert all([type(event) for event in each] == [Output, Done] for each in events.values())
    assert engine.stats().waiting == 0


class Slow(Lengths):
    """Hears in the middle of a batch who has left, and has an answer for everybody all the same."""

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        self.left = tick([(items[0].owner, Progress(1, 2))])
        return super().predict(items, tick)


def test_who_leaves_in_the_middle_of_a_batch_gets_no_answer() -> None:
    model, said = Slow(), list[Any]()

    def tick(events: Any) -> frozenset[int]:
        said.extend(events)
        return frozenset({1})

    engine = BatchedEngine(model)
    asked = Model(id="a/b", task=Task.TEXT_CLASSIFICATION, engine="x", source=Source(folder="x"), revision="r")
    engine.load(asked, Device(), tick)
    engine.add(1, ask("aa"))
    engine.add(2, ask("b"))
    events = run(engine)
    assert said == [(1, Progress(1, 2))]
    assert model.left == {1}
    assert [type(event) for event in events[1]] == [Finish, Done]
    assert scores(events[2]) == [1.0]
