"""What an administrator does with models while the server runs: load, unload, pin. Knows no page and no account."""

from contextlib import aclosing, suppress
from pathlib import Path

import msgspec

from pronto.catalog import edit, entries
from pronto.core.errors import InvalidInput, Loading, Overloaded
from pronto.core.request import Options
from pronto.fleet.fleet import Fleet
from pronto.gateway.models import Models


class AtWork(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded model. `kv_used` from 0 to 1."""

    id: str
    running: int
    waiting: int
    slots: int
    kv_used: float
    memory_bytes: int
    is_pinned: bool


class Operations:
    """`data_dir` has the operator's catalog."""

    def __init__(self, models: Models, fleet: Fleet, data_dir: Path) -> None:
        self._models, self._fleet, self._data_dir = models, fleet, data_dir

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes that are held, and the budget."""
        return self._fleet.memory.used, self._fleet.memory.budget

    def at_work(self) -> list[AtWork]:
        return [
            AtWork(
                id=deployment.model.id,
                running=deployment.running,
                waiting=deployment.waiting,
                slots=deployment.capabilities.slots,
                kv_used=deployment.stats.kv_used,
                memory_bytes=self._fleet.state(deployment.model).memory_bytes or 0,
                is_pinned=deployment.model.pin,
            )
            for deployment in self._fleet.loaded()
        ]

    def is_pinned(self, id: str) -> bool:
        return self._models.resolve(id).pin

    async def load(self, id: str) -> None:
        """Begin to load a model; it goes on by itself. Raises ModelNotFound and ModelFailed."""
        steps = self._models.ready(self._models.resolve(id), Options())
        with suppress(Loading):  # that it has begun
            async with aclosing(steps):
                async for _ in steps:
                    return

    async def unload(self, id: str) -> None:
        """Raises InvalidInput when it is not loaded, and Overloaded when it is busy."""
        model = self._models.resolve(id)
        if await self._fleet.unload(model.id):
            return
        if any(one.model.id == model.id for one in self._fleet.loaded()):
            raise Overloaded(f"{model.id} is answering somebody. Please try again when it is idle.", retry_after=5.0)
        raise InvalidInput(f"{model.id} is not loaded.", "model")

    async def pin(self, id: str, is_pinned: bool) -> None:
        """A pinned model is never unloaded for another. Raises ModelNotFound and InvalidInput."""
        model = self._models.resolve(id)
        own = {table["id"]: table for table in edit.read(self._data_dir).tables}
        table = own.get(model.id, {"id": model.id}) | {"pin": is_pinned}
        try:
            edit.save(self._data_dir, entries.to_entry(table))
        except ValueError as error:
            raise InvalidInput(str(error), "model") from error
