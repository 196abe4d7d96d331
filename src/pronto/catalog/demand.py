"""Models that nobody has added, but the operator allows: looked up at the Hub when first asked for, then kept.

Look-ups are few, one for each id, and remembered when they fail as well. Knows no callers and no limits of theirs.
"""

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase

import msgspec

from pronto.catalog import edit
from pronto.catalog.catalog import Catalog
from pronto.catalog.detect import detect
from pronto.catalog.entries import COMMIT, to_entry
from pronto.catalog.hub import Hub, HubFault
from pronto.catalog.names import check_id
from pronto.catalog.sources import Description
from pronto.core.errors import Forbidden, Loading, ModelFailed, ModelNotFound, Overloaded, ProntoError
from pronto.core.model import Model, Source, State
from pronto.core.tasks import Task
from pronto.engines import registry
from pronto.observe import logger

log = logger("catalog")

THREADS = 4  # look-ups at the same time
PER_MINUTE = 30  # look-ups, all callers together
PATIENCE = 10.0  # seconds that a request waits for a look-up
REMEMBERED = 4096  # ids of which a look-up failed
KEPT = 600.0  # seconds that a no is remembered
KEPT_FAULT = 30.0  # seconds, when the Hub could not be asked
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows: `patterns` as in a shell, such as `sentence-transformers/*`; none: nothing."""

    patterns: tuple[str, ...] = ()
    max_bytes: int = 10_000_000_000  # of the files that are fetched
    plan: str = "free"  # the lowest plan that may use what was found


class No(msgspec.Struct, frozen=True, kw_only=True):
    """A look-up that found nothing to serve."""

    error: ProntoError
    until: float  # by the clock
    state: State | None = None  # how the model is shown; None: as one that is not there


class Demand:
    """`clock` gives monotonic seconds. What was found is written into the catalog, pinned to its commit."""

    def __init__(self, catalog: Catalog, hub: Hub, allowance: Allowance, clock: Callable[[], float]) -> None:
        self._catalog, self._hub, self._allowance, self._clock = catalog, hub, allowance, clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="look-up")
        self._flights: dict[str, asyncio.Task[None]] = {}
        self._noes: OrderedDict[str, No] = OrderedDict()
        self._recent: deque[float] = deque(maxlen=PER_MINUTE)

    def allows(self, name: str) -> bool:
        """Whether the id may be looked up. Pure."""
        if not self._allowance.patterns or not _REPO.fullmatch(name):
            return False
        try:
            check_id(name)
        except ValueError:
            return False
        return any(fnmatchcase(name, pattern) for pattern in self._allowance.patterns)

    def imagine(self, name: str) -> Model:
        """What it would be to the rules that decide who may use it."""
        return Model(
            id=name,
            task=Task.TEXT_GENERATION,
            engine="",
            source=Source(repo=name),
            revision="",
            plan=self._allowance.plan,
        )

    def no(self, name: str) -> No | None:
        """What is remembered of an id that was looked up in vain. Never asks the Hub."""
        found = self._noes.get(name)
        return found if found is not None and self._clock() < found.until else None

    async def find(self, name: str) -> None:
        """Afterwards the catalog has the model; only for ids that are allowed.

        Raises ModelNotFound, Forbidden (gated, too large, cannot be served), ModelFailed (the Hub cannot be asked),
        Loading (it takes long), Overloaded (too many look-ups).
        """
        known = self.no(name)
        if known is not None:
            raise known.error
        flight = self._flights.get(name)
        if flight is None:
            self._count()
            flight = self._flights[name] = asyncio.create_task(self._look(name))
            flight.add_done_callback(lambda _: self._flights.pop(name, None))
        done, _ = await asyncio.wait({flight}, timeout=PATIENCE)
        if not done:
            raise Loading(name, estimated_time=PATIENCE, guessed=True, stage="look")
        known = self.no(name)
        if known is not None:
            raise known.error

    async def stop(self) -> None:
        """Give up what is being looked up. Idempotent."""
        for flight in list(self._flights.values()):
            flight.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _count(self) -> None:
        now = self._clock()
        if len(self._recent) == PER_MINUTE and now - self._recent[0] < 60.0:
            raise Overloaded(
                "Too many models are being looked up. Please try again later.",
                retry_after=60.0 - (now - self._recent[0]),
            )
        self._recent.append(now)

    async def _look(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._take_in, name)
            self._catalog.reload_if_changed()
        except HubFault as error:
            self._remember(name, _hub_error(name, error), None, KEPT if error.kind != "unreachable" else KEPT_FAULT)
        except _TooLarge as error:
            self._remember(name, Forbidden(str(error)), State.TOO_BIG, KEPT)
        except ValueError as error:
            self._remember(name, Forbidden(f"{name} cannot be served here: {error}"), State.FAILED, KEPT)
        except Exception as error:
            log.exception("a look-up failed", model=name)
            self._remember(name, ModelFailed(name, f"it could not be looked up ({type(error).__name__})"), None, 30.0)

    def _take_in(self, name: str) -> None:
        """In a thread. Raises ValueError with a sentence."""
        source = Source(repo=name)
        description = self._hub.describe(source)
        if not COMMIT.fullmatch(description.revision):
            raise ValueError("The Hub names no commit for it.")
        if description.bytes > self._allowance.max_bytes:
            raise _TooLarge(name, description.bytes, self._allowance.max_bytes)
        edit.save(self._catalog.folder, to_entry(self._entry(name, description)))
        log.info("a model was found on the Hub", model=name, revision=description.revision)

    def _entry(self, name: str, description: Description) -> dict[str, object]:
        found = detect(description)
        if found.engine not in registry.ENTRIES:
            raise ValueError(f"This version of Pronto has no engine {found.engine!r} yet.")
        table: dict[str, object] = {
            "id": name,
            "task": found.task.value,
            "engine": found.engine,
            "plan": self._allowance.plan,
            "repo": name,
            "revision": description.revision,
            "size": found.size,
            "use": "Found on the Hub when it was first asked for",
        }
        return table | ({"context": found.context} if found.context else {})

    def _remember(self, name: str, error: ProntoError, state: State | None, seconds: float) -> None:
        self._noes.pop(name, None)
        self._noes[name] = No(error=error, until=self._clock() + seconds, state=state)
        while len(self._noes) > REMEMBERED:
            self._noes.popitem(last=False)


class _TooLarge(ValueError):
    def __init__(self, name: str, size: int, most: int) -> None:
        super().__init__(
            f"The model {name} is too large to be loaded automatically ({size / 1e9:.3g}GB > {most / 1e9:.3g}GB). "
            "The operator of this server can add it with `pronto models add`."
        )


def _hub_error(name: str, fault: HubFault) -> ProntoError:
    if fault.kind == "missing":
        return ModelNotFound(name)
    if fault.kind == "gated":
        return Forbidden(str(fault))
    return ModelFailed(name, str(fault), retry_after=KEPT_FAULT)
