"""The composition root: the only file that knows everyone. Builds the house, keeps it, and takes it down in order."""

import asyncio
import contextlib
import os
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import msgspec
import psutil

from pronto.accounts.authenticator import Authenticator
from pronto.accounts.device_login import DeviceLogins
from pronto.accounts.mail import Mail
from pronto.accounts.people import People
from pronto.accounts.plans import Plans
from pronto.accounts.sessions import Sessions
from pronto.accounts.sso import Sso
from pronto.accounts.sso_people import SsoPeople
from pronto.accounts.stripe_billing import StripeBilling
from pronto.catalog.catalog import Catalog
from pronto.catalog.demand import Allowance, Demand
from pronto.catalog.engine_choice import look_around
from pronto.catalog.hub import Hub
from pronto.catalog.library import Library
from pronto.core.clock import SteadyClock
from pronto.core.errors import ProntoError, StorageFailed
from pronto.core.model import State
from pronto.core.request import Options
from pronto.edge import openapi
from pronto.edge.application import Application, build_app
from pronto.edge.control import ControlServer
from pronto.edge.house_metrics import house_metrics
from pronto.edge.login_desk import LoginDesk
from pronto.edge.media_input import uploads_folder
from pronto.edge.model_desk import ModelDesk
from pronto.edge.ports import Rooms
from pronto.edge.spool import empty
from pronto.engines import registry
from pronto.engines.base import Device
from pronto.fleet.estimates import Estimates
from pronto.fleet.fleet import Fleet, Host
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.nursery import Nursery
from pronto.fleet.preparation import Preparation as PreparationWorkers
from pronto.fleet.replica import LoadFailed
from pronto.gateway.cache import Cache
from pronto.gateway.conversation import Conversations
from pronto.gateway.finding import Finding
from pronto.gateway.history import History
from pronto.gateway.limits import Limits
from pronto.gateway.models import Models
from pronto.gateway.operations import Operations
from pronto.gateway.prepare import Preparation
from pronto.gateway.rules import Rules
from pronto.gateway.serve import Gateway, Stages
from pronto.gateway.usage import Usage
from pronto.observe import logger
from pronto.settings import Settings, environment
from pronto.shared.counters import MemoryCounters
from pronto.shared.memory import MemoryBlobs
from pronto.store.base import Store
from pronto.store.database import open_store
from pronto.web import ports as web
from pronto.web.site import Site

log = logger("app")

CHANGE_POLL = 0.05  # seconds; a change made by another process is seen within twice this
FLUSH_EVERY = 30.0  # seconds between writes of `last used`
TIDY_EVERY = 60.0  # seconds between looks for kept conversations that have expired or are too many
DRAIN_POLL = 0.02  # seconds
DAY_US = 86_400_000_000  # microseconds
WARM_AFTER = 1.0  # seconds after the start
MEMORY_SHARE = 0.8  # of what is free at start, for models


class App(msgspec.Struct, frozen=True, kw_only=True):
    """The built house. `http` is the ASGI application."""

    settings: Settings
    store: Store
    catalog: Catalog
    fleet: Fleet
    gateway: Gateway
    authenticator: Authenticator
    plans: Plans
    logins: DeviceLogins
    http: Application

    async def drain(self) -> None:
        """Say that we are leaving, refuse new work after the grace, and wait for what runs within the bound."""
        self.http.health.is_ready = False
        await asyncio.sleep(self.settings.stop_grace)
        self.gateway.is_accepting = False
        deadline = time.monotonic() + self.settings.drain_timeout
        while self.gateway.limits.in_work and time.monotonic() < deadline:  # noqa: ASYNC110  because Limits is no part of asyncio
            await asyncio.sleep(DRAIN_POLL)


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What workers stand on."""

    fleet: Fleet
    preparing: PreparationWorkers
    library: Library
    nursery: Nursery


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncGenerator[App, None]:
    """Build everything over one data directory, and take it down at the end. The caller holds the directory's lock.

    Raises ValueError and StorageFailed with a sentence for the operator.
    """
    async with AsyncExitStack() as stack:
        empty(uploads_folder(settings))
        machine = build_machine(settings)
        stack.push_async_callback(machine.nursery.stop)
        machine.nursery.begin()  # it imports while the rest is built
        store = await open_store(settings.data_dir)
        stack.push_async_callback(store.close)
        orphaned = await store.ledger.reap()
        if orphaned:
            log.warning("requests that a stopped server had not finished are marked", count=orphaned)
        plans = Plans(settings.data_dir)
        authenticator = Authenticator(store, clock=time.time, allow_anonymous=settings.allow_anonymous)
        stack.push_async_callback(authenticator.flush)
        catalog = Catalog(settings.data_dir, present=look_around(settings.vllm_python))
        stack.push_async_callback(machine.preparing.stop)
        stack.push_async_callback(machine.fleet.stop)
        logins = DeviceLogins(time.monotonic)
        gateway = _build_gateway(settings, store, catalog, machine, authenticator, plans)
        if gateway.finding is not None:
            stack.push_async_callback(gateway.finding.stop)
        app = App(
            settings=settings,
            store=store,
            catalog=catalog,
            fleet=machine.fleet,
            gateway=gateway,
            authenticator=authenticator,
            plans=plans,
            logins=logins,
            http=build_app(
                Rooms(
                    gateway=gateway,
                    limits=gateway.limits,
                    authenticator=authenticator,
                    conversations=_conversations(settings, store),
                    answers=store.answers,
                    logins=logins,
                    tokens=store.tokens,
                    plans=plans,
                    store=store,
                    settings=settings,
                    metrics=house_metrics(machine.fleet, machine.nursery, gateway.limits),
                )
            ),
        )
        mail = Mail(settings)
        site = app.http.site = _site(app, mail)
        await _begin(app, machine, stack)
        for work in (mail.run(), asyncio.to_thread(site.view.warm_up)):
            _keep(asyncio.create_task(work), stack)
        yield app


def _site(app: App, mail: Mail) -> Site:
    settings = app.settings
    return Site(
        web.Rooms(
            models=app.gateway.models,
            operations=Operations(app.gateway.models, app.fleet, settings.data_dir),
            limits=app.gateway.limits,
            authenticator=app.authenticator,
            logins=app.logins,
            plans=app.plans,
            people=People(app.store, app.plans, now=time.time, clock=time.monotonic),
            mail=mail,
            billing=StripeBilling(settings, app.store, app.plans),
            sso=Sso(settings.sso, time.monotonic),
            sso_people=SsoPeople(app.store, app.plans, time.time),
            sessions=Sessions(app.store, time.time, idle=settings.session_idle, lifetime=settings.session_lifetime),
            store=app.store,
            settings=settings,
            openapi=openapi.document(),
        )
    )


def build_machine(settings: Settings) -> Machine:
    """Launcher, fleet, preparation and library; no process is started yet."""
    threads = settings.threads or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    memory = settings.memory_mb * 2**20 if settings.memory_mb else int(psutil.virtual_memory().available * MEMORY_SHARE)
    device = Device(kind="cpu", threads=threads, memory_bytes=memory)
    nursery = Nursery(environment(), threads=threads, heavy_bytes=settings.warm_mb * 2**20)
    launcher = SubprocessLauncher(
        settings.data_dir / "run", hang_s=settings.worker_hang, step_limit_s=settings.worker_step_limit, nursery=nursery
    )
    library = Library(
        settings.data_dir, disk_mb=settings.disk_mb, endpoint=settings.hub_endpoint, token=settings.hub_token
    )
    host = Host(
        device=device,
        memory_bytes=memory,
        idle_unload=settings.idle_unload,
        queue_size=settings.max_concurrent_requests,
    )
    estimates = Estimates(settings.data_dir / "estimates.json")
    return Machine(
        fleet=Fleet(launcher, host, library, estimates, clock=time.monotonic, rng=random.Random()),
        preparing=PreparationWorkers(
            launcher, Device(threads=1), timeout=settings.prepare_timeout, grammar_timeout=settings.grammar_timeout
        ),
        library=library,
        nursery=nursery,
    )


def _build_gateway(
    settings: Settings,
    store: Store,
    catalog: Catalog,
    machine: Machine,
    authenticator: Authenticator,
    plans: Plans,
) -> Gateway:
    blobs = MemoryBlobs(max_bytes=settings.cache_mb * 2**20, clock=time.monotonic)
    demand = _demand(settings, catalog)
    models = Models(
        catalog,
        machine.fleet,
        machine.library.locate,
        default=settings.default_model,
        load_timeout=settings.load_timeout,
        clock=time.monotonic,
    )
    models.demand = demand
    rules = Rules(
        plan_of=lambda caller: plans.of(caller.plan, caller.limits or ""),
        level_of=plans.level_of,
        still_valid=authenticator.still_valid,
        queue_timeout=settings.queue_timeout,
    )
    limits = Limits(
        MemoryCounters(),
        History(store.ledger),
        SteadyClock(),
        per_tenant=settings.account_concurrency,
        total=settings.max_concurrent_requests,
    )
    stages = Stages(
        models=models,
        rules=rules,
        limits=limits,
        finding=Finding(models, rules, limits, demand) if demand is not None else None,
        cache=Cache(blobs, ttl=settings.cache_ttl, secret=secrets.token_bytes(32), now=time.time),
        preparation=Preparation(machine.preparing, max_new_tokens=settings.max_new_tokens),
        usage=Usage(store.ledger, lambda: time.time_ns() // 1000),
    )
    return Gateway(stages, clock=time.monotonic, rng=random.SystemRandom())


def _demand(settings: Settings, catalog: Catalog) -> Demand | None:
    if not settings.hub_allow:
        return None
    allowance = Allowance(
        patterns=settings.hub_allow, max_bytes=settings.hub_allow_mb * 1_000_000, plan=settings.hub_allow_plan
    )
    return Demand(catalog, Hub(settings.hub_endpoint, settings.hub_token), allowance, time.monotonic)


def _conversations(settings: Settings, store: Store) -> Conversations:
    account_bytes = settings.account_conversations_mb * 2**20
    return Conversations(store.conversations, ttl=settings.conversation_ttl, account_bytes=account_bytes, now=time.time)


async def _begin(app: App, machine: Machine, stack: AsyncExitStack) -> None:
    """Start what goes on beside the requests."""
    app.gateway.models.note_pins()
    control = ControlServer(
        app.settings.data_dir,
        {
            "ping": lambda _: _answer({"pid": os.getpid()}),
            "models": lambda _: _answer({"models": app.gateway.models.list()}),
            **ModelDesk(app.gateway.models, app.store.audit).handlers(),
            **LoginDesk(app.logins, app.store.accounts, app.store.audit).handlers(),
        },
    )
    await control.start()
    stack.push_async_callback(control.close)
    for work in (
        _see_changes(app),
        _every(FLUSH_EVERY, app.authenticator.flush),
        _every(TIDY_EVERY, lambda: _tidy(app)),
        _start_preparation(machine.preparing),
        _warm_up(app, machine),
        *(_preload(app, model.id) for model in app.catalog.list() if model.preload),
    ):
        _keep(asyncio.create_task(work), stack)


async def _answer(value: Any) -> Any:
    return value


async def _see_changes(app: App) -> None:
    """What another process, such as the command line, changes in the database or the catalog holds here at once."""
    while True:
        await asyncio.sleep(CHANGE_POLL)
        try:
            if await app.store.changed():
                app.authenticator.forget()
            app.plans.reload_if_changed()
            if app.catalog.reload_if_changed():
                app.gateway.models.note_pins()
        except Exception as error:
            log.error("changes cannot be looked for", reason=str(error))
            await asyncio.sleep(1.0)


async def _every(seconds: float, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await what()


async def _tidy(app: App) -> None:
    """A database that cannot be written now is met again, and reported, by whoever asks for an answer."""
    with contextlib.suppress(StorageFailed):
        await app.store.conversations.tidy(time.time(), most_bytes=app.settings.conversations_mb * 2**20)
        if days := app.settings.ledger_retention_days:
            await app.store.ledger.forget(time.time_ns() // 1000 - days * DAY_US)
        await app.store.sign_ins.tidy(time.time())
        await app.store.links.tidy(time.time())
        await app.store.answers.tidy(time.time(), most_bytes=app.settings.answers_mb * 2**20)


async def _start_preparation(preparing: PreparationWorkers) -> None:
    try:
        await preparing.start()
    except (LoadFailed, ProntoError) as error:
        log.error("the preparation worker does not start", reason=str(error))


async def _warm_up(app: App, machine: Machine) -> None:
    """Import what the heavy engines of models that are on this disk need, once the server answers."""
    await asyncio.sleep(WARM_AFTER)
    here = (model for model in app.catalog.list() if model.engine in registry.ENTRIES)
    modules = {
        name
        for model in here
        if machine.library.state(model) is not State.DESCRIBED
        for name in registry.entry(model.engine).preload
    }
    if registry.is_heavy(tuple(modules)):
        machine.nursery.begin(sorted(modules))


async def _preload(app: App, id: str) -> None:
    model = app.gateway.models.resolve(id)
    try:
        async with aclosing(app.gateway.models.ready(model, Options(wait_for_model=True))) as steps:
            async for _ in steps:
                continue
    except ProntoError as error:
        log.error("a model could not be loaded at start", model=id, reason=error.message)


def _keep(task: asyncio.Task[None], stack: AsyncExitStack) -> None:
    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)
