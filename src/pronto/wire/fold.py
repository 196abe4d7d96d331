"""Collects the events of one text answer. Shared by the dialects; knows no wire format."""

from collections.abc import Iterable

from pronto.core.events import Done, Event, Finish, FinishReason, Prefill, PromptToken, Started, Token, ToolCall


class Choice:
    """One continuation as it stands so far."""

    __slots__ = ("prefill", "reason", "seed", "tokens")

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.prefill: tuple[PromptToken, ...] = ()  # of the first choice of a prompt alone
        self.reason: FinishReason | None = None
        self.seed: int | None = None

    @property
    def text(self) -> str:
        """What was generated; special tokens are no part of it."""
        return "".join([token.text for token in self.tokens if not token.special])

    @property
    def mean_logprob(self) -> float:
        """By which the best of several continuations is chosen; minus infinity without tokens."""
        if not self.tokens:
            return float("-inf")
        return sum(token.logprob or 0.0 for token in self.tokens) / len(self.tokens)


class Fold:
    """The sum of the events so far. `done` is set by the last one."""

    __slots__ = ("choices", "done", "started", "tool_calls")

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.started: Started | None = None
        self.done: Done | None = None
        self.choices: dict[int, Choice] = {}
        self.tool_calls: list[ToolCall] = []
        add, choices = self.add, self.choices
        for event in events:
            if type(event) is Token and event.choice in choices:
                choices[event.choice].tokens.append(event)
            else:
                add(event)

    def choice(self, number: int) -> Choice:
        """The continuation of this number, made when it is first seen."""
        found = self.choices.get(number)
        if found is None:
            found = self.choices[number] = Choice()
        return found

    def add(self, event: Event) -> None:
        """Take one event in. Events that say nothing of text are passed over."""
        if type(event) is Token:
            # By far the most frequent event, so it gets the shortest way.
            try:
                self.choices[event.choice].tokens.append(event)
            except KeyError:
                self.choice(event.choice).tokens.append(event)
        elif isinstance(event, Finish):
            choice = self.choice(event.choice)
            choice.reason, choice.seed = event.reason, event.seed
        elif isinstance(event, Started):
            self.started = event
        elif isinstance(event, Done):
            self.done = event
        elif isinstance(event, Prefill):
            self.choice(event.choice).prefill = event.tokens
        elif isinstance(event, ToolCall):
            self.tool_calls.append(event)

    def ranked_among(self, numbers: range) -> list[Choice]:
        """The continuations of these numbers, as `ranked` gives them: those of one prompt of several."""
        return sorted(map(self.choice, numbers), key=lambda choice: choice.mean_logprob, reverse=True)

    def ranked(self) -> list[Choice]:
        """The continuations, the one with the highest mean log-probability first; never empty."""
        if len(self.choices) < 2:
            return list(self.choices.values()) or [self.choice(0)]
        return sorted(self.choices.values(), key=lambda choice: choice.mean_logprob, reverse=True)
