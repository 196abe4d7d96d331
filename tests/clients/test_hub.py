"""huggingface_hub, the version of the old service and the newest, unmodified."""

import json

import pytest

PARIS = {"city": "Paris"}


@pytest.fixture(scope="module", params=["0.24.7", "2.4.0"])
def report(request, clients, server):
    variables = {"HF_ENDPOINT": server.url}
    if request.param == "0.24.7":
        variables["HF_INFERENCE_ENDPOINT"] = server.url
    found = clients.report(f"hub-{request.param}", "ask_hub.py", **variables)
    assert found["version"] == request.param
    return found


def is_old(report):
    return report["version"].startswith("0.")


def test_text(report):
    assert report["text"] == "HelloHello"
    assert "".join(report["text_stream"]) == "HelloHello"
    assert report["text_url"] == "Hello"


def test_grammars_hold(report):
    assert set(json.loads(report["grammar"])) == {"ok", "color"}
    assert report["regex"].isdecimal()
    assert len(report["regex"]) == 4


@pytest.mark.parametrize("name", ["chat", "chat_base_url", "chat_url"])
def test_a_conversation(report, name):
    if name == "chat_base_url" and is_old(report):
        pytest.skip("this version sends `tgi` as the model, whatever is asked for")
    answer = report[name]
    assert (answer["text"], answer["role"], answer["tools"]) == ("Hello there", "assistant", [])
    assert answer["reason"] in ("stop", "length")
    assert answer["usage"][2] == answer["usage"][0] + answer["usage"][1]


@pytest.mark.parametrize("name", ["chat_real", "chat_no_model"])
def test_a_conversation_with_a_real_model(report, name):
    assert report[name]["usage"][1] == 8
    assert report[name]["reason"] == "length"


def test_a_streamed_conversation(report):
    assert report["chat_stream"]["text"] == "Hello there"
    assert report["chat_stream"]["reason"] in ("stop", "length")


def test_tools(report):
    answer = report["tools"]
    assert answer["reason"] == "tool_calls"
    [(id, kind, name, arguments)] = answer["tools"]
    assert (kind, name, json.loads(arguments)) == ("function", "get_weather", PARIS)
    assert isinstance(id, str)
    assert id


def test_streamed_tools(report):
    streamed = report["tools_stream"]
    assert (streamed["reason"], streamed["named"]) == ("tool_calls", ["get_weather"])
    assert json.loads(streamed["arguments"]) == PARIS
    assert streamed["text"] == ""


def test_a_shape_is_kept(report):
    assert set(report["shape"]) == {"ok", "color"}


def test_several_answers(report):
    assert report["several"] == 2


@pytest.mark.parametrize("name", ["bad_chat", "bad_role"])
def test_bad_input(report, name):
    assert report.raised(name)["status"] == 422, report.raised(name)


def test_a_bad_token(report):
    assert report.raised("bad_token")["status"] == 401


def test_a_failure_in_the_middle(report):
    assert report.raised("late_failure")["raised"] == "GenerationError"
    if not is_old(report):  # the old version passes over errors in streams of chunks
        assert "fails in the middle" in report.raised("late_failure_chat")["message"]


def test_the_hubs_own_pages(report):
    assert report["whoami"] == {"name": "alice", "isPro": True, "orgs": [], "type": "user"}
    assert report.raised("whoami_bad")["status"] == 401
    assert report["model_info"] == ["test/echo", "text-generation"]
    assert report.raised("model_unknown")["raised"] == "RepositoryNotFoundError"
    assert len(report["models"]) == 3


def test_the_pages_of_an_endpoint(report):
    assert report["info"] == "test/echo"
    assert report["health"] is True
    if is_old(report):
        assert (report["status"]["loaded"], report["status"]["state"]) == (True, "Loaded")
        assert "tiny/llama-chat" in report["deployed"]["text-generation"]


def test_the_asynchronous_client(report):
    assert report["async_chat"]["text"] == "Hello there"
