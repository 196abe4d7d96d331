"""text-generation 0.7.0, the client of text-generation-inference, unmodified."""

import json

import pytest


@pytest.fixture(scope="module")
def report(clients):
    return clients.report("text-generation", "ask_text_generation.py")


def test_generate(report):
    assert report["generate"] == ["HelloHello", "length", 10, 10]
    assert report["generate_root"][1:] == ["length", 6, 6]
    assert report["generate_all"][0].startswith("Hello")
    assert report["grammar"].isdecimal()


def test_generate_stream(report):
    assert report["stream"] == ["HelloHello", "HelloHello", 10]


def test_chat(report):
    assert report["chat"][:2] == ["assistant", "Hello there"]
    assert report["chat"][3] == 11
    assert report["chat_root"][3] == 6


def test_chat_stream(report):
    assert report["chat_stream"][0] == "Hello there"
    assert report["chat_stream"][1] in ("stop", "length", "eos_token")


def test_chat_stream_of_the_asynchronous_client(report):
    assert report["chat_stream_async"] == "Hello there"


def test_tools(report):
    name, arguments = report["tools_stream"]
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "Paris"})
    assert report["tools"] == [{"name": "get_weather", "arguments": '{"city":"Paris"}'}]


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        ("bad_value", "ValidationError"),
        ("bad_value_stream", "ValidationError"),
        ("unknown", "NotFoundError"),
        ("failure", "GenerationError"),
        ("late_failure", "GenerationError"),
    ],
)
def test_errors(report, name, raised):
    assert report.raised(name)["raised"] == raised, report.raised(name)


def test_a_missing_token_is_said_so(report):
    assert "token is needed" in report.raised("bad_token")["message"]
