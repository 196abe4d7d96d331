"""Whatever comes, decoding OpenAI's bodies gives a request or InvalidInput, and every refusal can be written."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronto.core.errors import InvalidInput
from pronto.core.request import TextGeneration
from pronto.wire.body_shape import is_chat
from pronto.wire.openai.chat import ChatBody
from pronto.wire.openai.completions import CompletionBody
from tests.unit.openai_cases import CHAT, COMPLETIONS, raw
from tests.unit.test_wire_hostile import HOSTILE

_text = st.text(st.characters(), max_size=20)  # lone surrogates included
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=8,
)
_schema = st.fixed_dictionaries({}, optional={"type": st.just("object") | _values, "properties": _values})
_function = st.fixed_dictionaries({"name": st.just("f") | _text}, optional={"parameters": _schema | _values})
_tool = st.fixed_dictionaries({"type": st.just("function") | _text, "function": _function | _values})
_call = st.fixed_dictionaries({"function": st.fixed_dictionaries({"name": _text, "arguments": _values})})
_part = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image_url", "refusal"]) | _text}, optional={"text": _text}
)
_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]) | _text},
    optional={"content": _text | st.lists(_part, max_size=3) | _values, "tool_calls": st.lists(_call, max_size=2)},
)
_format = st.fixed_dictionaries(
    {"type": st.sampled_from(["json_object", "json_schema", "regex", "text"]) | _text},
    optional={
        "value": _schema | _values,
        "json_schema": st.fixed_dictionaries({"schema": _schema | _values}) | _values,
    },
)
_numbers = st.none() | st.integers(-3, 600) | st.floats(-3, 110, allow_nan=False) | st.booleans()
_rest = st.dictionaries(
    st.sampled_from([*ChatBody.__struct_fields__, *CompletionBody.__struct_fields__]), _numbers | _values, max_size=5
)
_chat = st.fixed_dictionaries(
    {"messages": st.lists(_message, max_size=4) | _values},
    optional={"tools": st.lists(_tool, max_size=3), "response_format": _format, "tool_choice": _text | _values},
)
_completion = st.fixed_dictionaries({"prompt": _text | st.lists(st.integers() | _text, max_size=3) | _values})


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies(name: str) -> None:
    for key in (b'"messages"', b'"prompt"'):
        _decodes_or_refuses(HOSTILE[name].replace(b'"inputs"', key))


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    _decodes_or_refuses(body)
    is_chat(b'{"messages":' + body)


@settings(max_examples=300)
@given(_chat, _rest)
def test_any_conversation(body: dict[str, object], rest: dict[str, object]) -> None:
    _decodes_or_refuses(json.dumps(rest | body).encode())


@settings(max_examples=200)
@given(_completion, _rest)
def test_any_completion(body: dict[str, object], rest: dict[str, object]) -> None:
    _decodes_or_refuses(json.dumps(rest | body).encode())


def _decodes_or_refuses(body: bytes) -> None:
    for dialect in (CHAT, COMPLETIONS):
        refusal: InvalidInput | None = None
        try:
            call = dialect.decode(raw(body))
        except InvalidInput as error:
            refusal = error
        if refusal is not None:
            assert dialect.encode_error(refusal, {}).status == 400
            continue
        # A worker gets it as msgpack, whose integers have 64 bits.
        for request in (call.request, *call.more):
            kept = msgspec.msgpack.encode(request.work)
            assert msgspec.msgpack.decode(kept, type=TextGeneration) == request.work


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"messages":[]}', True),
        (b'{"messages":null}', False),
        (b'{"messages":[],"inputs":"x"}', False),
        (b'{"inputs":"\\"messages\\""}', False),
        (b'{"inputs":{"messages":[]}}', False),
    ],
)
def test_a_conversation_is_known_by_its_messages(body: bytes, expected: bool) -> None:
    assert is_chat(body) is expected
