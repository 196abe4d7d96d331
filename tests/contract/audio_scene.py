"""An engine of sound in this process, and what it makes of works."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pronto.core.events import Done, Output
from pronto.core.media import Media
from pronto.core.model import Model, Source
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Device, Failed, Step
from tests.sounds import sound_file

Heard = Callable[[Step], frozenset[int]]


def built(build: Callable[..., Path], folder: Path, *arguments: Any) -> Path:
    """Libraries warn of each other while they save a model; none of it is ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build(folder, *arguments)


class Studio:
    """One loaded engine. `told` collects what is ticked; `left` are ids whose clients are gone."""

    def __init__(self, folder: Path, task: Task, engine: str) -> None:
        self.task, self.told, self.left = task, [], frozenset[int]()
        self.engine = registry.make(engine)
        source = Source(folder=str(folder))
        model = Model(id="a/b", task=task, engine=engine, source=source, revision="r", folder=str(folder))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.capabilities = self.engine.load(model, Device(threads=1), self._tick)

    def _tick(self, events: Step) -> frozenset[int]:
        self.told += events
        return self.left

    def add(self, id: int, work: Any) -> None:
        self.engine.add(id, InferenceRequest(id=f"r{id}", model="a/b", task=self.task, work=work))

    def run(self) -> dict[int, list[Any]]:
        """All events of each id until nothing is left to do."""
        events: dict[int, list[Any]] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while self.engine.stats().running:
                for id, event in self.engine.step():
                    events.setdefault(id, []).append(event)
        return events

    def ask(self, *works: Any) -> list[Any]:
        """The values of works that run together; a Failed in place of one that has none."""
        for id, work in enumerate(works, 1):
            self.add(id, work)
        events = self.run()
        found = []
        for id in range(1, len(works) + 1):
            *_, last = events[id]
            if isinstance(last, Failed):
                found.append(last)
                continue
            output, done = events[id]
            assert isinstance(output, Output)
            assert isinstance(done, Done)
            self.usage = done.usage
            found.append(output.value)
        return found


def media(samples: Any, name: str = "inputs") -> Media:
    data = samples if isinstance(samples, bytes) else sound_file(samples)
    return Media(digest=hashlib.sha256(data).hexdigest(), size=len(data), data=data, name=name)
