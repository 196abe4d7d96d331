"""Bad bodies of the text and table tasks: each is refused with the name of its field."""

from typing import Any

import pytest

from pronto.core.errors import Unsupported
from pronto.core.tasks import Task
from tests.unit.test_wire_tasks import TABLE, refused

TEXT, BY_NAME, WRITE = Task.TEXT_CLASSIFICATION, Task.ZERO_SHOT_CLASSIFICATION, Task.SUMMARIZATION
BAD: list[tuple[Task, Any, str]] = [
    (TEXT, {}, "inputs"),
    (TEXT, {"inputs": []}, "inputs"),
    (TEXT, {"inputs": ""}, "inputs"),
    (TEXT, {"inputs": ["a", ""]}, "inputs"),
    (TEXT, {"inputs": {"a": 1}}, "inputs"),
    (TEXT, {"inputs": ["a"] * 513}, "inputs"),
    (TEXT, {"inputs": "a", "parameters": {"top_k": 0}}, "top_k"),
    (TEXT, {"inputs": "a", "parameters": {"top_k": "x"}}, "top_k"),
    (TEXT, {"inputs": "a", "parameters": {"top_k": 10**12}}, "top_k"),
    (TEXT, {"inputs": "a", "parameters": {"function_to_apply": "tanh"}}, "function_to_apply"),
    (TEXT, {"inputs": "a", "parameters": {"truncation": "some"}}, "truncation"),
    (TEXT, {"inputs": "a", "parameters": []}, "parameters"),
    (BY_NAME, {"inputs": "a"}, "candidate_labels"),
    (BY_NAME, {"inputs": "a", "parameters": {"candidate_labels": []}}, "candidate_labels"),
    (BY_NAME, {"inputs": "a", "parameters": {"candidate_labels": " , "}}, "candidate_labels"),
    (BY_NAME, {"inputs": "a", "parameters": {"candidate_labels": [str(n) for n in range(200)]}}, "candidate_labels"),
    (
        BY_NAME,
        {"inputs": ["a"] * 500, "parameters": {"candidate_labels": ["a", *list("bcdefghij")]}},
        "candidate_labels",
    ),
    (
        BY_NAME,
        {"inputs": "a", "parameters": {"candidate_labels": ["b"], "hypothesis_template": "x"}},
        "hypothesis_template",
    ),
    (Task.TOKEN_CLASSIFICATION, {"inputs": "a", "parameters": {"aggregation_strategy": "all"}}, "aggregation_strategy"),
    (Task.TOKEN_CLASSIFICATION, {"inputs": "a", "parameters": {"stride": -1}}, "stride"),
    (Task.FILL_MASK, {"inputs": "a", "parameters": {"top_k": 5000}}, "top_k"),
    (Task.FILL_MASK, {"inputs": "a", "parameters": {"targets": []}}, "targets"),
    (Task.FILL_MASK, {"inputs": "a", "parameters": {"targets": ["a", ""]}}, "targets"),
    (Task.QUESTION_ANSWERING, {"inputs": "a"}, "inputs"),
    (Task.QUESTION_ANSWERING, {"context": "a"}, "question"),
    (Task.QUESTION_ANSWERING, {"question": "a", "context": "  "}, "context"),
    (Task.QUESTION_ANSWERING, {"inputs": []}, "inputs"),
    (Task.QUESTION_ANSWERING, {"question": "a", "context": "b", "parameters": {"top_k": -1}}, "top_k"),
    (Task.QUESTION_ANSWERING, {"question": "a", "context": "b", "parameters": {"max_seq_len": 0}}, "max_seq_len"),
    (Task.TEXT_RANKING, {"texts": ["a"]}, "query"),
    (Task.TEXT_RANKING, {"query": "a"}, "texts"),
    (Task.TEXT_RANKING, {"query": "a", "texts": []}, "texts"),
    (WRITE, {"inputs": "a", "stream": True}, "stream"),
    (WRITE, {"inputs": "a", "parameters": {"stop": ["x"]}}, "stop"),
    (WRITE, {"inputs": "a", "parameters": {"details": True, "stop": []}}, "details"),
    (WRITE, {"inputs": "a", "parameters": {"max_length": 501}}, "max_length"),
    (WRITE, {"inputs": "a", "parameters": {"min_length": 30, "max_length": 20}}, "min_length"),
    (WRITE, {"inputs": "a", "parameters": {"temperature": -1}}, "temperature"),
    (WRITE, {"inputs": "a", "parameters": {"top_p": 0}}, "top_p"),
    (WRITE, {"inputs": "a", "parameters": {"num_beams": 1000}}, "num_beams"),
    (WRITE, {"inputs": "a", "parameters": {"max_time": 10**9}}, "max_time"),
    (WRITE, {"inputs": "a", "parameters": {"seed": -1}}, "seed"),
    (WRITE, {"inputs": "a", "parameters": {"generate_parameters": {"num_beams": "x"}}}, "num_beams"),
    (WRITE, {"inputs": "a", "parameters": {"generate_parameters": {"beams": 2}}}, "beams"),
    (WRITE, {"inputs": "a", "parameters": {"generate_parameters": {"max_new_tokens": 10**7}}}, "max_new_tokens"),
    (WRITE, b'{"inputs": "a", "parameters": {"temperature": 1e999}}', "temperature"),
    (Task.CONVERSATIONAL, {"inputs": {"text": ""}}, "text"),
    (Task.CONVERSATIONAL, {"inputs": {"text": "a", "past_user_inputs": ["b"]}}, "past_user_inputs"),
    (Task.CONVERSATIONAL, {"inputs": "a"}, "inputs"),
    (Task.TABLE_QUESTION_ANSWERING, {"query": "a"}, "table"),
    (Task.TABLE_QUESTION_ANSWERING, {"table": TABLE}, "query"),
    (Task.TABLE_QUESTION_ANSWERING, {"query": "a", "table": {}}, "table"),
    (Task.TABLE_QUESTION_ANSWERING, {"query": "a", "table": {"a": [], "b": []}}, "table"),
    (Task.TABLE_QUESTION_ANSWERING, {"query": "a", "table": {"a": ["1"], "b": []}}, "table"),
    (Task.TABLE_QUESTION_ANSWERING, {"query": "a", "table": {"a": [["1"]]}}, "table"),
    (Task.TABULAR_REGRESSION, {}, "inputs"),
    (Task.TABULAR_REGRESSION, {"inputs": {"data": {"a": [1], "b": [1, 2]}}}, "inputs"),
    (Task.TABULAR_REGRESSION, {"table": [{str(n): n} for n in range(1000)]}, "table"),
    (Task.TABULAR_REGRESSION, {"table": {"a": [0] * 100_001}}, "table"),
]


@pytest.mark.parametrize(("task", "body", "param"), BAD)
def test_bad_bodies_name_their_field(task: Task, body: Any, param: str) -> None:
    error = refused(task, body)
    assert error.param is not None
    assert param in (error.param, error.param.split(".")[-1], error.param.split("[")[0])
    assert param in error.message
    assert len(error.message) < 700


def test_a_parameter_that_is_unknown_where_names_matter_is_told_what_is_known() -> None:
    error = refused(WRITE, {"inputs": "a", "parameters": {"generate_parameters": {"beams": 2}}})
    assert isinstance(error, Unsupported)
    assert "num_beams" in error.message


def test_a_task_without_a_format_is_not_served() -> None:
    assert "not served" in refused(Task.PREPARE, {"inputs": "a"}).message
