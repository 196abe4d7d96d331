"""Stop strings, matched on text as it grows, however it is cut into pieces. Knows no tokens."""

from collections.abc import Sequence


class StopMatcher:
    """The stop string that is complete first ends the text; of several complete at once, the longest.

    With `keep` the text ends right after it and nothing is held back. Without, the text ends before it, and the
    longest end of the text that could still become a stop string is held back.
    """

    __slots__ = ("_fallbacks", "_held", "_keep", "_states", "_stops", "matched", "stopped")

    def __init__(self, stops: Sequence[str], *, keep: bool) -> None:
        self._stops = tuple(dict.fromkeys(stop for stop in stops if stop))
        self._fallbacks = tuple(_fallback(stop) for stop in self._stops)
        self._states = [0] * len(self._stops)  # characters of each stop string that the text ends with
        self._held = ""
        self._keep = keep
        self.stopped = False
        self.matched: str | None = None  # the stop string that ended the text

    def feed(self, text: str) -> str:
        """The text that may leave now. Sets `stopped` when a stop string is complete; what follows it is dropped."""
        for position, character in enumerate(text):
            matched = self._advance(character)
            if matched:
                self.stopped = True
                return self._cut(text[: position + 1], matched)
        return text if self._keep else self._release(text)

    def flush(self) -> str:
        """What is held back, at the end of a text that no stop string ended."""
        held, self._held = self._held, ""
        return held

    def _advance(self, character: str) -> int:
        """Length of the longest stop string that this character completes; 0 for none."""
        matched = 0
        for index, stop in enumerate(self._stops):
            state, fallback = self._states[index], self._fallbacks[index]
            while state and stop[state] != character:
                state = fallback[state]
            if stop[state] == character:
                state += 1
            if state == len(stop):
                if state > matched:
                    matched, self.matched = state, stop
                state = fallback[state]
            self._states[index] = state
        return matched

    def _cut(self, text: str, matched: int) -> str:
        if self._keep:
            return text
        whole = self._held + text
        self._held = ""
        return whole[: len(whole) - matched]

    def _release(self, text: str) -> str:
        whole = self._held + text
        ready = len(whole) - max(self._states, default=0)
        self._held = whole[ready:]
        return whole[:ready]


def _fallback(stop: str) -> list[int]:
    """For each length of a matched start, the longest shorter start that it ends with (Knuth-Morris-Pratt)."""
    table = [0] * (len(stop) + 1)
    state = 0
    for position in range(1, len(stop)):
        while state and stop[state] != stop[position]:
            state = table[state]
        if stop[state] == stop[position]:
            state += 1
        table[position + 1] = state
    return table
