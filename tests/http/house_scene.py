"""The edge over a real store and a real authenticator; only the models are a stand-in."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from pronto.accounts.authenticator import Authenticator
from pronto.accounts.device_login import DeviceLogins
from pronto.accounts.issuing import Issuing, NewToken
from pronto.accounts.plans import Plans
from pronto.accounts.registry import OPERATOR, NewAccount, Registry
from pronto.core.identity import Caller, Role
from pronto.core.request import InferenceRequest
from pronto.edge.application import build_app
from pronto.edge.metrics import Metrics
from pronto.edge.ports import Rooms
from pronto.gateway.conversation import Conversations
from pronto.gateway.limits import Limits
from pronto.settings import Settings
from pronto.shared.counters import MemoryCounters
from pronto.store.base import Reservation, Settlement, Store
from pronto.store.database import open_store
from tests.http.edge_scene import Source


class Watched(Source):
    """Remembers who asked."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Caller] = []

    def serve(self, caller: Caller, request: InferenceRequest):
        self.callers.append(caller)
        return super().serve(caller, request)


class House:
    """A server with the operator's own hands: what they do is done at the command line."""

    def __init__(self, store: Store, client: httpx.AsyncClient, source: Watched, door: Authenticator) -> None:
        self.store, self.client, self.source, self.door = store, client, source, door
        self.limits: Limits
        self.settings: Settings
        self.logins: DeviceLogins
        self.registry = Registry(store, Plans, actor=OPERATOR, now=time.time)
        self.issuing = Issuing(store, actor=OPERATOR, now=time.time, may_make_admins=True)
        self.secrets: list[str] = []

    async def user(self, name: str, plan: str = "free", **token: object) -> dict[str, str]:
        """A new account; the headers of its token."""
        await self.registry.add(NewAccount(name=name, plan=plan))
        return await self.token(name, **token)

    async def org(self, name: str, plan: str = "enterprise", **members: str) -> None:
        await self.registry.add(NewAccount(name=name, plan=plan, kind="org"))
        for user, role in members.items():
            await self.registry.set_member(name, user, role)
        self.door.forget()

    async def token(self, user: str, **fields: object) -> dict[str, str]:
        secret, _ = await self.issuing.create(NewToken(**{"user": user, "name": f"{user}'s", **fields}))
        self.secrets.append(secret)
        return {"authorization": f"Bearer {secret}"}

    async def admin(self, name: str = "root") -> dict[str, str]:
        return await self.user(name, role=Role.FINE_GRAINED, scopes=("admin",))

    async def use(self, account: str, model: str, *, org: str | None = None, days_ago: int = 0) -> None:
        """One settled row of the ledger: 3 tokens read, 5 made."""
        payer = None if org is None else (await self.registry.find(org)).id
        now = time.time_ns() // 1000 - days_ago * 86_400_000_000
        row = Reservation(
            id=now + random.randrange(1000),
            request_id="r",
            account_id=(await self.registry.find(account)).id,
            org_id=payer,
            token_id=1,
            model=model,
            task="text-generation",
            created=now,
            prompt_tokens=3,
        )
        end = {"finish": "eos", "prompt_tokens": 3, "generated_tokens": 5, "queue_ms": 0, "inference_ms": 1}
        await self.store.ledger.record(row, Settlement(id=row.id, ended=now, **end))

    async def ask(self, headers: dict[str, str], model: str = "tiny") -> httpx.Response:
        return await self.client.post(f"/models/{model}", json={"inputs": "Hi"}, headers=headers)


@asynccontextmanager
async def open_house(folder: Path, **overrides: object) -> AsyncIterator[House]:
    store, source = await open_store(folder), Watched()
    door = Authenticator(store, time.time)
    rooms = Rooms(
        gateway=source,
        limits=Limits(MemoryCounters(), None, time.time_ns, per_tenant=100, total=100),
        authenticator=door,
        conversations=Conversations(store.conversations, ttl=60.0, account_bytes=1_000_000, now=time.time),
        answers=store.answers,
        logins=DeviceLogins(time.monotonic),
        tokens=store.tokens,
        plans=Plans(),
        store=store,
        settings=Settings(**{"log_requests": "none", "failed_logins_per_minute": 100_000, **overrides}),
        metrics=Metrics(),
    )
    transport = httpx.ASGITransport(app=build_app(rooms))  # type: ignore[arg-type]  # an ASGI application
    async with httpx.AsyncClient(transport=transport, base_url="http://server:8080") as client:
        house = House(store, client, source, door)
        house.limits, house.settings, house.logins = rooms.limits, rooms.settings, rooms.logins
        yield house
    await store.close()
