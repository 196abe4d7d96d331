"""LlamaIndex by its packages for the Hub's and for OpenAI's formats, unmodified."""

import pytest


@pytest.fixture(scope="module", params=["llama-index-hf", "llama-index-openai"])
def report(request, clients):
    return clients.report(request.param, "ask_llama_index.py")


def test_chat(report):
    assert report["chat"] == "Hello there"
    assert report["chat_real"]


def test_stream_chat(report):
    assert report["stream_chat"] == report["deltas"] == "Hello there"


def test_complete(report):
    assert report["complete"] == "HelloHello"
    assert report["stream_complete"] == "HelloHello"


def test_an_unknown_model(report):
    assert report.raised("unknown")["status"] == 404
