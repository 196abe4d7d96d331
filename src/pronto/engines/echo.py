"""A real engine without a model: it says the prompt's characters again and again, one token each.

The last part of the model's id can be magic, so that every failure can be reached from outside: see `MAGIC`.
"""

import random
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pronto.core.events import Done, Finish, FinishReason, Progress, Token, ToolCall, Usage
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, TextGeneration, TextPrompt, TokenPrompt
from pronto.engines.base import Capabilities, Device, EngineEvent, Failed, Stats, Step, Tick
from pronto.engines.text.answer import sorter_of
from pronto.engines.text.stop import StopMatcher
from pronto.engines.text.words import from_code_points

MAGIC = {
    "echo": "as fast as it can",
    "slow-2s": "each request takes two seconds, spread over its tokens",
    "slow-load": "loading takes two seconds",
    "fail-start": "loading fails",
    "fail-mid": "each request fails after three tokens",
    "flaky": "a prompt with `crash-once:PATH` kills the worker before its first token, unless the file PATH exists",
    "crash": "a prompt with `crash` kills the worker after three tokens, one with `crash-early` before the first",
    "hang": "a prompt with `hang` makes a step sleep for ever",
}

SLOTS = 64
CONTEXT = 4096  # tokens
KV_TOKENS_PER_MB = 1024
DEFAULT_NEW_TOKENS = 20
SLOW_REQUEST = 2.0  # seconds
SLOW_LOAD = 2.0  # seconds
NAP = 0.005  # seconds; the longest that a step waits for a token to be due
FEW = 3  # tokens


class Crash(Exception):
    """Out of step(): the worker's death, as the prompt asked for."""


class Voice:
    """One continuation: characters in turn, with stop strings and tool calls found across them."""

    __slots__ = ("_at", "_sorter", "_stops", "calls", "characters", "index", "is_over", "seed")

    def __init__(self, index: int, characters: list[str], work: TextGeneration, name: str) -> None:
        self.index = index
        self._sorter = sorter_of(work, index, name)
        self.calls: list[ToolCall] = self._sorter.calls if self._sorter is not None else []
        self._stops = StopMatcher(work.stop, keep=work.keep_stop) if work.stop else None
        self.seed: int | None = None
        if work.sampling.do_sample:
            self.seed = (work.sampling.seed or 0) + index
            characters = random.Random(self.seed).sample(characters, len(characters))
        self.characters = characters
        self._at = 0
        self.is_over = False

    @property
    def stop(self) -> str | None:
        return self._stops.matched if self._stops is not None else None

    def speak(self, logprob: float | None, *, is_last: bool) -> tuple[Token, FinishReason]:
        """The next token, and why it ends if `is_over` is set by then."""
        text = character = self.characters[self._at % len(self.characters)]
        self._at += 1
        reason = FinishReason.LENGTH
        self.is_over = is_last
        if self._stops is not None:
            text = self._stops.feed(character)
            if self._stops.stopped:
                self.is_over = True
                reason = reason if is_last else FinishReason.STOP
            elif is_last:
                text += self._stops.flush()
        if self._sorter is None:
            return Token(self.index, ord(character), text, logprob), reason
        text, part = self._sorter.take(text, is_last=self.is_over)
        return Token(self.index, ord(character), text, logprob, part=part), reason


class Running:
    """One request in work."""

    __slots__ = ("began", "generated", "id", "is_cancelled", "length", "logprob", "prompt", "spoken", "voices")

    def __init__(self, id: int, work: TextGeneration, began: float, name: str) -> None:
        self.prompt = _text_of(work)
        characters = list(self.prompt)
        self.id, self.began = id, began
        self.length = DEFAULT_NEW_TOKENS if work.max_new_tokens is None else work.max_new_tokens
        self.logprob = 0.0 if work.logprobs else None
        self.voices = [Voice(index, characters, work, name) for index in range(work.choices)]
        self.spoken = 0  # by each choice that is not over
        self.generated = 0  # by all choices
        self.is_cancelled = False

    def speak(self, events: list[tuple[int, EngineEvent]]) -> bool:
        """One token of each choice. True: the request is over."""
        self.spoken += 1
        is_last = self.spoken >= self.length
        still_open = False
        for voice in self.voices:
            if voice.is_over:
                continue
            token, reason = voice.speak(self.logprob, is_last=is_last)
            self.generated += 1
            events.append((self.id, token))
            if voice.calls:
                events += [(self.id, call) for call in voice.calls]
                voice.calls.clear()
            if voice.is_over:
                stop = voice.stop if reason is FinishReason.STOP else None
                events.append((self.id, Finish(voice.index, reason, voice.seed, stop)))
            else:
                still_open = True
        return not still_open

    def give_up(self, events: list[tuple[int, EngineEvent]]) -> None:
        for voice in self.voices:
            if not voice.is_over:
                events.append((self.id, Finish(voice.index, FinishReason.CANCELLED, voice.seed)))

    def usage(self) -> Usage:
        return Usage(len(self.prompt), self.generated)


class EchoEngine:
    """See Engine. `clock` gives monotonic seconds; `sleep` waits."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._magic = "echo"
        self._capabilities = Capabilities(slots=SLOTS)
        self._waiting: deque[tuple[int, TextGeneration, str]] = deque()  # with the request's own id
        self._running: dict[int, Running] = {}
        self._over: list[tuple[int, EngineEvent]] = []  # ends of requests that never ran

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        self._magic = model.id.rpartition("/")[2]
        if self._magic == "fail-start":
            raise ValueError("this model fails to load, as its name says")
        if self._magic == "slow-load":
            self._load_slowly(tick)
        slots = model.settings.slots or SLOTS
        context = model.context or CONTEXT
        cache_mb = model.settings.kv_cache_mb
        self._capabilities = Capabilities(
            slots=slots,
            context=context,
            kv_tokens=cache_mb * KV_TOKENS_PER_MB if cache_mb is not None else slots * context,
            dtype="text",
        )
        return self._capabilities

    def _load_slowly(self, tick: Tick) -> None:
        began, total = self._clock(), 20
        for done in range(total):
            tick([(0, Progress(done, total, "steps", "load"))])
            self._sleep(max(0.0, began + SLOW_LOAD * (done + 1) / total - self._clock()))
        tick([(0, Progress(total, total, "steps", "load"))])

    def add(self, id: int, request: InferenceRequest) -> None:
        work = request.work
        if not isinstance(work, TextGeneration):
            self._over.append((id, Failed("invalid_input", "This model only generates text.")))
            return
        try:
            prompt = _text_of(work)
        except ValueError:
            self._over.append((id, Failed("invalid_input", "The prompt has ids that are no characters.")))
            return
        if prompt:
            self._waiting.append((id, work, request.id))
        else:
            self._over.append((id, Failed("invalid_input", "The prompt is empty: please write something.")))

    def cancel(self, id: int) -> None:
        if id in self._running:
            self._running[id].is_cancelled = True
        for waiting in self._waiting:
            if waiting[0] == id:
                self._waiting.remove(waiting)
                finishes = [(id, Finish(i, FinishReason.CANCELLED)) for i in range(waiting[1].choices)]
                self._over += [*finishes, (id, Done())]
                return

    def step(self) -> Step:
        events, self._over = self._over, []
        self._admit()
        ended = []
        now = self._clock()
        for running in self._running.values():
            if running.is_cancelled:
                running.give_up(events)
            elif self._magic == "fail-mid" and running.spoken >= FEW:
                events.append((running.id, Failed("generation", "This model fails in the middle, as its name says.")))
                ended.append(running.id)
                continue
            elif not self._is_due(running, now):
                continue
            else:
                self._misbehave(running)
                if not running.speak(events):
                    continue
            events.append((running.id, Done(running.usage())))
            ended.append(running.id)
        for id in ended:
            del self._running[id]
        if not events and self._running:
            self._sleep(NAP)
        return events

    def stats(self) -> Stats:
        used = sum(len(r.prompt) + r.generated for r in self._running.values()) if self._running else 0
        share = min(1.0, used / self._capabilities.kv_tokens) if self._capabilities.kv_tokens else 0.0
        return Stats(running=len(self._running), waiting=len(self._waiting), kv_used=share)

    def _admit(self) -> None:
        held = sum(len(running.voices) for running in self._running.values()) if self._waiting else 0
        while self._waiting:
            id, work, name = self._waiting[0]
            if self._running and held + work.choices > self._capabilities.slots:
                return
            self._waiting.popleft()
            held += work.choices
            self._running[id] = Running(id, work, self._clock(), name)

    def _is_due(self, running: Running, now: float) -> bool:
        if self._magic != "slow-2s":
            return True
        return now >= running.began + SLOW_REQUEST * (running.spoken + 1) / running.length

    def _misbehave(self, running: Running) -> None:
        prompt = running.prompt
        if self._magic == "crash" and "crash" in prompt and running.spoken >= (0 if "crash-early" in prompt else FEW):
            raise Crash("the prompt asked for a crash")
        if self._magic == "flaky" and "crash-once:" in prompt and _is_first_time(prompt):
            raise Crash("the prompt asked for one crash")
        if self._magic == "hang" and "hang" in prompt:
            while True:
                self._sleep(3600.0)


def _text_of(work: TextGeneration) -> str:
    """Raises ValueError for ids that are no characters, halves of surrogate pairs included."""
    prompt = work.prompt
    if not isinstance(prompt, TextPrompt | TokenPrompt):
        raise ValueError("the prompt was not prepared")
    try:
        text = prompt.text if isinstance(prompt, TextPrompt) else from_code_points(prompt.ids)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    text.encode()
    return text


def _is_first_time(prompt: str) -> bool:
    """Whether the file that the prompt names is not there yet; makes it. Only files in the temporary folder count."""
    words = prompt.partition("crash-once:")[2].split()
    path = Path(words[0]).resolve() if words else Path()
    if not path.is_relative_to(Path(tempfile.gettempdir()).resolve()) or path.exists():
        return False
    path.touch()
    return True
