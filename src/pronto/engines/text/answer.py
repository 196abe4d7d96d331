"""An answer's text, sorted into reasoning, text and calls of tools, one piece of text for each token."""

from pronto.core.events import ToolCall
from pronto.core.request import TextGeneration
from pronto.engines.text.reasoning import ReasoningSplitter
from pronto.engines.text.tool_calls import CallParser

ANSWER, REASONING = "answer", "reasoning"


class AnswerSorter:
    """Fed the text of each token. `calls` collects pieces of calls until somebody takes them away."""

    def __init__(self, work: TextGeneration, choice: int, seed: str) -> None:
        self._reasoning = ReasoningSplitter(work.thinking) if work.thinking is not None else None
        self._parser = CallParser(work.tool_style, choice, seed) if work.tool_style is not None else None
        self._waiting: list[tuple[str, str]] = []  # (part, text), in order; a token carries one part only
        self.calls: list[ToolCall] = []

    @property
    def marks(self) -> frozenset[str]:
        """Texts that structure the answer, also where the vocabulary has them as special tokens."""
        return frozenset().union(*(each.marks for each in (self._reasoning, self._parser) if each is not None))

    def take(self, text: str, *, is_last: bool) -> tuple[str, str]:
        """(text, part) of the token that brought `text`."""
        self._sort(text)
        if is_last:
            self._flush()
            # There is no later token: what is left goes with this one.
            return "".join(text for _, text in self._waiting), self._waiting[-1][0] if self._waiting else ANSWER
        if not self._waiting:
            return "", ANSWER
        part, text = self._waiting.pop(0)
        return text, part

    def _sort(self, text: str) -> None:
        if self._reasoning is not None:
            reasoning, text = self._reasoning.feed(text)
            self._put(REASONING, reasoning)
        self._parse(text)

    def _flush(self) -> None:
        if self._reasoning is not None:
            reasoning, text = self._reasoning.flush()
            self._put(REASONING, reasoning)
            self._parse(text)
        if self._parser is not None:
            self._put(ANSWER, self._parser.flush())

    def _parse(self, text: str) -> None:
        if self._parser is not None:
            text, calls = self._parser.feed(text)
            self.calls.extend(calls)
        self._put(ANSWER, text)

    def _put(self, part: str, text: str) -> None:
        if not text:
            return
        if self._waiting and self._waiting[-1][0] == part:
            text = self._waiting.pop()[1] + text
        self._waiting.append((part, text))


def sorter_of(work: TextGeneration, choice: int, seed: str) -> AnswerSorter | None:
    """None where the whole answer is text."""
    if work.tool_style is None and work.thinking is None:
        return None
    return AnswerSorter(work, choice, seed)
