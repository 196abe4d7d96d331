"""A JSON value that was asked for ends the answer when it is whole, however its text is cut into pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.engines.text.json_end import JsonEnd

values = st.recursive(
    st.text(max_size=8), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)


def read(text: str, size: int) -> str | None:
    """What belongs to the value; None while it is not whole."""
    end, taken = JsonEnd(), ""
    for start in range(0, len(text), size):
        piece = text[start : start + size]
        length = end.feed(piece)
        if length is not None:
            return taken + piece[:length]
        taken += piece
    return None


@given(
    values, st.sampled_from(["", " ", "\n\t"]), st.sampled_from(["", " ", "\n\n", ' {"more": 1}']), st.integers(1, 9)
)
def test_any_value_ends_where_it_ends(value: object, before: str, behind: str, size: int) -> None:
    written = before + json.dumps(value)
    assert read(written + behind, size) == written


@pytest.mark.parametrize("text", ["{", '{"a": "}', '["\\"]"', '"\\', '{"a": [1, 2]', "  ", "12", "tru"])
def test_what_may_go_on_is_not_whole(text: str) -> None:
    assert read(text, 1) is None


@pytest.mark.parametrize("text", ["12", "-0.5e3", "true", "null"])
def test_a_bare_number_or_word_is_whole_at_the_space_behind_it(text: str) -> None:
    assert read(text + " \n", 1) == text
