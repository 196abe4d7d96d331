"""Whatever comes, decoding gives a request or a ProntoError, and every error can be written."""

import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.request import TextGeneration
from pronto.wire.text_request import Parameters
from tests.unit.wire_cases import HF, TGI, decode, raw

HOSTILE = {
    "NaN": b'{"inputs":"a","parameters":{"temperature":NaN}}',
    "NaN where nobody looks": b'{"inputs":"a","x":NaN}',
    "infinite": b'{"inputs":"a","parameters":{"temperature":1e999}}',
    "long integer": b'{"inputs":"a","parameters":{"top_k":' + b"9" * 5000 + b"}}",
    "integer over 64 bits": b'{"inputs":"a","parameters":{"max_new_tokens":' + b"9" * 300 + b"}}",
    "long seed": b'{"inputs":"a","parameters":{"seed":' + b"9" * 4000 + b"}}",
    "long float": b'{"inputs":"a","parameters":{"temperature":' + b"9" * 5000 + b"}}",
    "deep list": b'{"inputs":"a","x":' + b"[" * 100_000,
    "deep object": b'{"inputs":"a","x":' + b'{"a":' * 100_000,
    "deep parameters": b'{"inputs":"a","parameters":' + b'{"parameters":' * 100_000,
    "deep grammar": b'{"inputs":"a","parameters":{"grammar":{"type":"json","value":' + b"[" * 100_000,
    "deep grammar as text": b'{"inputs":"a","parameters":{"grammar":{"type":"json","value":"' + b"[" * 9000 + b'"}}}',
    "lone surrogate": b'{"inputs":"\\ud800"}',
    "encoded surrogate": b'{"inputs":"\xed\xa0\x80"}',
    "not UTF-8": b'{"inputs":"\xff\xfe"}',
    "byte order mark": b'\xef\xbb\xbf{"inputs":"a"}',
    "UTF-16": '{"inputs":"a"}'.encode("utf-16"),
    "rest": b'{"inputs":"a"} {}',
    "zeros": b"\x00" * 100,
    "form": b"inputs=hello",
    "null": b"null",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("route", ["hf", "tgi-root", "tgi-generate", "tgi-generate-stream"])
def test_hostile_bodies_are_invalid_input(name: str, route: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(HOSTILE[name], route)
    response = HF.encode_error(caught.value, {})
    assert response.status == 422
    shown = json.loads(response.body)
    assert shown["error_type"] == "validation"
    assert shown["error"]


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    _decodes_or_refuses(body)


_text = st.text(st.characters(), max_size=20)  # lone surrogates included
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=8,
)
_numbers = st.none() | st.integers(-3, 600) | st.floats(-3, 110, allow_nan=False) | st.booleans()
_parameters = st.dictionaries(st.sampled_from(Parameters.__struct_fields__), _numbers | _values, max_size=6)
_bodies = st.fixed_dictionaries(
    {"inputs": _text | _values},
    optional={"parameters": _parameters | _values, "stream": st.booleans() | _values, "options": _values},
)


@settings(max_examples=300)
@given(_bodies)
def test_any_json(body: dict[str, object]) -> None:
    # ensure_ascii writes lone surrogates as escapes, which is what a hostile client would send.
    _decodes_or_refuses(json.dumps(body).encode())


@given(_text, _parameters)
def test_what_is_let_through_is_in_range(inputs: str, parameters: dict[str, object]) -> None:
    body = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    try:
        asked = decode(body).request.work
    except InvalidInput:
        return
    assert isinstance(asked, TextGeneration)
    sampling = asked.sampling
    assert 0 < sampling.temperature <= 100
    assert 0 < sampling.top_p <= 1
    assert 0 < sampling.typical_p <= 1
    assert 0 <= sampling.min_p < 1
    assert sampling.top_k >= 0
    assert 0.01 <= sampling.repetition_penalty <= 100
    assert 1 <= asked.choices <= 2
    assert asked.max_new_tokens is not None
    assert 1 <= asked.max_new_tokens <= 512
    assert all(math.isfinite(v) for v in (sampling.frequency_penalty, sampling.presence_penalty))
    # A worker gets it as msgpack, whose integers have 64 bits.
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(asked), type=TextGeneration) == asked


def _decodes_or_refuses(body: bytes) -> None:
    for dialect, route in ((HF, "hf"), (TGI, "tgi-root")):
        refusal: ProntoError | None = None
        try:
            dialect.decode(raw(body, route))
        except ProntoError as error:
            refusal = error
        if refusal is not None:
            assert dialect.encode_error(refusal, {}).status == 422
