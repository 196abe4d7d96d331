"""Runs the engine of images in the tests' own process, over tiny models that are built once."""

import shutil
from pathlib import Path
from typing import Any

from pronto.core.events import Done, Output
from pronto.core.model import Model, Source
from pronto.core.request import InferenceRequest, Work
from pronto.core.tasks import Task
from pronto.engines.base import Device, EngineEvent
from pronto.engines.batched import BatchedEngine
from pronto.engines.pipelines_vision import make
from pronto.wire.media import media_of
from tests.tiny_vision import build, picture


def media(seed: int, **more: Any):
    return media_of(picture(seed, **more))


class Zoo:
    """Folders of tiny models, and engines with one loaded."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._engines: dict[tuple[str, Task], Bench] = {}

    def folder(self, name: str) -> Path:
        folder = self._base / name
        return folder if folder.exists() else build(name, folder)

    def copy(self, name: str) -> Path:
        """A folder of its own, to be spoilt."""
        return Path(shutil.copytree(self.folder(name), self._base / f"{name}-copy"))

    def bench(self, name: str, task: Task) -> "Bench":
        key = (name, task)
        if key not in self._engines:
            self._engines[key] = Bench(self.folder(name), task)
        return self._engines[key]


class Bench:
    """One loaded engine."""

    def __init__(self, folder: Path, task: Task) -> None:
        self._task, self._next = task, 0
        self.engine: BatchedEngine = make()
        self.ticks: list[int] = []
        self.cancelled: frozenset[int] = frozenset()
        model = Model(
            id="a/b",
            task=task,
            engine="pipelines-vision",
            source=Source(folder="x"),
            revision="r",
            folder=str(folder),
        )
        self.capabilities = self.engine.load(model, Device(threads=1), self._tick)

    def run(self, *works: Work) -> list[EngineEvent]:
        """The answers to requests that come together: each one's value, or how it failed."""
        return [first.value if isinstance(first, Output) else first for first, *_ in self.events(*works)]

    def events(self, *works: Work) -> list[list[EngineEvent]]:
        events: dict[int, list[EngineEvent]] = {}
        for work in works:
            self._next += 1
            events[self._next] = []
            self.engine.add(self._next, InferenceRequest(id=f"r{self._next}", model="a/b", task=self._task, work=work))
        while self.engine.stats().running:
            for id, event in self.engine.step():
                events[id].append(event)
        return list(events.values())

    def done(self, work: Work) -> Done:
        _, last = self.events(work)[0]
        assert isinstance(last, Done)
        return last

    def _tick(self, events: object) -> frozenset[int]:
        self.ticks.append(self._next)
        return self.cancelled
