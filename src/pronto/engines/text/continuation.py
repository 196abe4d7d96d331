"""One choice as it grows: ids in, token events out, and why it ended. Knows no engine."""

from collections.abc import Sequence

from pronto.core.events import FinishReason, Token
from pronto.core.request import TextGeneration
from pronto.engines.text.detokenize import Detokenizer
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
        "_limit",
        "_literal",
        "_special",
        "_stops",
        "generated",
        "reason",
    )

    def __init__(self, vocabulary: Vocabulary, work: TextGeneration, prompt: Sequence[int], choice: int) -> None:
        stream = vocabulary.detokenizer.stream(prompt)
        self._feed, self._flush = stream.feed, stream.flush
        self._literal = vocabulary.detokenizer.literal
        self._special, self._eos = vocabulary.special, vocabulary.eos
        self._stops = StopMatcher(work.stop, keep=work.keep_stop) if work.stop else None
        self._limit = work.max_new_tokens or 0
        self._choice = choice
        self.generated = 0
        self.reason: FinishReason | None = None

    @property
    def stop(self) -> str | None:
        """The stop string that ended it."""
        return self._stops.matched if self._stops is not None and self.reason is FinishReason.STOP else None

    def take(self, id: int, logprob: float | None) -> Token:
        """The event of one id. Of several reasons to end, the length comes first, then the end token, then a stop."""
        self.generated += 1
        special = id in self._special
        text = "" if special else self._feed(id)
        if self.generated >= self._limit:
            self.reason = FinishReason.LENGTH
        elif special and id in self._eos:
            self.reason = FinishReason.EOS
        if self.reason is not None:
            text += self._flush()
        if self._stops is not None:
            text = self._up_to_stop(self._stops, text)
        # An end token that finds text held back carries it as an ordinary token does, so that nothing is lost.
        if special and not text:
            return Token(self._choice, id, self._literal(id), logprob, True)
        return Token(self._choice, id, text, logprob)

    def _up_to_stop(self, stops: StopMatcher, text: str) -> str:
        text = stops.feed(text)
        if stops.stopped:
            self.reason = self.reason or FinishReason.STOP
        elif self.reason is not None:
            text += stops.flush()
        return text
