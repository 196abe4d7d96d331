"""Runs engines in the tests' own process: adds requests, steps, and sorts events by id."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pronto.core.events import Done, Finish, Token
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.request import InferenceRequest, Sampling, TextGeneration, TokenPrompt, Work
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Capabilities, Device, Engine, EngineEvent, Failed, Step

STEPS = 20_000  # more than any test needs
LETTERS = "The quick brown fox, again"  # as code points it is a prompt for echo, and 26 known ids for a tiny Llama


# Each engine's suite runs on the interpreter that has its library: vLLM's pins clash with the rest.
HERE = [name for name, library in (("openvino", "openvino_genai"), ("vllm", "vllm")) if find_spec(library)]
OWN_HEAD = 32  # the smallest attention head that vLLM has code for on a CPU


def model(engine: str, files: Path | None = None, **settings: Any) -> Model:
    """`files`: what the engine loads, an export or the published folder."""
    named = None if files is None else str(files)
    where = {"exported": named} if engine == "openvino" else {"folder": named}
    return Model(
        id="echo" if engine == "echo" else "tiny",
        task=Task.TEXT_GENERATION,
        engine=engine,
        source=Source(folder="models/tiny"),
        revision="r1",
        settings=EngineSettings(**settings),
        **where,
    )


def generation(text: str = LETTERS, /, *, ids: list[int] | None = None, new: int = 12, **more: Any) -> TextGeneration:
    prompt = TokenPrompt([ord(letter) for letter in text] if ids is None else ids)
    return TextGeneration(prompt=prompt, max_new_tokens=new, **more)


def sampled(seed: int, temperature: float = 1.0) -> Sampling:
    return Sampling(do_sample=True, seed=seed, temperature=temperature)


def load(engine: Engine, model: Model, *, memory_bytes: int = 0) -> Capabilities:
    return engine.load(model, Device(threads=1, memory_bytes=memory_bytes), lambda step: frozenset())


def loaded(name: str, files: Path | None, **settings: Any) -> "Bench":
    """A bench with an engine of this name."""
    if name == "vllm":
        settings = {"kv_cache_mb": 16, **settings}
    engine = registry.make(name)
    capabilities = load(engine, model(name, files, **settings))
    assert capabilities.slots > 0
    assert capabilities.context > len(LETTERS)
    return Bench(engine, capabilities)


def forget_engines() -> None:
    """Before a model of another kind: vLLM keeps the first one's process groups. Engines made before work no more."""
    if "vllm" in HERE:
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        cleanup_dist_env_and_memory()


class Bench:
    """One engine and what it has said so far."""

    def __init__(self, engine: Engine, capabilities: Capabilities | None = None) -> None:
        self.engine, self.capabilities = engine, capabilities or Capabilities(slots=1)
        self.events: dict[int, list[EngineEvent]] = {}
        self._next = 0

    def add(self, work: Work) -> int:
        self._next += 1
        request = InferenceRequest(id=f"r{self._next}", model="tiny", task=Task.TEXT_GENERATION, work=work)
        self.events[self._next] = []
        self.engine.add(self._next, request)
        return self._next

    def step(self) -> Step:
        said = self.engine.step()
        for id, event in said:
            self.events[id].append(event)
        return said

    def until_over(self, ids: Iterable[int]) -> None:
        """Step until each id has ended, then once more: nothing may come after an end."""
        waiting = list(ids)
        for _ in range(STEPS):
            waiting = [id for id in waiting if not self.is_over(id)]
            if not waiting:
                break
            self.step()
        assert not waiting, "the engine did not come to an end"
        self.step()

    def run(self, work: Work) -> list[EngineEvent]:
        id = self.add(work)
        self.until_over([id])
        return self.events[id]

    def is_over(self, id: int) -> bool:
        return any(isinstance(event, Done | Failed) for event in self.events[id])


def tokens(events: list[EngineEvent], choice: int = 0) -> list[Token]:
    return [event for event in events if isinstance(event, Token) and event.choice == choice]


def token_ids(events: list[EngineEvent], choice: int = 0) -> list[int]:
    return [token.id for token in tokens(events, choice)]


def text_of(events: list[EngineEvent], choice: int = 0) -> str:
    return "".join(token.text for token in tokens(events, choice) if not token.special)


def finishes(events: list[EngineEvent]) -> list[Finish]:
    return [event for event in events if isinstance(event, Finish)]


def done(events: list[EngineEvent]) -> Done:
    ends = [event for event in events if isinstance(event, Done | Failed)]
    assert len(ends) == 1
    assert ends[0] is events[-1]
    assert isinstance(ends[0], Done), ends[0]
    return ends[0]


def failed(events: Sequence[EngineEvent]) -> Failed:
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    return events[0]
