"""openai, the newest, unmodified: also with its strict check of each answer."""

import json

import pytest

PARIS = {"city": "Paris"}


@pytest.fixture(scope="module")
def report(clients):
    return clients.report("openai", "ask_openai.py")


def test_models(report):
    assert ["test/echo", "model"] in report["models"]
    assert report["model"] == "tiny/llama-chat"


@pytest.mark.parametrize("name", ["chat", "chat_of_model"])
def test_a_conversation(report, name):
    assert report[name]["text"] == "Hello there"
    assert report[name]["reason"] in ("stop", "length")
    assert report[name]["id"]


def test_a_conversation_with_a_real_model(report):
    answer = report["chat_real"]
    assert answer["reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 8


def test_a_stream(report):
    assert report["stream"]["text"] == "Hello there"
    assert report["stream"]["reason"] in ("stop", "length")
    assert report["stream"]["usage"] is None
    assert report["stream_usage"]["usage"] > 11


def test_several_and_stopped(report):
    assert report["several"] == [0, 1]
    assert (report["stopped"]["text"], report["stopped"]["reason"]) == ("Hello ", "stop")


def test_tools(report):
    answer = report["tools"]
    [(id, name, arguments)] = answer["tools"]
    assert (answer["reason"], name, json.loads(arguments)) == ("tool_calls", "get_weather", PARIS)
    assert id
    streamed = report["tools_stream"]
    assert (streamed["reason"], streamed["names"], streamed["text"]) == ("tool_calls", ["get_weather"], "")
    assert json.loads(streamed["arguments"]) == PARIS


@pytest.mark.parametrize("name", ["tools_forced", "tools_named"])
def test_a_tool_is_called_when_it_must_be(report, name):
    [(_, tool, arguments)] = report[name]["tools"]
    assert tool == "get_weather"
    assert isinstance(json.loads(arguments)["city"], str)
    assert report[name]["reason"] == "tool_calls"


def test_no_tool_is_called_when_none_may_be(report):
    assert report["tools_off"]["tools"] == []
    assert "get_weather" in report["tools_off"]["text"]


def test_a_tools_answer_goes_back(report):
    assert report["after_a_tool"]["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize("name", ["parse", "respond_parsed"])
def test_a_shape_is_kept(report, name):
    assert set(report[name]) == {"ok", "color"}


def test_any_json(report):
    reason, text = report["json_object"]
    # A random model may go on to the limit, but what it wrote is the beginning of an object.
    assert text.lstrip().startswith("{")
    assert reason == "length" or isinstance(json.loads(text), dict)


def test_completions(report):
    assert report["complete"] == [["HelloHello", 0, "length"]]
    assert report["complete_list"] == [["abab", 0, "length"], ["cdcd", 1, "length"]]
    assert report["complete_stream"] == "HelloHello"
    assert report["complete_infill"][0][2] == "length"
    assert "<EOT>" not in report["complete_infill"][0][0]


def test_logprobs(report):
    assert report["logprobs"] == [True, True, True]


def test_responses(report):
    assert report["respond"][0] == "Hello there"
    assert report["respond"][1] in ("completed", "incomplete")
    assert report["respond"][2] == "response"
    assert report["respond_tool"] == [["function_call", "get_weather", report["respond_tool"][0][2]]]
    assert json.loads(report["respond_tool"][0][2]) == PARIS


def test_a_stream_of_a_response(report):
    streamed = report["respond_stream"]
    assert streamed["types"][0] == "response.created"
    assert streamed["types"][-1] in ("response.completed", "response.incomplete")
    assert streamed["text"] == streamed["final"] == "Hello there"
    assert streamed["is_numbered"]


def test_a_response_is_kept_and_forgotten(report):
    assert report["respond_twice"] == {"previous": True, "same": True}
    assert report.raised("respond_forgotten")["raised"] == "NotFoundError"


@pytest.mark.parametrize(
    ("name", "raised", "status", "param"),
    [
        ("bad_value", "BadRequestError", 400, "temperature"),
        ("bad_role", "BadRequestError", 400, "messages"),
        ("bad_tools", "BadRequestError", 400, "tools"),
        ("bad_schema", "BadRequestError", 400, "response_format"),
        ("image", "BadRequestError", 400, "messages"),
        ("too_long", "BadRequestError", 400, None),
        ("unknown", "NotFoundError", 404, None),
        ("unknown_model", "NotFoundError", 404, None),
        ("bad_token", "AuthenticationError", 401, None),
        ("bad_token_chat", "AuthenticationError", 401, None),
    ],
)
def test_errors(report, name, raised, status, param):
    error = report.raised(name)
    assert (error["raised"], error["status"]) == (raised, status), error
    assert error["request_id"]
    assert error["body"]["message"], error
    if param is not None:
        assert (error["param"] or "").startswith(param), error


def test_a_failure_of_the_engine_is_not_tried_again(report):
    error = report.raised("failure")
    assert error["headers"]["x-should-retry"] == "false", error
    assert "fails in the middle" in report.raised("late_failure")["message"]
    assert report.raised("late_failure")["raised"] == "APIError"


def test_a_full_server_says_when_to_come_back(clients, busy_server):
    full = clients.report("openai", "ask_openai_busy.py", at=busy_server)
    error = full.raised("full")
    assert (error["raised"], error["status"]) == ("InternalServerError", 503), error
    assert 0 < float(error["headers"]["retry-after"]) <= 120
    assert error["headers"]["x-should-retry"] == "true"
    assert len(full["patient"]) == 4
