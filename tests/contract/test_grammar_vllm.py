"""The grammar check for vLLM: what llguidance compiles passes, what it does not is refused, nothing explodes."""

import time
from pathlib import Path

import pytest

from pronto.core.events import Done, Output
from pronto.core.request import CheckGrammar, Grammar
from pronto.engines.vllm_grammar import GrammarEngine
from tests.contract.engine_scenes import Bench, failed, load, model

GOOD = Grammar("regex", "[0-9]{3}-[a-z]+")


@pytest.fixture(scope="module")
def bench(published_llama: Path) -> Bench:
    engine = GrammarEngine()
    load(engine, model("vllm", published_llama))
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
        ("regex", "[0-9", "unclosed character class"),
        ("regex", ")(", "unopened group"),
        ("json_schema", '{"type":"objec"}', "objec"),
        ("json_schema", '{"type":"string","pattern":"[0-9"}', "unclosed character class"),
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
    assert passes(bench, GOOD)


def test_what_explodes_elsewhere_is_done_or_refused_at_once(bench: Bench) -> None:
    began = time.process_time()
    bench.run(CheckGrammar(grammar=Grammar("regex", "(.{1,999}){1,999}")))
    assert time.process_time() - began < 2.0
    assert passes(bench, GOOD)


def test_a_cancelled_check_ends(bench: Bench) -> None:
    id = bench.add(CheckGrammar(grammar=GOOD))
    bench.engine.cancel(id)
    bench.until_over([id])
    assert bench.events[id] == [Done()]
