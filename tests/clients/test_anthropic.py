"""anthropic, the newest, unmodified: also with its strict check of each answer."""

import pytest

PARIS = {"city": "Paris"}


@pytest.fixture(scope="module")
def report(clients):
    return clients.report("anthropic", "ask_anthropic.py")


@pytest.mark.parametrize("name", ["plain", "parts", "bearer", "stream"])
def test_a_message(report, name):
    answer = report[name]
    assert answer["text"] == "Hello there"
    assert answer["reason"] in ("end_turn", "max_tokens")
    assert answer["kind"] == ["message", "assistant", "test/echo", True]


def test_a_message_of_a_real_model(report):
    assert report["real"]["reason"] == "max_tokens"
    assert report["real"]["usage"][1] == 8
    assert report["sampled"]["usage"][1] <= 5


def test_a_stream(report):
    assert report["stream"]["said"] == "Hello there"
    types = report["raw_stream"]
    assert types[:2] == ["message_start", "content_block_start"]
    assert types[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(types[2:-3]) <= {"content_block_delta", "ping"}


def test_a_stop_sequence(report):
    assert report["stopped"]["text"] == "Hello "
    assert (report["stopped"]["reason"], report["stopped"]["sequence"]) == ("stop_sequence", "the")


@pytest.mark.parametrize("name", ["tools", "tools_stream"])
def test_tools(report, name):
    [(id, tool, given)] = report[name]["tools"]
    assert (report[name]["reason"], tool, given) == ("tool_use", "get_weather", PARIS)
    assert id
    assert report[name]["text"] == ""


@pytest.mark.parametrize("name", ["tools_any", "tools_named"])
def test_a_tool_is_called_when_it_must_be(report, name):
    calls = report[name]["tools"]
    # `any` allows several at once, and what is sampled may make use of that; a named one is called once.
    assert len(calls) == 1 or (name == "tools_any" and calls)
    for _, tool, given in calls:
        assert tool == "get_weather"
        assert given["city"] in ("Paris", "Rome")
    assert report[name]["reason"] == "tool_use"


def test_a_tools_answer_goes_back(report):
    assert report["after_a_tool"]["usage"][1] == 4


def test_counting(report):
    assert report["count"] == report["counted"] > 3


def test_models(report):
    assert "tiny/llama-chat" in [id for id, kind, _ in report["models"] if kind == "model"]
    assert report["model"] == "tiny/llama-chat"


@pytest.mark.parametrize(
    ("name", "raised", "status"),
    [
        ("bad_value", "BadRequestError", 400),
        ("bad_role", "BadRequestError", 400),
        ("empty", "BadRequestError", 400),
        ("image", "BadRequestError", 400),
        ("unknown", "NotFoundError", 404),
        ("bad_token", "AuthenticationError", 401),
    ],
)
def test_errors(report, name, raised, status):
    error = report.raised(name)
    assert (error["raised"], error["status"]) == (raised, status), error
    assert error["body"]["type"] == "error"
    assert error["body"]["error"]["message"]


def test_a_failure_in_the_middle(report):
    assert "fails in the middle" in report.raised("late_failure")["message"]
