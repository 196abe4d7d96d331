"""One choice as it grows: ids in, token events out, and why it ended. Knows no engine."""

from collections.abc import Sequence

from pronto.core.events import FinishReason, Token, ToolCall, TopToken
from pronto.core.request import TextGeneration
from pronto.engines.text.answer import sorter_of
from pronto.engines.text.detokenize import Detokenizer
from pronto.engines.text.json_end import JsonEnd
from pronto.engines.text.stop import StopMatcher


class Vocabulary:
    """What is known of a model's ids: their text, and which of them end an answer."""

    def __init__(self, detokenizer: Detokenizer, eos: frozenset[int]) -> None:
        self.detokenizer = detokenizer
        self.eos = eos
        self.special = detokenizer.special | eos


class Continuation:
    """The state of one choice. `reason` is None while it goes on; after that no id may be taken."""

    __slots__ = (
        "_choice",
        "_eos",
        "_feed",
        "_flush",
        "_json",
        "_limit",
        "_literal",
        "_sorter",
        "_special",
        "_spoken",
        "_stops",
        "calls",
        "generated",
        "reason",
    )

    def __init__(
        self, vocabulary: Vocabulary, work: TextGeneration, prompt: Sequence[int], choice: int, seed: str = ""
    ) -> None:
        """`seed` makes the ids of tool calls."""
        stream = vocabulary.detokenizer.stream(prompt)
        self._feed, self._flush = stream.feed, stream.flush
        self._literal = vocabulary.detokenizer.literal
        self._special, self._eos = vocabulary.special, vocabulary.eos
        if work.stop_ids:
            self._special, self._eos = self._special | set(work.stop_ids), self._eos | set(work.stop_ids)
        self._stops = StopMatcher(work.stop, keep=work.keep_stop) if work.stop else None
        is_json = work.grammar is not None and work.grammar.kind == "json_schema"
        self._json = JsonEnd() if is_json else None
        self._sorter = sorter_of(work, choice, seed)
        self._spoken: frozenset[int] = frozenset()  # special tokens that structure the answer
        self.calls: list[ToolCall] = []  # pieces of tool calls that came with the last ids; whoever takes them clears
        if self._sorter is not None:
            self._spoken = vocabulary.detokenizer.ids_of(sorted(self._sorter.marks)) & self._special - self._eos
            self.calls = self._sorter.calls
        self._limit = work.max_new_tokens or 0
        self._choice = choice
        self.generated = 0
        self.reason: FinishReason | None = None

    @property
    def stop(self) -> str | None:
        """The stop string that ended it."""
        return self._stops.matched if self._stops is not None and self.reason is FinishReason.STOP else None

    def take(self, id: int, logprob: float | None, top: tuple[TopToken, ...] = ()) -> Token:
        """The event of one id; `top` are the likeliest ones at its place.

        Of several reasons to end, a whole JSON value that was asked for comes first, then the length, the end token,
        and a stop string.
        """
        self.generated += 1
        special = id in self._special
        text = (self._say(id) if id in self._spoken else "") if special else self._feed(id)
        if self.generated >= self._limit:
            self.reason = FinishReason.LENGTH
        elif special and id in self._eos:
            self.reason = FinishReason.EOS
        if self.reason is not None:
            text += self._flush()
        if self._stops is not None:
            text = self._up_to_stop(self._stops, text)
        if self._json is not None:
            text = self._up_to_end(self._json, text)
        part = "answer"
        if self._sorter is not None:
            text, part = self._sorter.take(text, is_last=self.reason is not None)
        # An end token that finds text held back carries it as an ordinary token does, so that nothing is lost.
        if special and not text:
            return Token(self._choice, id, self._literal(id), logprob, True, top)
        return Token(self._choice, id, text, logprob, False, top, part)

    def _say(self, id: int) -> str:
        """A special token that structures the answer, as text, behind what was still incomplete before it."""
        return self._flush() + self._literal(id)

    def _up_to_stop(self, stops: StopMatcher, text: str) -> str:
        text = stops.feed(text)
        if stops.stopped:
            self.reason = self.reason or FinishReason.STOP
        elif self.reason is not None:
            text += stops.flush()
        return text

    def _up_to_end(self, json: JsonEnd, text: str) -> str:
        end = json.feed(text)
        if end is None:
            return text
        if self.reason is not FinishReason.STOP:
            self.reason = FinishReason.EOS
        return text[:end]
