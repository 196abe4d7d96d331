"""Calls of tools found in growing text, however it is cut: each style, broken calls, and text that is no call."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.core.request import TextGeneration, TextPrompt, Thinking
from pronto.engines.text.answer import AnswerSorter
from pronto.engines.text.reasoning import ReasoningSplitter
from pronto.engines.text.tool_calls import CallParser, call_id

WEATHER = '{"city": "Köln } \\" ]", "days": [1, {"a": null}]}'
CALL = f'{{"name": "weather", "arguments": {WEATHER}}}'
BACKWARDS = f'{{"arguments": {WEATHER}, "name": "weather"}}'
LLAMA = f'{{"type": "function", "name": "weather", "parameters": {WEATHER}}}'


def parse(style, text, size=1):
    """(text, [(name, arguments)]), with what holds for every sequence of pieces checked."""
    parser = CallParser(style, 0, "seed")
    spoken, pieces = "", []
    for start in range(0, len(text), size):
        more, calls = parser.feed(text[start : start + size])
        spoken += more
        pieces += calls
    spoken += parser.flush()
    found = []
    for piece in pieces:
        if piece.name is not None:
            assert piece.index == len(found)
            assert piece.arguments_delta == ""
            found.append([piece.name, ""])
        else:
            assert piece.index == len(found) - 1
            assert piece.arguments_delta
            found[-1][1] += piece.arguments_delta
        assert piece.id == call_id("seed", 0, piece.index)
    return spoken, [(name, arguments) for name, arguments in found]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("hermes", f"<tool_call>\n{CALL}\n</tool_call>"),
        ("hermes", f"\n<tool_call>{BACKWARDS}</tool_call>\n"),
        ("mistral", f"[TOOL_CALLS] [{CALL}]"),
        ("mistral", f"[TOOL_CALLS]{CALL}"),
        ("mistral", f"[TOOL_CALLS]weather[ARGS]{WEATHER}"),
        ("mistral", f"[TOOL_CALLS]weather[CALL_ID]a1B2c3D4e[ARGS]{WEATHER}"),
        ("mistral", f"[TOOL_CALLS] weather{WEATHER}\n"),
        ("llama3", LLAMA),
        ("llama3", f"<|python_tag|>{LLAMA}"),
        ("json", CALL),
        ("json", f" [{CALL}]"),
        ("json", f"```json\n{CALL}\n```"),
        ("json", BACKWARDS),
    ],
)
def test_each_style_gives_the_call_and_no_text(style, text, size):
    assert parse(style, text, size) == ("", [("weather", WEATHER)])


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("hermes", f"<tool_call>{CALL}</tool_call>\n<tool_call>\n{CALL}\n</tool_call>"),
        ("mistral", f"[TOOL_CALLS] [{CALL}, {CALL}]"),
        ("mistral", f"[TOOL_CALLS]weather[ARGS]{WEATHER}[TOOL_CALLS]weather[ARGS]{WEATHER}"),
        ("llama3", f"{LLAMA}; {LLAMA}"),
        ("json", f"[{CALL},{CALL}]"),
    ],
)
def test_several_calls(style, text, size):
    assert parse(style, text, size) == ("", [("weather", WEATHER), ("weather", WEATHER)])


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_text_around_calls_stays(size):
    text = f"Let me look < here.\n<tool_call>{CALL}</tool_call>\nDone."
    assert parse("hermes", text, size) == ("Let me look < here.Done.", [("weather", WEATHER)])


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("hermes", "<tool_call>oops</tool_call>"),
        ("hermes", '<tool_call>{"name": "weather"'),
        ("hermes", "a <tool_cal"),
        ("hermes", CALL),
        ("hermes", '<tool_call>{"arguments": [1], "name": "x"}</tool_call>'),
        ("hermes", "<tool_call>{name: 'x', arguments: {}}</tool_call>"),
        ("json", '{"name": "Ann", "age": 3}'),
        ("json", '{"name": "Ann"}'),
        ("json", '{"name": 3, "arguments": {}}'),
        ("json", "[1, 2, 3]"),
        ("json", "Hello {you}"),
        ("json", f"No: {CALL}"),
        ("json", "```json\n[1]\n```"),
        ("llama3", '{"name": "x", "parameters": 3}'),
        ("mistral", "[TOOL_CALLS] none"),
        ("mistral", "[TOOL_CALLS] no such thing{}"),
        ("mistral", "[TOOL_CALLS]weather[ARGS]5"),
        ("mistral", "[TOOL_CALLS]weather[BAD]{}"),
        ("mistral", "[TOOL_CALLS][1, 2]"),
        ("mistral", f"weather[ARGS]{WEATHER}"),
        ("mistral", "  [TOOL"),
        ("json", "  "),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_what_is_no_call_comes_out_as_text(style, text, size):
    assert parse(style, text, size) == (text, [])


def test_a_call_without_arguments_has_an_empty_object():
    assert parse("hermes", '<tool_call>{"name": "now"}</tool_call>') == ("", [("now", "{}")])
    assert parse("hermes", '<tool_call>{"name": "now", "arguments": ""}</tool_call>') == ("", [("now", "{}")])


def test_arguments_in_a_string_are_unpacked():
    text = json.dumps({"name": "weather", "arguments": WEATHER})
    assert parse("json", text) == ("", [("weather", WEATHER)])


def test_arguments_leave_while_they_grow():
    parser = CallParser("hermes", 2, "s")
    _, first = parser.feed('<tool_call>{"name": "f", "arguments": {"a": ')
    assert [(piece.choice, piece.name, piece.arguments_delta) for piece in first] == [(2, "f", ""), (2, None, '{"a": ')]
    _, second = parser.feed("12")
    assert [piece.arguments_delta for piece in second] == ["12"]


def test_a_call_that_breaks_in_the_middle_loses_no_later_text():
    spoken, calls = parse("hermes", '<tool_call>{"name": "f", "arguments": {"a": ]} or so')
    assert calls == [("f", '{"a": ')]
    assert spoken == "]} or so"


@given(st.text(alphabet='<>{}[]`"\\:,; \na_tol|cjsn', max_size=60), st.sampled_from(["hermes", "llama3", "json"]))
def test_cutting_changes_nothing(text, style):
    whole = parse(style, text, 1000)
    assert parse(style, text, 1) == parse(style, text, 3) == whole
    if not whole[1]:
        assert whole[0] == text


MISTRALS = ["[TOOL_CALLS]", "f", "[ARGS]", "[CALL_ID]", "{", "}", '"', "\\", " ", "[", "]", ":", '{"name":"g"}']


@given(st.lists(st.sampled_from(MISTRALS), max_size=14))
def test_cutting_changes_nothing_for_mistral(parts):
    text = "".join(parts)
    whole = parse("mistral", text, 1000)
    assert parse("mistral", text, 1) == parse("mistral", text, 4) == whole
    if not whole[1]:
        assert whole[0] == text


def split(thinking, text, size):
    splitter = ReasoningSplitter(thinking)
    pairs = [splitter.feed(text[start : start + size]) for start in range(0, len(text), size)]
    pairs.append(splitter.flush())
    return "".join(reasoning for reasoning, _ in pairs), "".join(answer for _, answer in pairs)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("is_open", "text", "expected"),
    [
        (False, "<think>\nWell < so.\n</think>\n\nYes.", ("Well < so.\n", "Yes.")),
        (False, "\n<think>a</think>b", ("a", "b")),
        (False, "Yes <think>no</think>", ("", "Yes <think>no</think>")),
        (False, "<thin", ("", "<thin")),
        (False, "\n\nYes", ("", "\n\nYes")),
        (True, "\nWell</think>Yes</think>", ("Well", "Yes</think>")),
        (True, "never ends </thi", ("never ends </thi", "")),
    ],
)
def test_reasoning_is_told_from_the_answer(is_open, text, expected, size):
    assert split(Thinking("<think>", "</think>", is_open), text, size) == expected


def sort(text, size, **more):
    sorter = AnswerSorter(TextGeneration(prompt=TextPrompt("p"), **more), 0, "s")
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    sorted_ = [sorter.take(piece, is_last=number == len(pieces) - 1) for number, piece in enumerate(pieces)]
    return sorted_, sorter.calls


def test_reasoning_text_and_calls_in_one_answer():
    text = f"<think>hm</think>Look:\n<tool_call>{CALL}</tool_call>"
    for size in (1, 2, 5):
        pieces, calls = sort(text, size, thinking=Thinking("<think>", "</think>"), tool_style="hermes")
        assert "".join(piece for piece, part in pieces if part == "reasoning") == "hm"
        assert "".join(piece for piece, part in pieces if part == "answer") == "Look:"
        assert "".join(call.arguments_delta for call in calls) == WEATHER


def test_a_token_with_both_parts_gives_the_second_to_the_next_one():
    pieces, _ = sort("a</think>b" + "." * 10, 10, thinking=Thinking("<think>", "</think>", True))
    assert pieces == [("a", "reasoning"), ("b" + "." * 10, "answer")]
