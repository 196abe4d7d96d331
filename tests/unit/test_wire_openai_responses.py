"""Responses as they come and as they are written, in the order of OpenAI's events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.core.errors import GenerationFailed, InvalidInput
from pronto.core.events import Done, Event, Finish, FinishReason, Token, ToolCall, Usage, Waiting
from pronto.core.request import CalledTool, Grammar, Message, Tool
from pronto.wire.base import Call
from pronto.wire.openai.response_stream import response_encoder
from pronto.wire.openai.responses import ResponsesDialect, shown_again
from tests.unit.openai_cases import prompt, raw, work, written
from tests.unit.wire_cases import BOUNDS, answer, started, token

RESPONSES = ResponsesDialect(BOUNDS)
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
SCHEMA = {"type": "json_schema", "name": "x", "schema": {"type": "object"}}


def respond(**fields: object) -> Call:
    return RESPONSES.decode(raw({"input": "Hello", **fields}))


def frames(events: list[Event], **fields: object) -> list[dict[str, object]]:
    text = written(response_encoder(respond(stream=True, **fields).reply), events).decode()
    shown = []
    for part in text.split("\n\n")[:-1]:
        name, data = part.split("\n")
        shown.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {shown[-1]['type']}"
    assert [frame["sequence_number"] for frame in shown] == list(range(len(shown)))
    return shown


def whole(events: list[Event], **fields: object) -> dict[str, object]:
    shown: dict[str, object] = json.loads(written(response_encoder(respond(**fields).reply), events))
    return shown


def test_an_input() -> None:
    call = respond(instructions="Be kind.", max_output_tokens=9, text={"format": SCHEMA}, tools=[TOOL])
    assert prompt(call).messages == (Message(role="system", content="Be kind."), Message(role="user", content="Hello"))
    assert prompt(call).tools == (Tool(name="weather", parameters='{"type":"object"}'),)
    assert (work(call).max_new_tokens, work(call).grammar) == (9, Grammar("json_schema", '{"type":"object"}'))
    assert call.turn is not None
    assert (call.turn.id, call.turn.previous, call.turn.is_kept, call.turn.instructions) == ("resp_r1", None, True, 1)


def test_items() -> None:
    items = [
        {"role": "developer", "content": "a"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "b"}]},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "c"}]},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "2", "name": "g", "arguments": '{"x":1}'},
        {"type": "function_call_output", "call_id": "1", "output": "done"},
    ]
    calls = (CalledTool(id="1", name="f", arguments="{}"), CalledTool(id="2", name="g", arguments='{"x":1}'))
    assert prompt(respond(input=items)).messages == (
        Message(role="system", content="a"),
        Message(role="user", content="b"),
        Message(role="assistant", content="c", tool_calls=calls),
        Message(role="tool", content="done", tool_call_id="1"),
    )


def test_a_turn() -> None:
    turn = respond(previous_response_id="resp_0", store=False).turn
    assert turn is not None
    assert (turn.previous, turn.is_kept) == ("resp_0", False)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"),
        ({"metadata": {str(index): "x" for index in range(17)}}, "metadata"),
    ],
)
def test_refusals_name_the_field(fields: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        respond(**fields)
    assert caught.value.param == param


def test_a_whole_response() -> None:
    shown = whole(answer("Hi", " you", reason=FinishReason.EOS), temperature=0.5, metadata={"a": "b"})
    assert (shown["id"], shown["object"], shown["status"]) == ("resp_r1", "response", "completed")
    assert shown["created_at"] == 1_700_000_000
    assert shown["output"] == [
        {
            "id": "msg_r1_0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi you", "annotations": [], "logprobs": []}],
        }
    ]
    assert shown["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }
    assert (shown["temperature"], shown["metadata"], shown["text"]) == (0.5, {"a": "b"}, {"format": {"type": "text"}})


def test_a_cut_response() -> None:
    shown = whole(answer("Hi"))
    assert (shown["status"], shown["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert frames(answer("Hi"))[-1]["type"] == "response.incomplete"


@pytest.mark.parametrize(("arguments", "status"), [("{}", "completed"), ('{"x":', "incomplete")])
def test_a_call_that_is_whole_at_the_limit_counts(arguments: str, status: str) -> None:
    call = ToolCall(0, 0, "call_a", "weather", arguments)
    events: list[Event] = [started(), call, Finish(0, FinishReason.LENGTH), Done()]
    assert whole(events)["status"] == status
    assert frames(events)[-1]["type"] == f"response.{status}"


def test_a_streamed_response() -> None:
    shown = frames(answer("Hi", "\u2028!", reason=FinishReason.EOS))
    assert [frame["type"] for frame in shown] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert shown[4] == {
        "type": "response.output_text.delta",
        "item_id": "msg_r1_0",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hi",
        "logprobs": [],
        "sequence_number": 4,
    }
    assert shown[0]["response"]["status"] == "in_progress"  # type: ignore[index]  # a document
    assert shown[6]["text"] == "Hi\u2028!"
    assert shown[-1]["response"] == whole(answer("Hi", "\u2028!", reason=FinishReason.EOS))


THOUGHT: list[Event] = [
    started(),
    Token(0, 1, "hm", part="reasoning"),
    token("Yes"),
    ToolCall(0, 0, "call_a", "weather", ""),
    token(""),
    ToolCall(0, 0, "call_a", None, '{"x":'),
    ToolCall(0, 0, "call_a", None, "1}"),
    ToolCall(0, 1, "call_b", "time", "{}"),
    Finish(0, FinishReason.EOS),
    Done(Usage(3, 7)),
]


def test_reasoning_text_and_tools_are_items_of_their_own() -> None:
    shown = whole(THOUGHT)
    kinds = [item["type"] for item in shown["output"]]  # type: ignore[attr-defined]  # a list
    assert kinds == ["reasoning", "message", "function_call", "function_call"]
    assert shown["output"][2] == {  # type: ignore[index]  # a list
        "id": "fc_r1_2",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_a",
        "name": "weather",
        "arguments": '{"x":1}',
    }
    streamed = frames(THOUGHT)
    assert streamed[-1]["response"] == shown
    types = [frame["type"] for frame in streamed]
    assert types.count("response.output_item.added") == types.count("response.output_item.done") == 4
    assert types.count("response.reasoning_text.delta") == 1
    deltas = [frame["delta"] for frame in streamed if frame["type"] == "response.function_call_arguments.delta"]
    assert deltas == ['{"x":', "1}", "{}"]
    [first, _] = [frame for frame in streamed if frame["type"] == "response.function_call_arguments.done"]
    assert (first["arguments"], first["name"]) == ('{"x":1}', "weather")


def test_logprobs() -> None:
    shown = whole(answer("Hi"), include=["message.output_text.logprobs"])
    part = shown["output"][0]["content"][0]  # type: ignore[index]  # a list
    assert part["logprobs"] == [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}]
    delta = frames(answer("Hi"), include=["message.output_text.logprobs"])[4]
    assert delta["logprobs"] == part["logprobs"]


def test_a_failure_within_a_stream() -> None:
    encoder = response_encoder(respond(stream=True).reply)
    encoder.feed(started())
    name, data = encoder.fail(GenerationFailed("boom")).decode().strip().split("\n")
    shown = json.loads(data.removeprefix("data: "))
    assert (name, shown["type"], shown["sequence_number"]) == ("event: error", "error", 2)
    assert shown["message"] == shown["error"]["message"] == "Request failed during generation: boom"
    assert encoder.feed(Waiting("queue", 1)).startswith(b":")


def test_a_kept_response_is_written_again() -> None:
    turn = respond(stream=True).turn
    assert turn is not None
    assert json.loads(shown_again(turn.style, THOUGHT)) == whole(THOUGHT)


def test_ids_may_stand_in_paths() -> None:
    came = raw({"input": "x"})
    odd = type(came)(**{name: getattr(came, name) for name in came.__struct_fields__} | {"request_id": "a/b c"})
    assert RESPONSES.decode(odd).reply.id.removeprefix("resp_").isalnum()


_text = st.text(max_size=10)
_value = st.recursive(st.none() | st.integers() | _text, lambda inner: st.dictionaries(_text, inner, max_size=2))
_kinds = st.sampled_from(["message", "function_call", "function_call_output", "reasoning"])
_fields = st.fixed_dictionaries(
    {"input": _text | st.lists(st.fixed_dictionaries({"type": _kinds}, optional={
        "role": st.sampled_from(["user", "assistant"]) | _value, "content": _text | _value, "call_id": _text,
        "name": _text, "arguments": _text | _value, "output": _text | _value,
    }), max_size=4)},
    optional={"text": st.fixed_dictionaries({"format": st.just(SCHEMA) | _value}) | _value, "tools": _value,
              "tool_choice": _value, "instructions": _value, "metadata": _value, "store": _value},
)  # fmt: skip


@given(_fields)
def test_any_body(body: dict[str, object]) -> None:
    refusal: InvalidInput | None = None
    try:
        call = RESPONSES.decode(raw(json.dumps(body).encode()))
    except InvalidInput as error:
        refusal = error
    if refusal is not None:
        assert RESPONSES.encode_error(refusal, {}).status == 400
        return
    written(response_encoder(call.reply), answer("x"))
