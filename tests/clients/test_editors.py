"""What llm-ls (the editors' language server) and chat-ui send, as they send it, and what they read of the answer."""

import json

import pytest

from tests.clients.conftest import CHAT, ECHO
from tests.e2e.http import frames, get, post

LLM_LS = {"user_agent": "llm-ls/0.5.3; rust/unknown; ide/VSCode"}
DEFAULTS = {"parameters": {"max_new_tokens": 6, "temperature": 0.2, "top_p": 0.95}}
# llm-ls fills its holes itself, and sends the outcome as a plain prompt.
INFILL = "▁<PRE>def add(a, b):\n    ▁<SUF>\n    return c▁<MID>"


@pytest.fixture
def ask(server):
    def ask(path, body, **headers):
        status, got, text = post(server.url, path, body, server.token, **(headers or LLM_LS))
        assert got["content-type"].startswith("application/json"), text
        return status, json.loads(text)

    return ask


def test_llm_ls_with_the_hub(ask):
    parameters = DEFAULTS["parameters"] | {"return_full_text": False}
    status, answer = ask(f"/models/{CHAT}", {"inputs": INFILL, "parameters": parameters})
    assert status == 200, answer
    assert isinstance(answer[0]["generated_text"], str)
    assert not answer[0]["generated_text"].startswith(INFILL)


def test_llm_ls_without_a_request_body_of_its_own_nests_the_parameters(ask):
    status, answer = ask(f"/models/{ECHO}", {"inputs": "ab", "parameters": {"parameters": {"return_full_text": False}}})
    assert status == 200, answer
    assert isinstance(answer[0]["generated_text"], str)


def test_llm_ls_with_text_generation_inference(ask):
    parameters = DEFAULTS["parameters"] | {"return_full_text": False}
    status, answer = ask("/generate", {"inputs": INFILL, "parameters": parameters})
    assert status == 200, answer
    assert isinstance(answer["generated_text"], str)


@pytest.mark.parametrize("path", ["/v1/completions", f"/models/{ECHO}/v1/completions"])
def test_llm_ls_with_openai_or_llamacpp(ask, path):
    status, answer = ask(path, {**DEFAULTS, "prompt": "def add", "model": ECHO, "stream": False, "max_tokens": 6})
    assert status == 200, answer
    assert len(answer["choices"][0]["text"]) == 6


def test_llm_ls_with_ollama(ask):
    status, answer = ask("/api/generate", {**DEFAULTS, "prompt": "def add", "model": ECHO, "stream": False})
    assert status == 200, answer
    assert isinstance(answer["response"], str)
    assert answer["response"]


@pytest.mark.parametrize("path", ["/models/no/such", "/models/no/such/generate"])
def test_llm_ls_reads_errors_as_sentences(ask, path):
    status, answer = ask(path, {"inputs": "x"})
    assert status == 404
    assert isinstance(answer["error"], str)


def test_ollamas_error_is_a_sentence_too(ask):
    status, answer = ask("/api/generate", {"prompt": "x", "model": "no/such", "stream": False})
    assert status == 404
    assert isinstance(answer["error"], str)


def test_chat_ui_0_9_4_with_tgi(server):
    body = {
        "parameters": {
            "temperature": 0.1,
            "top_p": 0.95,
            "repetition_penalty": 1.2,
            "top_k": 50,
            "truncate": 200,
            "max_new_tokens": 8,
            "stop": ["</s>"],
            "return_full_text": False,
        },
        "inputs": "<|user|>\nHello</s>\n<|assistant|>\n",
        "stream": True,
    }
    status, headers, text = post(server.url, f"/models/{CHAT}", body, server.token, X_Use_Cache="false")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    sent = frames(text)
    assert all(isinstance(frame["token"]["special"], bool) for frame in sent)
    assert isinstance(sent[-1]["generated_text"], str)
    assert all(frame["generated_text"] is None for frame in sent[:-1])


def test_chat_ui_today_lists_models(server):
    _, text = get(server.url, "/v1/models", Authorization=f"Bearer {server.token}")
    listed = json.loads(text)["data"]
    assert ECHO in [model["id"] for model in listed]
    for model in listed:
        providers = model.get("providers") or []
        assert all(provider.get("context_length") != 0 for provider in providers)


@pytest.mark.parametrize("model", [ECHO, f"{ECHO}:hf-inference"])
def test_chat_ui_today_talks(server, model):
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Hello there"}],
        "stream": True,
        "max_tokens": 11,
        "stop": [],
        "temperature": 0,
        "top_p": 0.95,
        "frequency_penalty": 0,
        "presence_penalty": 0,
    }
    headers = {"X_use_cache": "false", "ChatUI_Conversation_ID": "c1", "user_agent": "OpenAI/JS 4.44.0"}
    status, got, text = post(server.url, "/v1/chat/completions", body, server.token, **headers)
    assert (status, got["content-type"].partition(";")[0]) == (200, "text/event-stream"), text
    lines = [line for line in text.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line[5:]) for line in lines[:-1] if line.startswith("data:")]
    assert (
        "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
        == "Hello there"
    )


def test_chat_ui_0_9_5_sends_its_text_in_parts(ask):
    body = {
        "model": ECHO,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello there"}]}],
        "max_tokens": 11,
        "temperature": 0,
        "toolResults": [],
    }
    status, answer = ask("/v1/chat/completions", body)
    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"] == "Hello there"
