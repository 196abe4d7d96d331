"""The grammar check: what the engine compiles passes, what it does not is refused, and nothing stays behind."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pronto.core.events import Done, Output
from pronto.core.request import CheckGrammar, Grammar
from pronto.engines.openvino_grammar import GrammarEngine
from tests.contract.engine_scenes import Bench, failed, load, model

GOOD = Grammar("regex", "[0-9]{3}-[a-z]+")
EXPLODING = Grammar("regex", "(.{1,999}){1,999}")  # holds a step for longer than anyone waits


@pytest.fixture(scope="module")
def bench(exported_llama: Path) -> Bench:
    engine = GrammarEngine()
    load(engine, model("openvino", exported_llama))
    return Bench(engine)


def passes(bench: Bench, grammar: Grammar) -> bool:
    events = bench.run(CheckGrammar(grammar=grammar))
    return [type(event) for event in events] == [Output, Done]


@pytest.mark.parametrize(
    "grammar",
    [
        GOOD,
        Grammar("regex", "(yes|no)"),
        Grammar("json_schema", "{}"),
        Grammar("json_schema", '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}'),
    ],
)
def test_a_good_grammar_passes(bench: Bench, grammar: Grammar) -> None:
    assert passes(bench, grammar)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("regex", "[0-9", "Unclosed '['"),
        ("regex", ")(", "Unmatched ')'"),
        ("regex", "(?<=a)b", "Lookbehind is not supported"),
        ("json_schema", '{"type":"objec"}', 'Unsupported type "objec"'),
        ("json_schema", '{"type":"string","pattern":"[0-9"}', "Unclosed '['"),
        ("json_schema", "{", "not JSON"),
        ("json_schema", "[1]", "must be a JSON object"),
        ("ebnf", "root ::= 'a'", "json_schema or regex"),
        ("regex", "a" * 20_000, "at most 16 KiB"),
    ],
)
def test_a_bad_one_is_refused_with_its_reason(bench: Bench, kind: str, value: str, reason: str) -> None:
    refusal = failed(bench.run(CheckGrammar(grammar=Grammar(kind, value))))
    assert refusal.kind == "invalid_input"
    assert refusal.message.startswith("grammar is not valid: ")
    assert reason in refusal.message
    assert "/" not in refusal.message.replace("\\/", "")  # no places in anybody's source files
    assert passes(bench, GOOD)


def test_many_bad_ones_use_nothing_up(bench: Bench) -> None:
    for _ in range(30):
        failed(bench.run(CheckGrammar(grammar=Grammar("regex", "[a"))))
    assert passes(bench, GOOD)


def test_a_cancelled_check_ends(bench: Bench) -> None:
    id = bench.add(CheckGrammar(grammar=GOOD))
    bench.engine.cancel(id)
    bench.until_over([id])
    assert bench.events[id] == [Done()]


def check_in_child(exported: str, answers: Connection) -> None:
    engine = GrammarEngine()
    load(engine, model("openvino", Path(exported)))
    bench = Bench(engine)
    answers.send(passes(bench, GOOD))
    answers.send(passes(bench, EXPLODING))


def test_an_exploding_one_can_be_killed(bench: Bench, exported_llama: Path) -> None:
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=check_in_child, args=(str(exported_llama), there))
    child.start()
    try:
        assert here.poll(60)
        assert here.recv()
        assert not here.poll(1.0)  # four times what a grammar may take
        assert child.is_alive()
    finally:
        child.kill()
        child.join(10)
    assert not child.is_alive()
    assert passes(bench, GOOD)
