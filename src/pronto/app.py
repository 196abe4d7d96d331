"""The composition root: the only file that knows everyone. Builds the house, keeps it, and takes it down in order."""

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import msgspec

from pronto.accounts.authenticator import Authenticator
from pronto.accounts.plans import allows
from pronto.catalog.catalog import Catalog
from pronto.catalog.library import Library
from pronto.core.errors import ProntoError
from pronto.core.model import Model
from pronto.core.request import Options
from pronto.edge.control import ControlServer
from pronto.engines.base import Device
from pronto.fleet.estimates import Estimates
from pronto.fleet.fleet import Fleet
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.preparation import Preparation as PreparationWorkers
from pronto.gateway.cache import Cache
from pronto.gateway.limits import Limits
from pronto.gateway.models import Models
from pronto.gateway.prepare import Preparation
from pronto.gateway.rules import Rules
from pronto.gateway.serve import Gateway
from pronto.gateway.usage import Usage
from pronto.observe import logger
from pronto.settings import Settings
from pronto.shared.memory import MemoryBlobs
from pronto.store.base import Store
from pronto.store.database import open_store

log = logger("app")

CHANGE_POLL = 0.05  # seconds; a change made by another process is seen within twice this
FLUSH_EVERY = 30.0  # seconds between writes of `last used`


class App(msgspec.Struct, frozen=True, kw_only=True):
    """The built house."""

    settings: Settings
    store: Store
    catalog: Catalog
    fleet: Fleet
    gateway: Gateway
    authenticator: Authenticator

    async def drain(self) -> None:
        """Refuse new work and wait for what runs, up to the bound of the settings."""
        self.gateway.is_accepting = False
        deadline = time.monotonic() + self.settings.drain_timeout
        while self.gateway.limits.in_work and time.monotonic() < deadline:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncGenerator[App, None]:
    """Build everything over one data directory, and take it down at the end. The directory is locked by the caller."""
    async with AsyncExitStack() as stack:
        store = await open_store(settings.data_dir)
        stack.push_async_callback(store.close)
        orphaned = await store.ledger.reap()
        if orphaned:
            log.warning("marked requests that a stopped server left unfinished", count=orphaned)
        authenticator = Authenticator(store, clock=time.time, allow_anonymous=settings.allow_anonymous)
        stack.push_async_callback(authenticator.flush)
        catalog = Catalog(settings.data_dir)
        fleet, preparing = await _open_fleet(settings, stack)
        gateway = _build_gateway(settings, store, catalog, fleet, preparing, authenticator)
        app = App(
            settings=settings, store=store, catalog=catalog, fleet=fleet, gateway=gateway, authenticator=authenticator
        )
        await _open_background(app, stack)
        yield app


async def _open_fleet(settings: Settings, stack: AsyncExitStack) -> tuple[Fleet, PreparationWorkers]:
    raise NotImplementedError


def _build_gateway(
    settings: Settings,
    store: Store,
    catalog: Catalog,
    fleet: Fleet,
    preparing: PreparationWorkers,
    authenticator: Authenticator,
) -> Gateway:
    raise NotImplementedError


async def _open_background(app: App, stack: AsyncExitStack) -> None:
    raise NotImplementedError
