"""Anthropic's format, byte by byte: what is read, whole answers, streams and errors."""

import contextlib
import json
import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronto.core import errors
from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.events import Done, Event, Finish, FinishReason, Output, Piece, Token, Tokenized, ToolCall, Usage
from pronto.core.request import CalledTool, ChatPrompt, Message, TextGeneration, Tokenize
from pronto.wire.anthropic.dialect import AnthropicDialect
from pronto.wire.base import Call
from pronto.wire.faults import HttpFault
from tests.unit.wire_cases import BOUNDS, answer, raw, started, token

DIALECT = AnthropicDialect(BOUNDS)
HELLO = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
WEATHER = {"name": "weather", "description": "of a city", "input_schema": {"type": "object", "properties": {}}}


def decode(route: str = "anthropic-messages", **fields: object) -> Call:
    return DIALECT.decode(raw({**HELLO, **fields}, route))


def work(**fields: object) -> TextGeneration:
    asked = decode(**fields).request.work
    assert isinstance(asked, TextGeneration)
    return asked


def prompt(**fields: object) -> ChatPrompt:
    asked = work(**fields).prompt
    assert isinstance(asked, ChatPrompt)
    return asked


def written(events: list[Event], route: str = "anthropic-messages", **fields: object) -> bytes:
    encoder = DIALECT.encoder(decode(route, **fields))
    return b"".join(encoder.feed(event) for event in events)


def with_tool(*arguments: str, reason: FinishReason = FinishReason.EOS) -> list[Event]:
    calls = [ToolCall(0, 0, "c1", "weather", ""), *(ToolCall(0, 0, "c1", None, text) for text in arguments)]
    return [started(), token("Let me see."), *calls, token(""), Finish(0, reason), Done(Usage(3, 9))]


def test_a_plain_request() -> None:
    call = decode()
    assert (call.request.model, call.request.options.cache_sampled) == ("m", False)
    asked = work()
    assert asked.prompt == ChatPrompt(messages=(Message(role="user", content="Hi"),))
    assert (asked.max_new_tokens, asked.keep_stop, asked.stop) == (5, False, ())
    assert asked.sampling.do_sample
    assert asked.unset == ("temperature", "top_p", "top_k")


def test_sampling() -> None:
    asked = work(temperature=0.5, top_k=7, stop_sequences=["END", "", "END"])
    assert (asked.sampling.temperature, asked.sampling.top_k, asked.unset) == (0.5, 7, ("top_p",))
    assert asked.stop == ("END",)
    greedy = work(temperature=0, top_p=0.9)
    assert (greedy.sampling.do_sample, greedy.unset) == (False, ())


def test_unknown_keys_and_nulls_are_passed_over() -> None:
    assert work(metadata={"user_id": "u"}, thinking={"type": "disabled"}, top_p=None, system=None, x=1) == work()


def test_a_conversation_with_tools() -> None:
    turns = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {}}],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "ok"},
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bonn"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}]},
                {"type": "tool_result", "tool_use_id": "c2", "content": "lost", "is_error": True},
                {"type": "text", "text": "and?"},
            ],
        },
        {"role": "user", "content": "again"},
    ]
    asked = prompt(messages=turns, system=[{"type": "text", "text": "Be kind."}], tools=[WEATHER])
    assert asked.messages == (
        Message(role="system", content="Be kind."),
        Message(role="user", content="a\nb"),
        Message(
            role="assistant",
            content="ok",
            tool_calls=(CalledTool(id="c1", name="weather", arguments='{"city":"Bonn"}'),),
        ),
        Message(role="tool", content="rain", tool_call_id="c1"),
        Message(role="tool", content="Error: lost", tool_call_id="c2"),
        Message(role="user", content="and?\nagain"),
    )
    assert [(tool.name, tool.description) for tool in asked.tools] == [("weather", "of a city")]


@pytest.mark.parametrize(
    ("choice", "kind", "name"),
    [("auto", "auto", None), ("any", "required", None), ("none", "none", None), ("tool", "named", "weather")],
)
def test_the_choice_of_a_tool(choice: str, kind: str, name: str | None) -> None:
    chosen = {"type": choice, "disable_parallel_tool_use": True} | ({"name": name} if name else {})
    asked = prompt(tools=[WEATHER], tool_choice=chosen)
    assert (asked.tool_choice, asked.tool_name, asked.parallel_tools) == (kind, name, False)


def test_a_shape_that_the_answer_must_have() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    grammar = work(output_config={"format": {"type": "json_schema", "schema": schema}}).grammar
    assert grammar is not None
    assert json.loads(grammar.value) == schema


def image(**source: str) -> dict[str, object]:
    return {"type": "image", "source": source}


IMAGE = [{"role": "user", "content": [image(type="file")]}]


def test_images_stand_where_they_are_between_blocks_of_text() -> None:
    inline = image(type="base64", media_type="image/png", data="AAAA")
    far = image(type="url", url="https://example.org/a.png")
    blocks = [inline, {"type": "text", "text": "what"}, far, {"type": "text", "text": "else"}]
    prompt = work(messages=[{"role": "user", "content": blocks}]).prompt
    assert isinstance(prompt, ChatPrompt)
    (message,) = prompt.messages
    assert message.content == "what\nelse"
    assert [(picture.at, picture.media.url) for picture in message.pictures] == [(0, ""), (4, far["source"]["url"])]


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"max_tokens": None}, "max_tokens: expected an integer"),
        ({"max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
        ({"max_tokens": 513}, "max_tokens: 513 > 512, which is the maximum"),
        ({"messages": []}, "messages: between 1"),
        ({"messages": IMAGE}, "messages.0.content.0.source: must be of the type `base64`"),
        ({"messages": [{"role": "system", "content": "x"}]}, "messages.0.role: must be `user` or `assistant`"),
        ({"messages": [{"role": "user", "content": [{"type": "odd"}]}]}, "a block of type 'odd' cannot stand here"),
        ({"temperature": 1.5}, "temperature: must be between 0 and 1"),
        ({"top_p": 0}, "top_p: must be greater than 0"),
        ({"top_k": -1}, "top_k: must be between"),
        ({"stop_sequences": list("abcde")}, "stop_sequences: at most 4"),
        ({"stop_sequences": ["a" * 300]}, "stop_sequences: may have up to"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "`web_search_20250305` is a tool of"),
        ({"tools": [WEATHER, WEATHER]}, "two tools are called `weather`"),
        ({"tools": [{"name": "a b"}]}, "a tool's name has"),
        ({"tools": [{"name": "a", "input_schema": [1]}]}, "a JSON schema that is an object"),
        ({"tool_choice": {"type": "any"}}, "only be given together with `tools`"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "'x' is none of the tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "odd"}}, "must be one of auto, any, tool, none"),
        ({"mcp_servers": [{}]}, "calls no MCP servers"),
        ({"output_config": {"format": {"type": "odd"}}}, "must be of type json_schema"),
    ],
)
def test_what_is_refused(fields: dict[str, object], part: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(**fields)
    assert part in caught.value.message


def test_a_schema_that_is_nested_too_deeply() -> None:
    deep: dict[str, object] = {}
    for _ in range(20):
        deep = {"a": deep}
    with pytest.raises(InvalidInput, match="nested more than 16 deep"):
        decode(tools=[{"name": "a", "input_schema": deep}])


def test_a_whole_answer() -> None:
    assert written(answer(" a", " b")) == (
        b'{"id":"msg_r1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":" a b"}],'
        b'"stop_reason":"max_tokens","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}'
    )


def test_an_answer_that_a_stop_sequence_ended() -> None:
    events = [started(), token(" a"), Finish(0, FinishReason.STOP, None, "END"), Done()]
    shown = json.loads(written(events))
    assert (shown["stop_reason"], shown["stop_sequence"]) == ("stop_sequence", "END")
    last = written(events, stream=True).split(b"\n\n")[-3]
    assert b'"delta":{"stop_reason":"stop_sequence","stop_sequence":"END"}' in last


def test_a_whole_answer_with_thoughts_and_tools() -> None:
    thought = Token(0, 1, "hm", part="reasoning")
    events = with_tool('{"city"', ':"Bonn"}')
    shown = json.loads(written([events[0], thought, *events[1:]]))
    assert shown["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bonn"}},
    ]
    assert shown["stop_reason"] == "tool_use"


def test_a_call_that_was_cut() -> None:
    shown = json.loads(written(with_tool('{"city', reason=FinishReason.LENGTH)))
    assert shown["content"][1]["input"] == {}
    assert shown["stop_reason"] == "max_tokens"


@pytest.mark.parametrize(("arguments", "reason"), [('{"city":"Bonn"}', "tool_use"), ('{"city', "max_tokens")])
def test_a_whole_call_counts_also_at_the_limit(arguments: str, reason: str) -> None:
    events = with_tool(arguments, reason=FinishReason.LENGTH)
    assert json.loads(written(events))["stop_reason"] == reason
    assert f'"stop_reason":"{reason}"' in written(events, stream=True).decode()


def test_a_stream() -> None:
    events = [started(), token(" a\u2028"), token("</s>", special=True), Finish(0, FinishReason.EOS), Done(Usage(3, 2))]
    assert written(events, stream=True) == (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_r1","type":"message",'
        b'"role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,'
        b'"usage":{"input_tokens":0,"output_tokens":0}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":" a\\u2028"}}\n\n'
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        b'"usage":{"input_tokens":3,"output_tokens":2}}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


def test_a_stream_with_thoughts_and_tools() -> None:
    events = with_tool('{"city"', ':"Bonn"}')
    thought = Token(0, 1, "hm", part="reasoning")
    text = written([events[0], thought, *events[1:]], stream=True).decode()
    shown = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]
    assert [frame["type"].removeprefix("content_block_") for frame in shown] == [
        "message_start",
        *("start", "delta", "stop"),
        *("start", "delta", "stop"),
        *("start", "delta", "delta", "stop"),
        *("message_delta", "message_stop"),
    ]
    assert shown[2]["delta"] == {"type": "thinking_delta", "thinking": "hm"}
    assert shown[7]["content_block"] == {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    assert shown[9]["delta"] == {"type": "input_json_delta", "partial_json": ':"Bonn"}'}
    assert shown[9]["index"] == 2


def test_a_count() -> None:
    call = decode("anthropic-count-tokens")
    assert call.request.work == Tokenize(prompt=ChatPrompt(messages=(Message(role="user", content="Hi"),)))
    output = Output(Tokenized("Hi", [Piece(1, "H", 0, 1), Piece(2, "i", 1, 2)]))
    assert written([started(), output, Done()], "anthropic-count-tokens") == b'{"input_tokens":2}'


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidInput("no"), 400, "invalid_request_error"),
        (errors.Unsupported("no"), 400, "invalid_request_error"),
        (errors.Unauthenticated("no"), 401, "authentication_error"),
        (errors.Forbidden("no"), 403, "permission_error"),
        (errors.ModelNotFound("m"), 404, "not_found_error"),
        (errors.TooLarge("no"), 413, "request_too_large"),
        (errors.RateLimited("no", window="m", retry_after=2), 429, "rate_limit_error"),
        (errors.Overloaded(), 529, "overloaded_error"),
        (errors.Loading("m", estimated_time=4, guessed=False), 503, "overloaded_error"),
        (errors.Draining(), 503, "overloaded_error"),
        (errors.ModelFailed("m", "x"), 500, "api_error"),
        (errors.GenerationFailed("x"), 500, "api_error"),
        (errors.DeadlineExceeded("x", stage="queue"), 504, "timeout_error"),
        (HttpFault("x", status=415, error_type="y"), 415, "invalid_request_error"),
        (HttpFault("x", status=500, error_type="y"), 500, "api_error"),
    ],
)
def test_errors(error: ProntoError, status: int, kind: str) -> None:
    response = DIALECT.encode_error(error, {"x-request-id": "r1"})
    assert response.status == status
    assert json.loads(response.body) == {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": "r1",
    }
    assert dict(response.headers)[b"request-id"] == b"r1"


def test_an_error_in_a_stream() -> None:
    encoder = DIALECT.encoder(decode(stream=True))
    encoder.feed(started())
    assert encoder.fail(errors.GenerationFailed("boom")) == (
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"boom"},"request_id":"r1"}\n\n'
    )
    assert encoder.keep_alive() == b'event: ping\ndata: {"type": "ping"}\n\n'


def test_a_token_takes_little_time() -> None:
    encoder = DIALECT.encoder(decode(stream=True))
    encoder.feed(started())
    event = token(" word")
    encoder.feed(event)
    assert min(timeit.repeat(lambda: encoder.feed(event), number=1000, repeat=5)) / 1000 < 15e-6


_text = st.text(st.characters(), max_size=10)  # lone surrogates included
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=8,
)
_blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result", "image", "thinking"]) | _text},
    optional=dict.fromkeys(("text", "id", "name", "input", "tool_use_id", "content", "is_error"), _text | _values),
)
_turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]) | _text, "content": _text | st.lists(_blocks, max_size=3) | _values}
)
_tools = st.fixed_dictionaries({"name": _text}, optional={"input_schema": _values, "type": _text})
_bodies = st.fixed_dictionaries(
    {"messages": st.lists(_turns, max_size=4) | _values, "max_tokens": st.integers(-1, 600) | _values},
    optional={
        "model": _text | _values,
        "system": _text | st.lists(_blocks, max_size=2),
        "tools": st.lists(_tools, max_size=3),
        "tool_choice": st.fixed_dictionaries({"type": st.sampled_from(["auto", "any", "tool"]) | _text}) | _values,
        "temperature": st.floats(allow_nan=False) | _values,
        "top_k": st.integers() | _values,
        "stop_sequences": st.lists(_text, max_size=5) | _values,
        "output_config": st.fixed_dictionaries({"format": _values}) | _values,
    },
)


@settings(max_examples=200)
@given(_bodies)
def test_any_json(body: dict[str, object]) -> None:
    for route in ("anthropic-messages", "anthropic-count-tokens"):
        with contextlib.suppress(InvalidInput):
            DIALECT.decode(raw(json.dumps(body).encode(), route))


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        DIALECT.decode(raw(body, "anthropic-messages"))
