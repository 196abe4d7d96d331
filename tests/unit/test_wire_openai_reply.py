"""Answers in OpenAI's format, byte for byte: whole, streamed, and broken off."""

import json

import msgspec
import pytest

from pronto.core import errors
from pronto.core.events import Done, Event, Finish, FinishReason, Token, ToolCall, TopToken, Usage, Waiting
from pronto.wire.openai.chat_reply import chat_encoder
from pronto.wire.openai.completion_reply import completion_encoder
from tests.unit.openai_cases import CHAT, COMPLETIONS, chat, complete, written
from tests.unit.wire_cases import HUB_OLD, JS, answer, started, token

CHAT_FACTS = '"id":"chatcmpl-r1","object":"chat.completion","created":1700000000,"model":"org/name"'
CHUNK = CHAT_FACTS.replace("chat.completion", "chat.completion.chunk") + ',"system_fingerprint":"fp_abc123"'
TEXT_FACTS = '"id":"cmpl-r1","object":"text_completion","created":1700000000,"model":"org/name"'
PIECE = TEXT_FACTS + ',"system_fingerprint":"fp_abc123"'
CALLS: list[Event] = [
    started(),
    ToolCall(0, 0, "call_a", "weather", ""),
    token(""),
    ToolCall(0, 0, "call_a", None, '{"city":'),
    ToolCall(0, 0, "call_a", None, '"Paris"}'),
    ToolCall(0, 1, "call_b", "time", "{}"),
    Finish(0, FinishReason.EOS),
    Done(Usage(3, 4)),
]


def chat_stream(events: list[Event], **fields: object) -> str:
    return written(chat_encoder(chat(stream=True, **fields).reply), events).decode()


def text_stream(events: list[Event], **fields: object) -> str:
    return written(completion_encoder(complete(stream=True, **fields).reply), events).decode()


def chat_whole(events: list[Event], **fields: object) -> dict[str, object]:
    shown: dict[str, object] = json.loads(written(chat_encoder(chat(**fields).reply), events))
    return shown


def frame(facts: str, choices: str, more: str = "") -> str:
    return f'data: {{{facts},"choices":[{choices}]{more}}}\n\n'


def delta(inner: str, reason: str = "null", index: int = 0) -> str:
    return f'{{"index":{index},"delta":{{{inner}}},"logprobs":null,"finish_reason":{reason}}}'


def test_a_whole_conversation() -> None:
    encoder = chat_encoder(chat().reply)
    assert written(encoder, answer("Hi", " there", reason=FinishReason.EOS)).decode() == (
        f'{{{CHAT_FACTS},"system_fingerprint":"fp_abc123","choices":[{{"index":0,"message":{{"role":"assistant",'
        '"content":"Hi there"},"logprobs":null,"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
    )
    headers = dict(encoder.headers)
    assert headers[b"content-type"] == b"application/json"
    assert (headers[b"x-compute-type"], headers[b"x-sha"], headers[b"x-prompt-tokens"]) == (b"cpu", b"abc123", b"3")


def test_a_streamed_conversation() -> None:
    assert chat_stream(answer("Hi", " th\u2028é")) == (
        frame(CHUNK, delta('"role":"assistant","content":""'))
        + frame(CHUNK, delta('"content":"Hi"'))
        + frame(CHUNK, delta('"content":" th\\u2028é"'))
        + frame(CHUNK, delta("", '"length"'))
        + "data: [DONE]\n\n"
    )


def test_counts_at_the_end_of_a_stream() -> None:
    shown = chat_stream(answer("Hi"), stream_options={"include_usage": True})
    counts = ',"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}'
    assert shown.endswith(
        frame(CHUNK, delta("", '"length"'), ',"usage":null') + frame(CHUNK, "", counts) + "data: [DONE]\n\n"
    )


def test_called_tools() -> None:
    shown = chat_whole(CALLS)["choices"][0]  # type: ignore[index]  # a document
    assert shown["finish_reason"] == "tool_calls"
    assert shown["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"function": {"arguments": '{"city":"Paris"}', "name": "weather"}, "id": "call_a", "type": "function"},
            {"function": {"arguments": "{}", "name": "time"}, "id": "call_b", "type": "function"},
        ],
    }


def test_called_tools_in_a_stream() -> None:
    head = '{"index":0,"id":"call_a","type":"function","function":{"arguments":"","name":"weather"}}'
    more = '{"index":0,"function":{"arguments":"{\\"city\\":"}}'
    last = '{"index":0,"function":{"arguments":"\\"Paris\\"}"}}'
    other = '{"index":1,"id":"call_b","type":"function","function":{"arguments":"{}","name":"time"}}'
    assert chat_stream(CALLS) == (
        frame(CHUNK, delta('"role":"assistant","content":""'))
        + "".join(frame(CHUNK, delta(f'"tool_calls":[{piece}]')) for piece in (head, more, last, other))
        + frame(CHUNK, delta("", '"tool_calls"'))
        + "data: [DONE]\n\n"
    )


def test_reasoning_stands_apart() -> None:
    events = [started(), Token(0, 1, "hm", part="reasoning"), token("Yes"), Finish(0, FinishReason.EOS), Done()]
    message = chat_whole(events)["choices"][0]["message"]  # type: ignore[index]  # a document
    assert message == {"role": "assistant", "content": "Yes", "reasoning_content": "hm"}
    assert frame(CHUNK, delta('"reasoning_content":"hm"')) in chat_stream(events)


def test_logprobs_of_a_conversation() -> None:
    top = (TopToken(8, "Ho", -1.5),)
    events = [started(), Token(0, 7, "Hé", -0.5, top=top), Finish(0, FinishReason.EOS), Done()]
    shown = {
        "content": [
            {
                "token": "Hé",
                "logprob": -0.5,
                "bytes": [72, 195, 169],
                "top_logprobs": [{"token": "Ho", "logprob": -1.5, "bytes": [72, 111]}],
            }
        ],
        "refusal": None,
    }
    whole = chat_whole(events, logprobs=True, top_logprobs=1)
    assert whole["choices"][0]["logprobs"] == shown  # type: ignore[index]  # a document
    written_out = msgspec.json.encode(shown).decode()
    expected = f'{{"index":0,"delta":{{"content":"Hé"}},"logprobs":{written_out},"finish_reason":null}}'
    assert frame(CHUNK, expected) in chat_stream(events, logprobs=True, top_logprobs=1)


def test_special_tokens_and_halves_of_characters_are_no_frames() -> None:
    events = [started(), token("</s>", special=True), token(""), token("a"), Finish(0, FinishReason.EOS), Done()]
    assert chat_stream(events).count("data: ") == 4
    assert chat_whole(events)["choices"][0]["message"]["content"] == "a"  # type: ignore[index]  # a document


def test_several_choices() -> None:
    events = [started(), token("a", choice=1), token("b"), *(Finish(i, FinishReason.EOS) for i in (0, 1)), Done()]
    shown = chat_whole(events, n=2)
    assert [c["message"]["content"] for c in shown["choices"]] == ["b", "a"]  # type: ignore[attr-defined]  # a list
    streamed = chat_stream(events, n=2)
    assert frame(CHUNK, delta('"content":"a"', index=1)) in streamed
    assert streamed.count('"finish_reason":"stop"') == 2


def test_the_client_of_text_generation() -> None:
    style = chat({"user-agent": "python-requests/2.32"}, stream=True, model="tgi").reply
    shown = written(chat_encoder(style), answer("Hi")).decode()
    assert "[DONE]" not in shown
    frames = [json.loads(part.removeprefix("data: ")) for part in shown.split("\n\n") if part]
    assert all({"role", "tool_calls"} <= one["choices"][0]["delta"].keys() for one in frames)


def test_a_whole_completion() -> None:
    shown = written(completion_encoder(complete(echo=True).reply), answer(" you", "!", reason=FinishReason.STOP))
    assert shown.decode() == (
        f'{{{PIECE},"choices":[{{"index":0,"text":"Hello you!","logprobs":null,"finish_reason":"stop"}}],'
        '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
    )


def piece(text: str, reason: str = "null", index: int = 0) -> str:
    return frame(PIECE, f'{{"index":{index},"text":"{text}","logprobs":null,"finish_reason":{reason}}}')


def test_a_streamed_completion() -> None:
    assert text_stream(answer("a", "b"), echo=True) == (
        piece("Hello") + piece("a") + piece("b") + piece("", '"length"') + "data: [DONE]\n\n"
    )


def test_prompts_stand_before_their_own_answers() -> None:
    events = [started(), token("x"), token("y", choice=1), *(Finish(i, FinishReason.EOS) for i in (0, 1)), Done()]
    shown = json.loads(written(completion_encoder(complete(prompt=["a", "b"], echo=True).reply), events))
    assert [choice["text"] for choice in shown["choices"]] == ["ax", "by"]
    streamed = text_stream(events, prompt=["a", "b"], echo=True)
    assert streamed.startswith(piece("a") + piece("b", index=1) + piece("x") + piece("y", index=1))


def test_the_best_of_several_are_shown() -> None:
    events = [started(), token("x", logprob=-2.0), token("y", choice=1, logprob=-1.0), Done()]
    shown = json.loads(written(completion_encoder(complete(best_of=2).reply), events))
    assert [(choice["index"], choice["text"]) for choice in shown["choices"]] == [(0, "y")]


def test_logprobs_of_a_completion() -> None:
    shown = json.loads(written(completion_encoder(complete(logprobs=0).reply), answer("ab", "c")))
    expected = {"tokens": ["ab", "c"], "token_logprobs": [-0.5, -0.5], "top_logprobs": None, "text_offset": [0, 2]}
    assert shown["choices"][0]["logprobs"] == expected
    streamed = text_stream(answer("ab", "c"), logprobs=0)
    assert '"text":"c","logprobs":{"tokens":["c"],"token_logprobs":[-0.5],"top_logprobs":null,"text_offset":[2]}' in (
        streamed
    )


LATE = errors.GenerationFailed("boom")


@pytest.mark.parametrize("dialect", ["chat", "completions"])
def test_a_failure_within_a_stream(dialect: str) -> None:
    make = (lambda agent: chat_encoder(chat(agent, stream=True).reply)) if dialect == "chat" else None
    for agent, error in (
        ("OpenAI/Python 3", '{"message":"Request failed during generation: boom","type":"generation","param":null,'),
        (HUB_OLD, '"Request failed during generation: boom","error_type":"generation"'),
    ):
        headers = {"user-agent": agent}
        encoder = make(headers) if make else completion_encoder(complete(headers, stream=True).reply)
        encoder.feed(started())
        assert encoder.fail(LATE).decode().startswith(f'data: {{"error":{error}')


def test_waiting_is_a_comment() -> None:
    for encoder in (chat_encoder(chat(stream=True).reply), completion_encoder(complete(stream=True).reply)):
        assert encoder.feed(Waiting("queue", 1, 2.0)).startswith(b": waiting")
        assert (encoder.keep_alive(), encoder.flush()) == (b":\n\n", b"")
        assert dict(encoder.headers)[b"content-type"] == b"text/event-stream"


@pytest.mark.parametrize(
    ("error", "status", "message", "param"),
    [
        (errors.InvalidInput("`n` must be > 0", "n"), 400, "`n` must be > 0", "n"),
        (errors.Unsupported("`top_n_tokens` is not", "top_n_tokens"), 400, "`top_logprobs` is not", "top_logprobs"),
        (errors.Overloaded(), 503, "Model is overloaded", None),
        (errors.RateLimited("Slow down", window="hour", retry_after=3), 429, "Slow down", None),
        (errors.ModelNotFound("x"), 404, "Model x does not exist", None),
        (errors.Unauthenticated("no"), 401, "no", None),
    ],
)
def test_errors(error: errors.ProntoError, status: int, message: str, param: str | None) -> None:
    response = CHAT.encode_error(error, {})
    assert response.status == status
    shown = json.loads(response.body)["error"]
    assert (shown["message"], shown["param"]) == (message, param)
    assert shown["type"] == shown["code"]


@pytest.mark.parametrize("agent", [HUB_OLD, JS, "text-generation/1.0"])
def test_hugging_faces_clients_read_a_string(agent: str) -> None:
    shown = json.loads(CHAT.encode_error(errors.InvalidInput("no"), {"user-agent": agent}).body)
    assert shown == {"error": "no", "error_type": "validation"}
    overloaded = CHAT.encode_error(errors.Overloaded(), {"user-agent": agent})
    assert overloaded.status == (429 if agent is JS else 503)


def test_the_input_has_the_routes_own_name() -> None:
    error = errors.InvalidInput("`inputs` is too long", "inputs")
    assert json.loads(CHAT.encode_error(error, {}).body)["error"]["message"] == "`messages` is too long"
    assert json.loads(COMPLETIONS.encode_error(error, {}).body)["error"]["param"] == "prompt"
    top = errors.Unsupported("`top_n_tokens` is not supported", "top_n_tokens")
    assert json.loads(COMPLETIONS.encode_error(top, {}).body)["error"]["message"] == "`logprobs` is not supported"


@pytest.mark.parametrize(("arguments", "reason"), [("{}", "tool_calls"), ('{"city":', "length")])
def test_a_call_that_is_whole_counts_even_at_the_limit(arguments: str, reason: str) -> None:
    call = ToolCall(0, 0, "call_a", "weather", arguments)
    events = [started(), call, Finish(0, FinishReason.LENGTH), Done()]
    assert chat_whole(events)["choices"][0]["finish_reason"] == reason  # type: ignore[index]  # a document
    assert f'"finish_reason":"{reason}"' in chat_stream(events)
