"""Server-sent events: framing, comments, and the escapes that line-splitting clients need."""

import json

import msgspec
import pytest

from pronto.wire import sse


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\n"])
def test_no_character_of_the_text_splits_the_line(separator: str) -> None:
    frame = sse.data(msgspec.json.encode({"text": f"a{separator}b"}))
    lines = frame.decode().splitlines()
    assert len(lines) == 2
    assert lines[1] == ""
    assert json.loads(lines[0].removeprefix("data: ")) == {"text": f"a{separator}b"}


def test_other_characters_stay_as_they_are() -> None:
    assert sse.data(msgspec.json.encode("né 😀")) == 'data: "né 😀"\n\n'.encode()


def test_a_comment_is_one_line_whatever_is_in_it() -> None:
    assert sse.comment("a\nb\u2028c\r\n") == b": a b c\n\n"


@pytest.mark.parametrize(
    ("position", "seconds", "expected"),
    [
        (None, None, b": waiting for a free place\n\n"),
        (3, 12.4, b": waiting for a free place, position 3, about 12 s\n\n"),
        (1, 0.1, b": waiting for a free place, position 1, about 1 s\n\n"),
    ],
)
def test_waiting_says_what_is_known(position: int | None, seconds: float | None, expected: bytes) -> None:
    assert sse.waiting("queue", position, seconds) == expected


def test_waiting_for_a_load_names_its_stage() -> None:
    assert sse.waiting("export", None, 30.0) == b": waiting for the model (export), about 30 s\n\n"
