"""Tool calls, reasoning, JSON and further end tokens through each engine itself, with tiny models of random weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pronto.core.events import FinishReason, ToolCall
from pronto.core.request import ChatPrompt, Grammar, Message, Thinking, Tool
from pronto.engines.text.tools import forcing_grammar
from tests.contract.engine_scenes import HERE, Bench, done, finishes, generation, loaded, sampled, text_of, tokens

USER = (Message(role="user", content="Hi"),)
ADD = Tool(
    name="add",
    parameters='{"type":"object","properties":{"a":{"type":"integer","maximum":9,"minimum":0}},"required":["a"],'
    '"additionalProperties":false}',
)
NOW = Tool(name="now", parameters='{"type":"object","properties":{},"additionalProperties":false}')


@pytest.fixture(scope="module", params=HERE)
def bench(request: pytest.FixtureRequest, files_of: Callable[[str], Path | None]) -> Bench:
    return loaded(request.param, files_of(request.param))


def test_any_json_object_is_a_grammar_of_its_own(bench: Bench) -> None:
    ended = 0
    for seed in range(4):
        grammar = Grammar("json_schema", '{"type":"object"}')
        events = bench.run(generation(new=200, grammar=grammar, sampling=sampled(seed)))
        text = text_of(events).lstrip()
        assert text.startswith("{")
        if finishes(events)[0].reason is FinishReason.EOS:
            ended += 1
            assert isinstance(json.loads(text), dict)
    assert ended


@pytest.mark.parametrize("tools", [(ADD,), (ADD, NOW)], ids=["one", "two"])
def test_a_forced_call_is_a_call_and_nothing_else(bench: Bench, tools: tuple[Tool, ...]) -> None:
    prompt = ChatPrompt(messages=USER, tools=tools, tool_choice="required", parallel_tools=False)
    ended = 0
    for seed in range(6):
        work = generation(new=220, grammar=forcing_grammar(prompt), tool_style="json", sampling=sampled(seed))
        events = bench.run(work)
        calls = [event for event in events if isinstance(event, ToolCall)]
        assert text_of(events).strip() == ""
        assert calls[0].name in {tool.name for tool in tools}
        assert done(events).usage.generated_tokens == len(tokens(events))
        # Random weights may well spend their tokens on spaces, which JSON allows anywhere.
        if finishes(events)[0].reason is FinishReason.EOS:
            ended += 1
            assert set(json.loads("".join(call.arguments_delta for call in calls))) <= {"a"}
    assert ended


def test_forced_parallel_calls_are_numbered(bench: Bench) -> None:
    prompt = ChatPrompt(messages=USER, tools=(NOW,), tool_choice="required")
    events = bench.run(generation(new=220, grammar=forcing_grammar(prompt), tool_style="json", sampling=sampled(1)))
    named = [event for event in events if isinstance(event, ToolCall) and event.name is not None]
    assert [call.index for call in named] == list(range(len(named)))
    assert 1 <= len(named) <= 8
    assert len({call.id for call in named}) == len(named)


def test_reasoning_that_was_begun_by_the_prompt_is_no_answer(bench: Bench) -> None:
    thinking = Thinking("<think>", "</think>", True)
    work = generation(new=60, grammar=Grammar("regex", "[a-z]{3}</think>[0-9]{2}"), thinking=thinking)
    said = tokens(bench.run(work))
    assert len("".join(token.text for token in said if token.part == "reasoning")) == 3
    answer = "".join(token.text for token in said if token.part == "answer" and not token.special)
    assert len(answer) == 2
    assert answer.isdigit()


def test_further_end_tokens_end_the_answer_without_being_in_it(bench: Bench) -> None:
    plain = tokens(bench.run(generation(new=12)))
    end = plain[5].id
    first = next(position for position, token in enumerate(plain) if token.id == end)
    events = bench.run(generation(new=12, stop_ids=(end,)))
    last = tokens(events)[-1]
    assert (last.id, last.special) == (end, True)
    assert len(tokens(events)) == first + 1
    assert finishes(events)[0].reason is FinishReason.EOS
    assert text_of(events) == "".join(token.text for token in plain[:first])
