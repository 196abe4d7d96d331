"""Stop strings on text that grows: the answer must not depend on how the text is cut into pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.engines.text.stop import StopMatcher

letters = st.text(alphabet="ab", max_size=30)
stop_lists = st.lists(st.text(alphabet="ab", min_size=1, max_size=5), min_size=1, max_size=3)


def run(pieces: list[str], stops: list[str], *, keep: bool) -> tuple[str, bool]:
    matcher = StopMatcher(stops, keep=keep)
    out = ""
    for piece in pieces:
        out += matcher.feed(piece)
        if matcher.stopped:
            return out, True
    return out + matcher.flush(), False


def expected(text: str, stops: list[str], *, keep: bool) -> tuple[str, bool]:
    """The plain definition: the first end of any stop string; of those that end there, the longest."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return (text[:end] if keep else text[: end - max(map(len, ending))]), True
    return text, False


@given(letters, stop_lists, st.lists(st.integers(0, 30), max_size=8), st.booleans())
def test_any_cut_gives_the_plain_answer(text: str, stops: list[str], cuts: list[int], keep: bool) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    assert run(pieces, stops, keep=keep) == expected(text, stops, keep=keep)


@given(letters, stop_lists)
def test_no_more_is_held_back_than_could_become_a_stop(text: str, stops: list[str]) -> None:
    matcher = StopMatcher(stops, keep=False)
    out = ""
    for letter in text:
        out += matcher.feed(letter)
        if matcher.stopped:
            return
    held = text[len(out) :]
    live = [stop[:size] for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])]
    assert held == max(live, key=len, default="")


def test_nothing_is_held_back_when_the_stop_is_kept() -> None:
    matcher = StopMatcher(["\n\nUser:"], keep=True)
    assert [matcher.feed(piece) for piece in ("a\n", "\nUs", "er", ": b")] == ["a\n", "\nUs", "er", ":"]
    assert matcher.stopped


def test_a_dead_prefix_leaves_with_the_next_text() -> None:
    matcher = StopMatcher(["\n\nUser:"], keep=False)
    assert [matcher.feed(piece) for piece in ("a\n", "\nUs", "age")] == ["a", "", "\n\nUsage"]
    assert not matcher.stopped


def test_a_stop_inside_a_longer_piece_is_found() -> None:
    assert run(["one, two, three"], ["two"], keep=False) == ("one, ", True)
    assert run(["one, two, three"], ["two"], keep=True) == ("one, two", True)


@pytest.mark.parametrize("stops", [[], [""], ["", ""]])
def test_empty_stop_strings_stop_nothing(stops: list[str]) -> None:
    assert run(["abc", "def"], stops, keep=False) == ("abcdef", False)


def test_a_long_stop_string_costs_no_more_than_its_text() -> None:
    stop = "a" * 5000 + "b"
    matcher = StopMatcher([stop], keep=False)
    assert matcher.feed("a" * 20_000) == "a" * 15_000
    assert matcher.feed("b") == ""
    assert matcher.stopped


def test_which_stop_string_it_was() -> None:
    matcher = StopMatcher(["cd", "bcd", "x"], keep=False)
    assert matcher.matched is None
    assert "".join(matcher.feed(piece) for piece in ("ab", "c", "d")) == "a"
    assert matcher.matched == "bcd"
