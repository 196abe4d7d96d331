"""Answers of text generation, byte by byte."""

import json

import pytest

from pronto.core.errors import GenerationFailed, Stopped
from pronto.core.events import Done, Event, Finish, FinishReason, Times, Token, TopToken, Usage, Waiting
from pronto.wire.text_reply import StreamedText, TextStyle, WholeText
from tests.unit.wire_cases import answer, started, token


def style(*, is_list: bool = True, streams: bool = False, details: bool = False, prefix: str = "") -> TextStyle:
    return TextStyle(is_list=is_list, streams=streams, details=details, prefix=prefix, characters=5)


def whole(events: list[Event], form: TextStyle) -> bytes:
    encoder = WholeText(form)
    parts = [encoder.feed(event) for event in events]
    assert not any(parts[:-1])
    assert encoder.flush() == b""
    return parts[-1]


def test_a_plain_answer_is_a_list_of_one() -> None:
    assert whole(answer(" a", " b"), style()) == b'[{"generated_text":" a b"}]'


def test_an_object_where_the_route_gives_one() -> None:
    assert whole(answer(" a"), style(is_list=False)) == b'{"generated_text":" a"}'


def test_the_full_text_begins_with_the_prompt() -> None:
    assert whole(answer(" a"), style(prefix="Hello")) == b'[{"generated_text":"Hello a"}]'


def test_an_answer_without_tokens() -> None:
    assert whole(answer(), style()) == b'[{"generated_text":""}]'


def test_details() -> None:
    body = whole(answer(" a", " b", reason=FinishReason.STOP, seed=9), style(details=True))
    assert body == (
        b'[{"generated_text":" a b","details":{"finish_reason":"stop_sequence","generated_tokens":2,"seed":9,'
        b'"prefill":[],"tokens":[{"id":0,"text":" a","logprob":-0.5,"special":false},'
        b'{"id":1,"text":" b","logprob":-0.5,"special":false}]}}]'
    )


def test_a_special_token_is_an_event_but_no_text() -> None:
    events: list[Event] = [
        started(),
        token(" a"),
        token("</s>", id=2, special=True),
        Finish(0, FinishReason.EOS),
        Done(),
    ]
    shown = json.loads(whole(events, style(details=True)))[0]
    assert shown["generated_text"] == " a"
    assert shown["details"]["finish_reason"] == "eos_token"
    assert shown["details"]["seed"] is None
    assert [t["special"] for t in shown["details"]["tokens"]] == [False, True]


def test_the_best_continuation_wins_and_the_others_are_its_details() -> None:
    events: list[Event] = [
        started(),
        token(" bad", choice=0, logprob=-2.0),
        token(" good", choice=1, logprob=-0.1),
        token(" worse", choice=0, logprob=-3.0),
        Finish(0, FinishReason.LENGTH, 11),
        Finish(1, FinishReason.EOS, 12),
        Done(),
    ]
    shown = json.loads(whole(events, style(details=True, prefix="P")))[0]
    assert shown["generated_text"] == "P good"
    assert shown["details"]["seed"] == 12
    (loser,) = shown["details"]["best_of_sequences"]
    assert list(loser) == ["generated_text", "finish_reason", "generated_tokens", "seed", "prefill", "tokens"]
    assert (loser["generated_text"], loser["generated_tokens"], loser["seed"]) == ("P bad worse", 2, 11)


def test_top_tokens() -> None:
    top = Token(0, 1, "a", -0.1, top=(TopToken(1, "a", -0.1), TopToken(2, "b", -0.9)))
    events: list[Event] = [started(), top, Finish(0, FinishReason.LENGTH), Done()]
    shown = json.loads(whole(events, style(details=True)))[0]["details"]["top_tokens"]
    assert [[t["text"] for t in tokens] for tokens in shown] == [["a", "b"]]


def headers(encoder: WholeText | StreamedText) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in encoder.headers}


def test_headers_of_a_whole_answer() -> None:
    encoder = WholeText(style())
    for event in answer(" a", " b"):
        encoder.feed(event)
    assert headers(encoder) == {
        "content-type": "application/json",
        "x-compute-type": "cpu",
        "x-compute-time": "0.115000",
        "x-sha": "abc123",
        "x-compute-characters": "5",
        "x-total-time": "115",
        "x-validation-time": "5",
        "x-queue-time": "10",
        "x-inference-time": "100",
        "x-time-per-token": "50",
        "x-prompt-tokens": "3",
        "x-generated-tokens": "2",
    }


def test_headers_of_a_kept_answer() -> None:
    encoder = WholeText(style())
    for event in [started(age=42), *answer(" a")[1:]]:
        encoder.feed(event)
    assert headers(encoder) == {
        "content-type": "application/json",
        "x-compute-type": "cache",
        "x-compute-time": "0.115000",
        "x-sha": "abc123",
        "age": "42",
    }


def test_warnings_become_headers() -> None:
    encoder = WholeText(style())
    for event in [started(warnings=("parameters; `typical_p` is left out", "a; b")), *answer(" a")[1:]]:
        encoder.feed(event)
    assert [value for name, value in encoder.headers if name == b"x-hf-warning"] == [
        b"parameters; `typical_p` is left out",
        b"a; b",
    ]


def test_a_warning_cannot_break_the_head() -> None:
    encoder = WholeText(style())
    for event in [started(warnings=("a\r\nset-cookie: x", "größer")), *answer(" a")[1:]]:
        encoder.feed(event)
    assert [value for name, value in encoder.headers if name == b"x-hf-warning"] == [b"?", b"gr??er"]


def frames(events: list[Event], form: TextStyle) -> list[bytes]:
    encoder = StreamedText(form)
    return b"".join(encoder.feed(event) for event in events).split(b"\n\n")[:-1]


def test_a_stream_byte_by_byte() -> None:
    assert frames(answer(" a", " b"), style(streams=True)) == [
        b'data: {"index":1,"token":{"id":0,"text":" a","logprob":-0.5,"special":false},'
        b'"generated_text":null,"details":null}',
        b'data: {"index":2,"token":{"id":1,"text":" b","logprob":-0.5,"special":false},'
        b'"generated_text":" a b","details":null}',
    ]


def test_the_last_frame_has_the_details() -> None:
    last = frames(answer(" a", " b", seed=3), style(streams=True, details=True, prefix="Hello"))[-1]
    assert last.endswith(
        b'"generated_text":"Hello a b","details":{"finish_reason":"length","generated_tokens":2,"seed":3,'
        b'"input_length":3}}'
    )


def test_a_token_leaves_when_nothing_else_is_at_hand() -> None:
    encoder = StreamedText(style(streams=True))
    begin, first, finish, done = answer(" a")
    encoder.feed(begin)
    assert encoder.feed(first) == b""
    assert encoder.flush().startswith(b'data: {"index":1')
    assert encoder.flush() == b""
    assert encoder.feed(finish) == b""
    last = json.loads(encoder.feed(done).removeprefix(b"data: "))
    assert last["index"] == 2
    assert last["token"] == {"id": 0, "text": "", "logprob": 0.0, "special": True}
    assert last["generated_text"] == " a"


def test_a_finished_choice_keeps_its_last_token_for_the_end() -> None:
    encoder = StreamedText(style(streams=True))
    begin, first, finish, done = answer(" a")
    for event in (begin, first, finish):
        assert encoder.feed(event) == b""
    assert encoder.flush() == b""
    assert json.loads(encoder.feed(done).removeprefix(b"data: "))["token"]["text"] == " a"


def test_waiting_is_a_comment_in_a_stream_and_nothing_in_a_whole_answer() -> None:
    waiting = Waiting("queue", 2, 3.0)
    assert StreamedText(style(streams=True)).feed(waiting) == b": waiting for a free place, position 2, about 3 s\n\n"
    assert WholeText(style()).feed(waiting) == b""


def test_headers_of_a_stream() -> None:
    encoder = StreamedText(style(streams=True))
    early = {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no"}
    assert headers(encoder) == early
    encoder.feed(started())
    live = {"x-compute-type": "cpu", "x-sha": "abc123", "x-compute-characters": "5"}
    assert headers(encoder) == early | live
    replay = StreamedText(style(streams=True))
    replay.feed(started(age=7))
    assert headers(replay) == early | {"x-compute-type": "cache", "x-sha": "abc123", "age": "7"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GenerationFailed("boom", started=True), ("Request failed during generation: boom", "generation")),
        (Stopped("The server stops.", reason="shutdown"), ("The server stops.", "shutdown")),
        (Stopped("Your token was revoked.", reason="revoked"), ("Your token was revoked.", "revoked")),
    ],
)
def test_a_failure_in_a_stream_follows_the_token_that_was_held(error: Exception, expected: tuple[str, str]) -> None:
    encoder = StreamedText(style(streams=True))
    encoder.feed(started())
    encoder.feed(token(" a"))
    first, last = encoder.fail(error).split(b"\n\n")[:-1]  # type: ignore[arg-type]  # all of them are ProntoErrors
    assert json.loads(first.removeprefix(b"data: "))["token"]["text"] == " a"
    assert json.loads(last.removeprefix(b"data: ")) == {"error": expected[0], "error_type": expected[1]}


def test_times_without_tokens_divide_by_nothing() -> None:
    encoder = WholeText(style())
    for event in (started(), Finish(0, FinishReason.EOS), Done(Usage(3, 0), Times(0, 0, 8.0))):
        encoder.feed(event)
    assert headers(encoder)["x-time-per-token"] == "8"


def test_answers_to_several_prompts() -> None:
    """Choice c of prompt p is choice 2p + c; the better of the two is the answer."""
    form = TextStyle(
        is_list=True, streams=False, details=False, prefix="P", characters=2, more_prefixes=("Q",), choices=2
    )
    logprobs = (-1.0, -0.5, -0.1, -0.2)
    tokens = [token(f" {choice}", choice=choice, logprob=logprob) for choice, logprob in enumerate(logprobs)]
    finishes = [Finish(choice, FinishReason.LENGTH) for choice in range(4)]
    body = whole([started(), *reversed(tokens), *finishes, Done()], form)
    assert body == b'[{"generated_text":"P 1"},{"generated_text":"Q 2"}]'
