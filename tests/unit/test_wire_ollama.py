"""Ollama's format, byte by byte: what is read, whole answers, streams and errors."""

import contextlib
import json
import timeit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronto.core import errors
from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Event, Finish, FinishReason, Output, Token, Tokenized, ToolCall, Usage
from pronto.core.request import CalledTool, ChatPrompt, InfillPrompt, Message, TextGeneration, TextPrompt, Tokenize
from pronto.wire.base import Call
from pronto.wire.ollama.dialect import OllamaDialect
from tests.unit.wire_cases import BOUNDS, answer, raw, started, token

DIALECT = OllamaDialect(BOUNDS)
GENERATE, CHAT = "ollama-generate", "ollama-chat"
TURN = [{"role": "user", "content": "Hi"}]
HEAD = b'{"model":"m","created_at":"1970-01-01T00:00:00Z",'
COUNTS = (
    b'"total_duration":115000000,"load_duration":10000000,"prompt_eval_count":3,"prompt_eval_duration":5000000,'
    b'"eval_count":2,"eval_duration":100000000}'
)


def decode(route: str = GENERATE, **fields: object) -> Call:
    own: dict[str, object] = {"prompt": "Hi"} if route == GENERATE else {"messages": TURN}
    return DIALECT.decode(raw({"model": "m", **own, **fields}, route))


def work(route: str = GENERATE, **fields: object) -> TextGeneration:
    asked = decode(route, **fields).request.work
    assert isinstance(asked, TextGeneration)
    return asked


def written(events: list[Event], route: str = GENERATE, **fields: object) -> bytes:
    encoder = DIALECT.encoder(decode(route, **fields))
    return b"".join(encoder.feed(event) for event in events)


def calls(*arguments: str) -> list[Event]:
    return [ToolCall(0, 0, "c1", "weather", ""), *(ToolCall(0, 0, "c1", None, text) for text in arguments)]


def test_a_plain_request() -> None:
    call = decode()
    assert call.reply.streams
    assert call.request.options.wait_for_model
    asked = work()
    assert asked.prompt == ChatPrompt(messages=(Message(role="user", content="Hi"),), plain="Hi")
    assert (asked.max_new_tokens, asked.keep_stop, asked.unset) == (None, False, ("temperature", "top_p", "top_k"))
    assert asked.sampling.do_sample


def test_who_waits_for_no_model_says_so() -> None:
    call = DIALECT.decode(raw({"model": "m", "prompt": "Hi"}, GENERATE, {"x-wait-for-model": "false"}))
    assert not call.request.options.wait_for_model


@pytest.mark.parametrize(
    ("named", "model"),
    [
        ("m", "m"),
        ("org/m:latest", "org/m"),
        ("http://server/api", "org/name"),
        ("dummy", "org/name"),
        (None, "org/name"),
    ],
)
def test_the_name_of_the_model(named: str | None, model: str) -> None:
    assert decode(model=named).request.model == model


def test_kinds_of_prompts() -> None:
    assert work(raw=True).prompt == TextPrompt("Hi")
    assert work(suffix="end").prompt == InfillPrompt(prefix="Hi", suffix="end")
    system = (Message(role="system", content="S"), Message(role="user", content="Hi"))
    assert work(system="S").prompt == ChatPrompt(messages=system, plain="S\n\nHi")


def test_a_conversation_with_tools() -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    called = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "weather", "arguments": {"a": 1}}}],
    }
    result = {"role": "tool", "content": "rain", "tool_name": "weather"}
    asked = work(CHAT, messages=[*TURN, called, result], tools=[tool]).prompt
    assert isinstance(asked, ChatPrompt)
    assert asked.messages == (
        Message(role="user", content="Hi"),
        Message(role="assistant", tool_calls=(CalledTool(id="call_0", name="weather", arguments='{"a":1}'),)),
        Message(role="tool", content="rain", name="weather"),
    )
    assert asked.tools[0].name == "weather"


def test_options() -> None:
    asked = work(
        options={
            "temperature": 0.5,
            "top_k": -1,
            "min_p": 0.1,
            "seed": 3,
            "num_predict": 7,
            "stop": "END",
            "num_ctx": 9,
        }
    )
    sampling = asked.sampling
    assert (sampling.temperature, sampling.top_k, sampling.min_p, sampling.seed) == (0.5, 0, 0.1, 3)
    assert (asked.max_new_tokens, asked.stop, asked.unset) == (7, ("END",), ("top_p",))
    greedy = work(options={"temperature": 0, "top_p": 0.5, "seed": 3, "repeat_penalty": 1.1})
    assert (greedy.sampling.do_sample, greedy.sampling.repetition_penalty, greedy.unset) == (False, 1.1, ())
    assert work(options={"num_predict": -1}).max_new_tokens is None
    assert work(options={"seed": -1}).sampling.seed is None


def test_formats() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    for shape, value in (("json", {"type": "object"}), (schema, schema)):
        grammar = work(format=shape).grammar
        assert grammar is not None
        assert json.loads(grammar.value) == value
    assert work(format="").grammar is work(format=None).grammar is None


@pytest.mark.parametrize(
    ("route", "fields", "part"),
    [
        (GENERATE, {"template": "x"}, "`template` is not supported. Please send the finished prompt"),
        (GENERATE, {"context": [1]}, "`context` is not supported. Please send the conversation to /api/chat"),
        (GENERATE, {"images": ["a"]}, "`images` is not a file in base64"),
        (GENERATE, {"images": ["AAAA"], "raw": True}, "`images` needs the model's template"),
        (GENERATE, {"suffix": "a", "system": "b"}, "`system` cannot be used together with `suffix`"),
        (GENERATE, {"format": "xml"}, "`format` must be `json` or a JSON schema"),
        (GENERATE, {"prompt": 1}, "prompt: expected a string"),
        (GENERATE, {"options": {"temperature": -1}}, "`temperature` must be >= 0"),
        (GENERATE, {"options": {"top_p": 0}}, "`top_p` must be > 0"),
        (GENERATE, {"options": {"min_p": 1}}, "`min_p` must be >= 0 and < 1"),
        (GENERATE, {"options": {"mirostat": 2}}, "`mirostat` is not supported"),
        (GENERATE, {"options": {"num_predict": 513}}, "`num_predict` must be <= 512"),
        (GENERATE, {"options": {"stop": list("abcde")}}, "`stop` takes up to 4 strings"),
        (GENERATE, {"options": {"repeat_penalty": 0}}, "`repeat_penalty` must be >="),
        (CHAT, {"messages": [{"role": "odd"}]}, "messages[0].role: must be one of"),
        (CHAT, {"messages": [{"role": "user", "content": "a", "images": ["b"]}]}, "is not a file in base64"),
        (CHAT, {"messages": [{"role": "system", "images": ["AAAA"]}]}, "only messages of the user"),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "without its `image_url`"),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "takes text only"),
        (CHAT, {"tools": [{"type": "odd", "function": {"name": "a"}}]}, "tools[0].type: must be `function`"),
    ],
)
def test_what_is_refused(route: str, fields: dict[str, object], part: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(route, **fields)
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        (GENERATE, {"prompt": "what?", "images": ["AAAA", "BBBB"]}),
        (CHAT, {"messages": [{"role": "user", "content": "what?", "images": ["AAAA", "BBBB"]}]}),
    ],
)
def test_images_stand_before_the_text(route: str, fields: dict[str, object]) -> None:
    prompt = work(route, **fields).prompt
    assert isinstance(prompt, ChatPrompt)
    (message,) = prompt.messages
    assert (message.content, [picture.at for picture in message.pictures]) == ("what?", [0, 0])
    assert [picture.media.size for picture in message.pictures] == [3, 3]


def test_whole_answers() -> None:
    end = b'"done":true,"done_reason":"length",' + COUNTS
    assert written(answer(" a", " b"), stream=False) == HEAD + b'"response":" a b",' + end
    message = b'"message":{"role":"assistant","content":" a b"},'
    assert written(answer(" a", " b"), CHAT, stream=False) == HEAD + message + end


def test_streams() -> None:
    end = b'"done":true,"done_reason":"stop",' + COUNTS + b"\n"
    events = answer(" a\n", "\u2028b", reason=FinishReason.EOS)
    assert written(events) == (
        HEAD + b'"response":" a\\n","done":false}\n' + HEAD + b'"response":"\\u2028b","done":false}\n'
        + HEAD + b'"response":"",' + end
    )  # fmt: skip  # a line of it is a line of the stream
    encoder = DIALECT.encoder(decode(CHAT))
    first = b"".join(encoder.feed(event) for event in events[:2])
    assert first == HEAD + b'"message":{"role":"assistant","content":" a\\n"},"done":false}\n'
    assert dict(encoder.headers)[b"content-type"] == b"application/x-ndjson"


def test_no_character_cuts_a_line() -> None:
    events = [started(), Token(0, 1, "\x85\u2028", part="reasoning"), token("\u2029"), *calls('{"a":"\u2028"}')]
    lines = written([*events, Finish(0, FinishReason.EOS), Done()], CHAT, model="m\u2028").decode()
    assert len(lines.splitlines()) == 4
    assert [json.loads(line)["model"] for line in lines.splitlines()] == ["m\u2028"] * 4


def test_tools_and_thoughts() -> None:
    thought = Token(0, 1, "hm", part="reasoning")
    events = [started(), thought, *calls('{"a"', ":1}"), Finish(0, FinishReason.EOS), Done(Usage(3, 9))]
    message = json.loads(written(events, CHAT, stream=False))["message"]
    called = [{"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"a": 1}}}]
    assert message == {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": called}
    lines = [json.loads(line) for line in written(events, CHAT).splitlines()]
    assert lines[0]["message"] == {"role": "assistant", "content": "", "thinking": "hm"}
    assert lines[1]["message"] == {"role": "assistant", "content": "", "tool_calls": called}
    assert lines[2]["message"] == {"role": "assistant", "content": ""}
    assert [line["done"] for line in lines] == [False, False, True]
    assert "thinking" not in json.loads(written(events, CHAT, stream=False, think=False))["message"]
    assert b"hm" not in written(events, CHAT, think=False)


@pytest.mark.parametrize(("route", "fields"), [(GENERATE, {"prompt": ""}), (CHAT, {"messages": []})])
def test_a_request_that_only_loads(route: str, fields: dict[str, object]) -> None:
    assert isinstance(decode(route, **fields).request.work, Tokenize)
    shown = json.loads(written([started(), Output(Tokenized("", [])), Done()], route, **fields))
    assert (shown["done"], shown["done_reason"]) == (True, "load")
    assert "eval_count" not in shown


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("no"), 400),
        (errors.Unauthenticated("no"), 401),
        (errors.ModelNotFound("m"), 404),
        (errors.Overloaded(), 429),
        (errors.Draining(), 503),
    ],
)
def test_errors(error: errors.ProntoError, status: int) -> None:
    response = DIALECT.encode_error(error, {})
    assert (response.status, json.loads(response.body)) == (status, {"error": error.message})


def test_an_error_in_a_stream() -> None:
    encoder = DIALECT.encoder(decode())
    encoder.feed(started())
    assert encoder.fail(errors.GenerationFailed("boom")) == b'{"error":"boom"}\n'
    assert encoder.keep_alive() == b""


@pytest.mark.parametrize("route", [GENERATE, CHAT])
def test_a_token_takes_little_time(route: str) -> None:
    encoder = DIALECT.encoder(decode(route))
    encoder.feed(started())
    event = token(" word")
    assert min(timeit.repeat(lambda: encoder.feed(event), number=1000, repeat=5)) / 1000 < 15e-6


_text = st.text(st.characters(), max_size=10)  # lone surrogates included
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=8,
)
_functions = st.fixed_dictionaries({"name": _text}, optional={"arguments": _values, "parameters": _values})
_calls = st.lists(st.fixed_dictionaries({"function": _functions}), max_size=2)
_turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"]) | _text},
    optional={"content": _text | _values, "tool_calls": _calls | _values, "images": _values},
)
_numbers = st.dictionaries(
    st.sampled_from(["temperature", "top_p", "top_k", "min_p", "seed", "num_predict", "repeat_penalty", "mirostat"]),
    st.integers() | st.floats(allow_nan=False) | _values,
)
_bodies = st.fixed_dictionaries(
    {},
    optional={
        "prompt": _text | _values,
        "messages": st.lists(_turns, max_size=3) | _values,
        "tools": _calls | _values,
        "options": _numbers | _values,
        **dict.fromkeys(("model", "suffix", "system", "format", "stream", "raw", "think"), _text | _values),
    },
)


@settings(max_examples=200)
@given(_bodies)
def test_any_json(body: dict[str, object]) -> None:
    for route in (GENERATE, CHAT):
        with contextlib.suppress(InvalidInput):
            DIALECT.decode(raw(json.dumps(body).encode(), route))


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        DIALECT.decode(raw(body, GENERATE))
