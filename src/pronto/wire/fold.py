"""Collects the events of one text answer. Shared by the dialects; knows no wire format."""

from pronto.core.events import Done, Event, Finish, FinishReason, Started, Token, ToolCall


class Choice:
    """One continuation as it stands so far."""

    __slots__ = ("_logprobs", "_texts", "count", "reason", "seed", "tokens")

    def __init__(self) -> None:
        self.count = 0  # tokens produced
        self.tokens: list[Token] = []  # empty when the fold does not keep them
        self.reason: FinishReason | None = None
        self.seed: int | None = None
        self._texts: list[str] = []
        self._logprobs = 0.0

    def add(self, token: Token, keeps_tokens: bool) -> None:
        """Take note of one token. Special tokens are no part of the text."""
        self.count += 1
        if not token.special:
            self._texts.append(token.text)
        if token.logprob is not None:
            self._logprobs += token.logprob
        if keeps_tokens:
            self.tokens.append(token)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def mean_logprob(self) -> float:
        """By which the best of several continuations is chosen; minus infinity without tokens."""
        return self._logprobs / self.count if self.count else float("-inf")


class Fold:
    """The sum of the events so far. `done` is set by the last one."""

    __slots__ = ("choices", "done", "keeps_tokens", "started", "tool_calls")

    def __init__(self, *, keeps_tokens: bool = False) -> None:
        self.keeps_tokens = keeps_tokens
        self.started: Started | None = None
        self.done: Done | None = None
        self.choices: dict[int, Choice] = {}
        self.tool_calls: list[ToolCall] = []

    def choice(self, number: int) -> Choice:
        """The continuation of this number, made when it is first seen."""
        found = self.choices.get(number)
        if found is None:
            found = self.choices[number] = Choice()
        return found

    def add(self, event: Event) -> None:
        """Take one event in. Events that say nothing of text are passed over."""
        kind = type(event)
        if kind is Token:
            assert isinstance(event, Token)
            self.choice(event.choice).add(event, self.keeps_tokens)
        elif kind is Finish:
            assert isinstance(event, Finish)
            choice = self.choice(event.choice)
            choice.reason, choice.seed = event.reason, event.seed
        elif isinstance(event, Started):
            self.started = event
        elif isinstance(event, Done):
            self.done = event
        elif isinstance(event, ToolCall):
            self.tool_calls.append(event)

    def ranked(self) -> list[Choice]:
        """The continuations, the one with the highest mean log-probability first; never empty."""
        if len(self.choices) < 2:
            return [self.choice(0)] if not self.choices else list(self.choices.values())
        return sorted(self.choices.values(), key=lambda choice: choice.mean_logprob, reverse=True)
