"""The text and table tasks on the Hugging Face routes: what their bodies ask for, and how answers are written."""

import json
from typing import Any

import pytest

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Finish, FinishReason, Output, Started, Token, Usage
from pronto.core.labels import Label, Labels
from pronto.core.request import ChatPrompt, TextGeneration
from pronto.core.table_work import AskTable, Column, Predictions, PredictRows, TableAnswer, TableAnswers
from pronto.core.tasks import Task
from pronto.core.text_work import (
    Answer,
    AnswerQuestions,
    Answers,
    ClassifyByName,
    ClassifyText,
    ClassifyTokens,
    Converse,
    Entities,
    Entity,
    Filling,
    Fillings,
    FillMasks,
    Question,
    WriteText,
    Writing,
    Written,
)
from pronto.core.vector_work import Rank, Scores
from pronto.wire.base import Call, Raw
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.text_request import Bounds

OLD_HUB, NEW_HUB = "unknown/None; hf_hub/0.24.7; python/3.11", "unknown/None; hf_hub/2.4.0; python/3.11"
JS = "@huggingface/inference/4.13.30"
DIALECT = HfDialect(Bounds(max_new_tokens=500))


def decode(task: Task, body: Any, agent: str = "", own: Task | None = None, kind: str = "application/json") -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"user-agent": agent} | ({"content-type": kind} if kind else {})
    return DIALECT.decode(
        Raw(
            request_id="r",
            route="hf",
            task=task,
            own_task=own or task,
            model="tiny/model",
            headers=headers,
            body=data,
        )
    )


def work(task: Task, body: Any, **more: Any) -> Any:
    return decode(task, body, **more).request.work


def answer(task: Task, body: Any, value: Any, **more: Any) -> Any:
    encoder = DIALECT.encoder(decode(task, body, **more))
    encoder.feed(Started("rev", "pipelines-text", "cpu"))
    encoder.feed(Output(value))
    said = encoder.feed(Done(Usage(3)))
    headers = dict(encoder.headers)
    assert headers[b"content-type"] == b"application/json"
    assert b"x-compute-characters" in headers
    return json.loads(said)


def refused(task: Task, body: Any, **more: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        decode(task, body, **more)
    return caught.value


LABELS = Labels(((Label("a", 0.75), Label("b", 0.25)),))
TWO = Labels(LABELS.rows * 2)
SHOWN = [{"label": "a", "score": 0.75}, {"label": "b", "score": 0.25}]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"inputs": "x"}, ClassifyText(texts=("x",))),
        ({"inputs": 5, "parameters": None, "options": None, "model": "m"}, ClassifyText(texts=("5",))),
        ({"inputs": ["x", 1.5]}, ClassifyText(texts=("x", "1.5"))),
        (
            {"inputs": "x", "parameters": {"top_k": 2, "function_to_apply": "Sigmoid", "unknown": 1}},
            ClassifyText(texts=("x",), top_k=2, function="sigmoid"),
        ),
        ({"inputs": "x", "parameters": {"top_k": None, "truncation": True}}, ClassifyText(texts=("x",), truncate=True)),
        (["x", "y"], ClassifyText(texts=("x", "y"))),
        (b'"x"', ClassifyText(texts=("x",))),
    ],
)
def test_what_is_classified(body: Any, wanted: ClassifyText) -> None:
    assert work(Task.TEXT_CLASSIFICATION, body) == wanted


def test_plain_text_is_an_input() -> None:
    for kind in ("text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded", ""):
        assert work(Task.TEXT_CLASSIFICATION, b"I like it", kind=kind) == ClassifyText(texts=("I like it",))
    assert work(Task.TEXT_CLASSIFICATION, b'{"a": 1}', kind="text/plain").texts == ('{"a": 1}',)
    assert refused(Task.TEXT_CLASSIFICATION, b"I like it")
    assert "UTF-8" in refused(Task.TEXT_CLASSIFICATION, b"\xff\xfe", kind="text/plain").message


def test_labels_are_nested_also_for_one_text() -> None:
    assert answer(Task.TEXT_CLASSIFICATION, {"inputs": "x"}, LABELS) == [SHOWN]
    assert answer(Task.TEXT_CLASSIFICATION, {"inputs": ["x", "y"]}, TWO) == [SHOWN, SHOWN]


NAMED = {"inputs": "x", "parameters": {"candidate_labels": ["a", "b"]}}


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"candidate_labels": ["a", "b"]}, ClassifyByName(texts=("x",), labels=("a", "b"))),
        ({"candidate_labels": "a, b,,a"}, ClassifyByName(texts=("x",), labels=("a", "b"))),
        (
            {"candidate_labels": ["a"], "multi_class": True},
            ClassifyByName(texts=("x",), labels=("a",), multi_label=True),
        ),
        (
            {"candidate_labels": ["a"], "multi_label": False, "hypothesis_template": "Is it {}?"},
            ClassifyByName(texts=("x",), labels=("a",), template="Is it {}?"),
        ),
    ],
)
def test_what_is_classified_by_name(parameters: dict[str, Any], wanted: ClassifyByName) -> None:
    assert work(Task.ZERO_SHOT_CLASSIFICATION, {"inputs": "x", "parameters": parameters}) == wanted


@pytest.mark.parametrize("agent", ["", OLD_HUB, JS, "hf_hub/1.0.1", "python-requests/2.31"])
def test_most_clients_take_labels_by_name_as_one_object(agent: str) -> None:
    legacy = {"sequence": "x", "labels": ["a", "b"], "scores": [0.75, 0.25]}
    assert answer(Task.ZERO_SHOT_CLASSIFICATION, NAMED, LABELS, agent=agent) == legacy
    both = {**NAMED, "inputs": ["x", "y"]}
    assert answer(Task.ZERO_SHOT_CLASSIFICATION, both, TWO, agent=agent) == [legacy, {**legacy, "sequence": "y"}]


@pytest.mark.parametrize("agent", [NEW_HUB, "hf_hub/1.1.0", "hf_hub/10.0.0"])
def test_newer_clients_of_the_hub_take_a_list(agent: str) -> None:
    assert answer(Task.ZERO_SHOT_CLASSIFICATION, NAMED, LABELS, agent=agent) == SHOWN


def test_what_tokens_are_asked_for() -> None:
    assert work(Task.TOKEN_CLASSIFICATION, {"inputs": "x"}) == ClassifyTokens(texts=("x",))
    given = {"aggregation_strategy": "NONE", "ignore_labels": ["O", "B"], "stride": 4}
    assert work(Task.TOKEN_CLASSIFICATION, {"inputs": ["x"], "parameters": given}) == ClassifyTokens(
        texts=("x",), aggregation="none", ignored=("O", "B"), stride=4
    )


def test_entities_have_no_nulls() -> None:
    value = Entities(((Entity("PER", 0.5, "Anna", 3, 7, 2), Entity("LOC", 0.25, "Rome")),))
    assert answer(Task.TOKEN_CLASSIFICATION, {"inputs": "x"}, value) == [
        {"entity_group": "PER", "score": 0.5, "word": "Anna", "start": 3, "end": 7},
        {"entity_group": "LOC", "score": 0.25, "word": "Rome"},
    ]
    body = {"inputs": ["x"], "parameters": {"aggregation_strategy": "none"}}
    [[first, _]] = answer(Task.TOKEN_CLASSIFICATION, body, value)
    assert first == {"entity": "PER", "score": 0.5, "index": 2, "word": "Anna", "start": 3, "end": 7}


def test_masks() -> None:
    assert work(Task.FILL_MASK, {"inputs": "a [MASK]"}) == FillMasks(texts=("a [MASK]",))
    for targets in ("fox", ["fox"]):
        asked = work(Task.FILL_MASK, {"inputs": "x", "parameters": {"top_k": 9, "targets": targets}})
        assert asked == FillMasks(texts=("x",), targets=("fox",), top_k=9)
    filling = Filling(0.5, 7, "fox", "a fox")
    shown = {"score": 0.5, "token": 7, "token_str": "fox", "sequence": "a fox"}
    assert answer(Task.FILL_MASK, {"inputs": "x"}, Fillings((((filling,),),))) == [shown]
    assert answer(Task.FILL_MASK, {"inputs": "x"}, Fillings((((filling,), (filling,)),))) == [[shown], [shown]]
    assert answer(Task.FILL_MASK, {"inputs": ["x"]}, Fillings((((filling,),),))) == [[shown]]


ASKED = AnswerQuestions(questions=(Question("q?", "c"),))


def test_questions_in_all_shapes() -> None:
    for body in (
        {"question": "q?", "context": "c"},
        {"inputs": {"question": "q?", "context": "c"}, "parameters": {}},
        {"inputs": [{"question": "q?", "context": "c"}]},
    ):
        assert work(Task.QUESTION_ANSWERING, body) == ASKED
    given = {
        "top_k": 3,
        "doc_stride": 0,
        "max_answer_len": 4,
        "max_seq_len": 50,
        "max_question_len": 20,
        "handle_impossible_answer": True,
        "align_to_words": False,
    }
    assert work(Task.QUESTION_ANSWERING, {"question": "q?", "context": "c", "parameters": given}) == AnswerQuestions(
        questions=ASKED.questions,
        top_k=3,
        stride=0,
        max_answer=4,
        max_window=50,
        max_question=20,
        may_be_impossible=True,
        whole_words=False,
    )


def test_an_answer_is_an_object_and_several_are_a_list() -> None:
    value = Answers(((Answer("Anna", 0.5, 1, 5),),))
    shown = {"answer": "Anna", "score": 0.5, "start": 1, "end": 5}
    body: dict[str, Any] = {"inputs": {"question": "q?", "context": "c"}}
    assert answer(Task.QUESTION_ANSWERING, body, value) == shown
    assert answer(Task.QUESTION_ANSWERING, {**body, "parameters": {"top_k": 2}}, value) == [shown]
    assert answer(Task.QUESTION_ANSWERING, {"inputs": [body["inputs"]]}, value) == [shown]
    assert answer(Task.QUESTION_ANSWERING, body, Answers(((),)))["answer"] == ""


def test_rankings() -> None:
    bare = {"query": "q", "texts": ["a", "b"], "return_text": True, "raw_scores": True, "truncate": True}
    wrapped = {"inputs": {"query": "q", "texts": ["a", "b"]}, "parameters": {"raw_scores": True, "truncate": True}}
    for body in (bare, wrapped):
        assert work(Task.TEXT_RANKING, body) == Rank(query="q", texts=("a", "b"), raw=True, truncate=True)
    value = Scores((0.25, 0.75))
    assert answer(Task.TEXT_RANKING, bare, value) == [
        {"index": 1, "score": 0.75, "text": "b"},
        {"index": 0, "score": 0.25, "text": "a"},
    ]
    assert answer(Task.TEXT_RANKING, {**wrapped, "parameters": {"top_k": 1}}, value) == [{"index": 1, "score": 0.75}]


def test_what_is_written() -> None:
    assert work(Task.SUMMARIZATION, {"inputs": "x"}) == WriteText(texts=("x",), kind="summarization")
    given = {
        "src_lang": "en",
        "tgt_lang": "fr",
        "clean_up_tokenization_spaces": True,
        "truncation": "only_first",
        "max_length": 20,
        "num_beams": None,
        "generate_parameters": {"num_beams": 2, "seed": 4, "max_length": 30},
    }
    assert work(Task.TRANSLATION, {"inputs": "x", "parameters": given}) == WriteText(
        texts=("x",),
        kind="translation",
        source_language="en",
        target_language="fr",
        tidy_spaces=True,
        truncate=True,
        seed=4,
        writing=Writing(num_beams=2, max_length=30),
    )


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (Task.SUMMARIZATION, "summary_text"),
        (Task.TRANSLATION, "translation_text"),
        (Task.TEXT2TEXT_GENERATION, "generated_text"),
    ],
)
def test_texts_are_a_flat_list_under_the_task_s_own_name(task: Task, name: str) -> None:
    assert answer(task, {"inputs": "x"}, Written((("a",),))) == [{name: "a"}]
    assert answer(task, {"inputs": ["x", "y"]}, Written((("a", "b"), ("c", "d")))) == [{name: t} for t in "abcd"]


TURN = {"text": "And you?", "past_user_inputs": ["Hi"], "generated_responses": ["Hello."]}
SAID = {
    "generated_text": "Fine.",
    "conversation": {"past_user_inputs": ["Hi", "And you?"], "generated_responses": ["Hello.", "Fine."]},
    "warnings": [],
}


@pytest.mark.parametrize("task", [Task.CONVERSATIONAL, Task.TEXT2TEXT_GENERATION])
def test_a_conversation_with_a_text_to_text_model(task: Task) -> None:
    body = {"inputs": TURN, "parameters": {"max_new_tokens": 9}}
    wanted = Converse(text="And you?", asked=("Hi",), answered=("Hello.",), writing=Writing(max_new_tokens=9))
    assert work(task, body) == wanted
    assert answer(task, body, Written((("Fine.",),))) == SAID
    assert work(task, {"inputs": {"text": "Hi"}}) == Converse(text="Hi")


@pytest.mark.parametrize("task", [Task.CONVERSATIONAL, Task.TEXT_GENERATION])
def test_a_conversation_with_a_chat_model(task: Task) -> None:
    call = decode(task, {"inputs": TURN, "parameters": {"temperature": 0.5}}, own=Task.TEXT_GENERATION)
    asked = call.request.work
    assert isinstance(asked, TextGeneration)
    assert isinstance(asked.prompt, ChatPrompt)
    assert [(m.role, m.content) for m in asked.prompt.messages] == [
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "And you?"),
    ]
    assert asked.max_new_tokens == 256
    assert asked.sampling.temperature == 0.5
    encoder = DIALECT.encoder(call)
    encoder.feed(Started("rev", "openvino", "cpu"))
    for text in (" Fi", "ne."):
        encoder.feed(Token(0, 1, text))
    encoder.feed(Token(0, 2, "</s>", special=True))
    encoder.feed(Finish(0, FinishReason.EOS))
    assert json.loads(encoder.feed(Done(Usage(3, 3)))) == SAID


def test_a_text_stays_a_text_for_a_chat_model() -> None:
    for body in ({"inputs": "hello"}, {"inputs": 'say {"text": 1}'}):
        assert decode(Task.TEXT_GENERATION, body).request.work.prompt.text == body["inputs"]


TABLE = {"a": ["1", "2"], "b": ["x", None]}
COLUMNS = (Column("a", ("1", "2")), Column("b", ("x", None)))


def test_questions_about_tables_in_all_shapes() -> None:
    for body in (
        {"query": "q?", "table": TABLE},
        {"inputs": {"query": "q?", "table": TABLE}, "parameters": {}},
        {"inputs": {"question": "q?", "table": TABLE}},
        {"inputs": {"query": "q?", "table": [{"a": "1", "b": "x"}, {"a": "2"}]}},
    ):
        assert work(Task.TABLE_QUESTION_ANSWERING, body) == AskTable(queries=("q?",), table=COLUMNS)
    given = {"sequential": True, "truncation": "do_not_truncate", "padding": "longest"}
    asked = work(Task.TABLE_QUESTION_ANSWERING, {"inputs": {"query": ["q", "r"], "table": TABLE}, "parameters": given})
    assert asked == AskTable(queries=("q", "r"), table=COLUMNS, sequential=True, truncate=False)


def test_answers_from_tables() -> None:
    value = TableAnswers((TableAnswer("SUM > 1", ((0, 0),), ("1",), "SUM"),))
    shown = {"answer": "SUM > 1", "coordinates": [[0, 0]], "cells": ["1"], "aggregator": "SUM"}
    assert answer(Task.TABLE_QUESTION_ANSWERING, {"query": "q", "table": TABLE}, value) == shown
    assert answer(Task.TABLE_QUESTION_ANSWERING, {"query": ["q"], "table": TABLE}, value) == [shown]
    none = answer(Task.TABLE_QUESTION_ANSWERING, {"query": "q", "table": TABLE}, TableAnswers((TableAnswer("1"),)))
    assert none["aggregator"] == "NONE"


def test_rows_in_all_shapes() -> None:
    for body in ({"inputs": {"data": TABLE}}, {"table": TABLE, "parameters": {}}, {"data": TABLE}):
        assert work(Task.TABULAR_CLASSIFICATION, body) == PredictRows(table=COLUMNS)
    value = Predictions((1, "b", (1.5, 2.0)))
    assert answer(Task.TABULAR_REGRESSION, {"table": TABLE}, value) == [1, "b", [1.5, 2.0]]
