"""Runs text engines in the tests' own process, one request alone or many in one batch."""

import functools
from pathlib import Path
from typing import Any

from pronto.core.events import Done, Output, Usage
from pronto.core.model import Model, Source
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.engines.base import Device, Engine, Failed
from tests import tiny_text

STEPS = 2000


@functools.cache
def folder_of(base: Path, kind: str) -> Path:
    """The tiny model of this kind, built once."""
    return tiny_text.build(base / kind, kind)


def model_of(folder: Path, task: Task, engine: str = "pipelines-text", **more: Any) -> Model:
    source = Source(folder=str(folder))
    return Model(
        id=f"tiny/{folder.name}", task=task, engine=engine, source=source, revision="r", folder=str(folder), **more
    )


def loaded(model: Model) -> Engine:
    engine = registry.make(model.engine)
    engine.load(model, Device(threads=1), lambda _: frozenset())
    return engine


class Asker:
    """One loaded engine."""

    def __init__(self, model: Model) -> None:
        self.model, self.engine = model, loaded(model)
        self._last = 0

    def add(self, work: Any) -> int:
        self._last += 1
        self.engine.add(
            self._last, InferenceRequest(id=f"r{self._last}", model=self.model.id, task=self.model.task, work=work)
        )
        return self._last

    def events(self, *works: Any) -> list[list[Any]]:
        """What came of each, all of them added before the first step."""
        ids = {self.add(work): number for number, work in enumerate(works)}
        found: list[list[Any]] = [[] for _ in works]
        for _ in range(STEPS):
            if not self.engine.stats().running:
                break
            for id, event in self.engine.step():
                found[ids[id]].append(event)
        return found

    def ask(self, *works: Any) -> list[Any]:
        """The values."""
        return [self._value(events) for events in self.events(*works)]

    def one(self, work: Any) -> Any:
        return self.ask(work)[0]

    def usage(self, work: Any) -> Usage:
        return self.events(work)[0][-1].usage

    def failure(self, work: Any) -> Failed:
        [failed] = self.events(work)[0]
        assert isinstance(failed, Failed), failed
        return failed

    @staticmethod
    def _value(events: list[Any]) -> Any:
        assert len(events) == 2, events
        output, done = events
        assert type(output) is Output, events
        assert type(done) is Done
        return output.value
