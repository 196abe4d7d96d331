"""LangChain by its two packages for us, and the version of the old service, unmodified."""

import pytest

PARIS = {"city": "Paris"}


@pytest.fixture(scope="module", params=["langchain-hf-0.1.2", "langchain-hf"])
def hub(request, clients, server):
    variables = {"HF_ENDPOINT": server.url} if request.param.endswith("0.1.2") else {}
    return clients.report(request.param, "ask_langchain_hf.py", **variables)


@pytest.fixture(scope="module")
def openai(clients):
    return clients.report("langchain-openai", "ask_langchain_openai.py")


def test_invoke(hub):
    assert len(hub["invoke"]) == 10
    assert set(hub["invoke"]) <= set("Hello")
    assert hub["invoke_real"]
    assert hub["again"] is True
    assert hub["batch"] == [10, 10]


def test_stream(hub):
    assert sum(hub["stream"]) == 10
    assert len(hub["stream"]) > 1


def test_a_stop_string_is_cut_off(hub):
    assert set(hub["stop"]) <= {"a"}


def test_errors(hub):
    assert "max_new_tokens" in hub.raised("bad")["message"]
    # The old one asks who the token belongs to before anything else.
    if hub["version"] == "0.1.2":
        assert hub.raised("bad_token")["raised"] == "ValidationError"
    else:
        assert hub.raised("bad_token")["status"] == 401


def test_a_conversation(hub):
    if hub["version"] == "0.1.2":
        pytest.skip("its ChatHuggingFace needs transformers, and the model's tokenizer from the Hub")
    assert hub["chat"] == hub["chat_stream"] == "Hello there"


def test_tools(hub):
    if hub["version"] == "0.1.2":
        pytest.skip("its ChatHuggingFace needs transformers, and the model's tokenizer from the Hub")
    assert hub["tools"] == [["get_weather", PARIS, True]]
    assert hub["tools_stream"] == [["get_weather", PARIS]]


def test_a_conversation_by_openai(openai):
    assert openai["chat"] == openai["stream"] == openai["responses"] == "Hello there"
    assert openai["usage"] == 11


def test_tools_by_openai(openai):
    assert openai["tools"] == [["get_weather", PARIS, True]]
    assert openai["tools_stream"] == [["get_weather", PARIS]]


@pytest.mark.parametrize("name", ["shape", "shape_tool"])
def test_a_shape_by_openai(openai, name):
    assert set(openai[name]) == {"ok", "color"}


def test_completions_by_openai(openai):
    assert openai["complete"] == openai["complete_stream"] == "HelloHello"


def test_errors_by_openai(openai):
    assert openai.raised("bad")["status"] == 400
    assert openai.raised("unknown")["status"] == 404
