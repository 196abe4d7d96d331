"""@huggingface/inference under node, the version of the old service and the newest, unmodified."""

import json

import pytest


@pytest.fixture(scope="module", params=["2.7.0", "4.13.30"])
def report(request, clients):
    return clients.report(f"js-{request.param}", "ask_inference.mjs", version=request.param)


def is_old(report):
    return report["version"].startswith("2.")


def test_text_generation(report):
    # The Hub's route puts the prompt first unless it is told otherwise; the newer client asks /v1/completions.
    assert report["text"] == ("HelloHelloHello" if is_old(report) else "HelloHello")
    if is_old(report):
        assert report["options"] == "HelloHelloHello"


def test_text_generation_stream(report):
    assert report["textStream"]["text"] == "HelloHello"
    assert report["textStream"]["count"] >= 10


def test_chat_completion(report):
    assert report["chat"]["text"] == "Hello there"
    assert report["chat"]["reason"] in ("stop", "length")
    assert report["chat"]["usage"]["completion_tokens"] >= 1
    assert report["chatReal"] == 6


def test_chat_completion_stream(report):
    assert report["chatStream"] == "Hello there"


def test_tools(report):
    [(name, arguments)] = report["tools"]
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "Paris"})


@pytest.mark.parametrize("name", ["bad", "badChat", "unknown", "badToken"])
def test_errors(report, name):
    error = report.raised(name)
    if not is_old(report):
        assert error["status"] == {"bad": 422, "badChat": 422, "unknown": 404, "badToken": 401}[name], error
        assert error["raised"].endswith("ApiError"), error
    assert "[object Object]" not in error["message"]


@pytest.mark.parametrize("name", ["lateFailure", "lateFailureChat"])
def test_a_failure_in_the_middle(report, name):
    assert "fails in the middle" in report.raised(name)["message"]
