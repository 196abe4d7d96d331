"""LlamaIndex by its packages for the Hub's and for OpenAI's formats, unmodified."""

import pytest


@pytest.fixture(scope="module", params=["llama-index-hf", "llama-index-openai"])
def report(request, clients):
    return clients.report(request.param, "ask_llama_index.py")


def are_the_letters_of(text, words):
    """One of the packages cannot switch sampling off, and the echo model then says its letters in another order."""
    return sorted(text) == sorted(words)


def test_chat(report):
    assert are_the_letters_of(report["chat"], "Hello there")
    assert report["chat_real"]


def test_stream_chat(report):
    assert are_the_letters_of(report["stream_chat"], "Hello there")
    assert are_the_letters_of(report["deltas"], "Hello there")


def test_complete(report):
    assert are_the_letters_of(report["complete"], "HelloHello")
    assert are_the_letters_of(report["stream_complete"], "HelloHello")


def test_an_unknown_model(report):
    assert report.raised("unknown")["status"] == 404
