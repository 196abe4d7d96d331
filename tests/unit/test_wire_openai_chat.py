"""Conversations as they come, to what is asked."""

import pytest

from pronto.core.errors import InvalidInput
from pronto.core.request import CalledTool, Grammar, Message, Tool
from tests.unit.openai_cases import CHAT, HELLO, TOOL, chat, prompt, raw, work


def test_defaults() -> None:
    call = chat()
    asked = work(call)
    assert prompt(call).messages == (Message(role="user", content="Hello"),)
    assert (asked.max_new_tokens, asked.choices, asked.keep_stop) == (None, 1, False)
    assert asked.sampling.do_sample
    assert asked.unset == ("temperature", "top_p", "top_k")
    assert call.request.options.cache_sampled is False
    assert call.reply.id == "chatcmpl-r1"


def test_nulls_and_unknown_keys_change_nothing() -> None:
    names = ["logprobs", "max_tokens", "n", "stop", "stream", "temperature", "tools", "tool_choice", "seed", "user"]
    call = chat(**dict.fromkeys(names), frobnicate=[1], metadata={"a": "b"})
    assert call.request == chat().request


def test_parameters() -> None:
    asked = work(
        chat(temperature=0.5, top_p=0.9, seed=-1, stop="x", n=2, max_tokens=3, max_completion_tokens=5, logprobs=True)
    )
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.seed) == (0.5, 0.9, 2**63 - 1)
    assert (asked.stop, asked.choices, asked.max_new_tokens, asked.logprobs) == (("x",), 2, 5, True)
    assert asked.unset == ("top_k",)


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"temperature": 1e-9}, {"top_p": 0}])
def test_greedy(fields: dict[str, object]) -> None:
    asked = work(chat(seed=3, **fields))
    assert (asked.sampling.do_sample, asked.sampling.seed, asked.unset) == (False, None, ())


def test_parts_and_roles() -> None:
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": 0, "type": "function", "function": {"name": "f", "arguments": {"x": 1}}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": '{"y": 2}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "sunny"},
        {"role": "assistant", "content": "", "function_call": {"name": "h", "arguments": "{}"}},
        {"role": "function", "name": "h", "content": "done"},
    ]
    assert prompt(chat(messages=messages)).messages == (
        Message(role="system", content="Be kind."),
        Message(role="user", content="ab"),
        Message(
            role="assistant",
            tool_calls=(
                CalledTool(id="0", name="f", arguments='{"x":1}'),
                CalledTool(id="c2", name="g", arguments='{"y": 2}'),
            ),
        ),
        Message(role="tool", content="sunny", tool_call_id="c2"),
        Message(role="assistant", tool_calls=(CalledTool(id="call_0", name="h", arguments="{}"),)),
        Message(role="tool", content="done", name="h"),
    )


@pytest.mark.parametrize(
    ("choice", "kind", "name"),
    [
        ("auto", "auto", None),
        ("none", "none", None),
        ("required", "required", None),
        ({"type": "function", "function": {"name": "weather"}}, "named", "weather"),
        ({"function": {"name": "weather"}}, "named", "weather"),
        ("weather", "named", "weather"),
        (None, "auto", None),
    ],
)
def test_tools(choice: object, kind: str, name: str | None) -> None:
    asked = prompt(chat(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False))
    assert asked.tools == (Tool(name="weather", parameters='{"type":"object","properties":{}}'),)
    assert (asked.tool_choice, asked.tool_name, asked.parallel_tools) == (kind, name, False)


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
AS_TEXT = '{"type":"object","properties":{"a":{"type":"string"}}}'


@pytest.mark.parametrize(
    ("format", "grammar"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Grammar("json_schema", '{"type":"object"}')),
        ({"type": "json_object", "value": SCHEMA}, Grammar("json_schema", AS_TEXT)),
        ({"type": "json", "value": SCHEMA}, Grammar("json_schema", AS_TEXT)),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, Grammar("json_schema", AS_TEXT)),
        ({"type": "regex", "value": "[0-9]+"}, Grammar("regex", "[0-9]+")),
    ],
)
def test_shapes(format: object, grammar: Grammar | None) -> None:
    assert work(chat(response_format=format)).grammar == grammar


def deep(levels: int) -> object:
    return {} if not levels else {"items": deep(levels - 1)}


def image(url: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"messages": []}, "messages", "at least one message"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages", "'wizard'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "without its `image_url`"),
        ({"messages": [{"role": "user", "content": [image("ftp://x")]}]}, "messages", "no URL"),
        ({"messages": [{"role": "user", "content": [image("data:image/png;base64,?")]}]}, "messages", "base64"),
        ({"messages": [{"role": "user", "content": [image("data:image/png;base64,")]}]}, "messages", "is empty"),
        ({"messages": [{"role": "system", "content": [image("data:;base64,AAAA")]}]}, "messages", "takes text only"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages", "takes text only"),
        ({"messages": "Hello"}, "messages", "expected a list"),
        ({"temperature": -3}, "temperature", ">= 0"),
        ({"top_p": 1.5}, "top_p", "<= 1"),
        ({"frequency_penalty": 3}, "frequency_penalty", "<= 2"),
        ({"presence_penalty": -3}, "presence_penalty", ">= -2"),
        ({"max_tokens": 0}, "max_tokens", "strictly positive"),
        ({"max_completion_tokens": 100_000}, "max_completion_tokens", "<= 512"),
        ({"n": 3}, "n", "<= 2"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "up to 4"),
        ({"stop": "x" * 257}, "stop", "256"),
        ({"logit_bias": {"5": 1}}, "logit_bias", "not supported"),
        ({"top_logprobs": 2}, "top_logprobs", "needs `logprobs`"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "<= 5"),
        ({"functions": [{}]}, "functions", "`tools`"),
        ({"tool_prompt": "x"}, "tool_prompt", "template"),
        ({"modalities": ["text", "audio"]}, "modalities", "text only"),
        ({"tools": [{"type": "function", "function": {"name": "bad name!"}}]}, "tools", "'bad name!'"),
        ({"tools": [{"type": "web_search"}]}, "tools", "'web_search'"),
        ({"tools": [TOOL, TOOL]}, "tools", "its own name"),
        ({"tools": [TOOL] * 129}, "tools", "at most 128"),
        ({"tool_choice": "required"}, "tool_choice", "has none"),
        ({"tools": [TOOL], "tool_choice": "other"}, "tool_choice", "in `tools`"),
        ({"response_format": {"type": "xml"}}, "response_format", "json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "needs"),
        ({"response_format": {"type": "json", "value": 3}}, "response_format", "an object"),
        ({"response_format": {"type": "json", "value": deep(40)}}, "response_format", "nested"),
        ({"response_format": {"type": "json", "value": {"x": "x" * 20_000}}}, "response_format", "bytes"),
        ({"response_format": {"type": "regex", "value": 3}}, "response_format", "a string"),
        ({"seed": 2**63}, "seed", "<="),
    ],
)
def test_refusals_name_the_field(fields: dict[str, object], param: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        chat(**fields)
    assert caught.value.param == param
    assert words in caught.value.message


@pytest.mark.parametrize("name", [None, "", "tgi", "dummy", "http://host/v1", "https://host"])
def test_junk_means_the_default(name: str | None) -> None:
    call = CHAT.decode(raw({"messages": HELLO, "model": name}, model="default", named=False))
    assert call.request.model == call.reply.model == "default"


def test_the_path_wins_and_else_the_body() -> None:
    body = {"messages": HELLO, "model": "mine"}
    assert CHAT.decode(raw(body)).request.model == "org/name"
    assert CHAT.decode(raw(body, named=False)).request.model == "mine"
    assert CHAT.decode(raw(body, model="", named=False)).request.model == "mine"
    with pytest.raises(InvalidInput, match="no default model"):
        CHAT.decode(raw({"messages": HELLO}, model="", named=False))


def test_a_sampled_answer_is_kept_on_demand() -> None:
    assert chat({"x-use-cache": "1"}).request.options.use_cache is True
    assert chat().request.options.use_cache is None
