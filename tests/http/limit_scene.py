"""A whole house over real HTTP, with accounts, for tests of limits."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn

from pronto.accounts.tokens import Grant, issue
from pronto.app import App, open_app
from pronto.edge.guard import server_config
from pronto.settings import Settings
from pronto.store.base import LedgerRow

CATALOG = """
default = "echo"
[[models]]
id = "echo"
engine = "echo"
preload = true
[[models]]
id = "acme/pro-only"
engine = "echo"
plan = "pro"
[[models]]
id = "acme/fail-mid"
engine = "echo"
[[models]]
id = "acme/slow-2s"
engine = "echo"
[[models]]
id = "acme/fail-start"
engine = "echo"
"""


class Scene:
    """One running server."""

    def __init__(self, app: App, client: httpx.AsyncClient) -> None:
        self.app, self.client = app, client
        self.end, self.ended = asyncio.Event(), asyncio.Event()

    async def account(self, name: str, plan: str) -> dict[str, str]:
        """A new account; the headers of its token."""
        account = await self.app.store.accounts.add(name, plan)
        token, row = issue(Grant(account_id=account.id, name="test"), 0.0)
        await self.app.store.tokens.add(row)
        return {"authorization": f"Bearer {token}"}

    async def change_plan(self, name: str, plan: str) -> None:
        account = await self.app.store.accounts.by_name(name)
        assert account is not None
        await self.app.store.accounts.set_plan(account.id, plan)
        self.app.authenticator.forget()

    async def post(self, who: dict[str, str], body: dict[str, object], model: str = "echo") -> httpx.Response:
        return await self.client.post(f"/models/{model}", json=body, headers=who)

    async def limits(self, who: dict[str, str]) -> dict[str, dict[str, int]]:
        """The windows by name."""
        page = (await self.client.get("/api/limits", headers=who)).json()
        return {window["name"]: window for window in page["windows"]}

    async def rows(self, name: str) -> Sequence[LedgerRow]:
        account = await self.app.store.accounts.by_name(name)
        assert account is not None
        return await self.app.store.ledger.rows(account_id=account.id, limit=100_000)

    async def close(self) -> None:
        """End the server; the scene is over."""
        self.end.set()
        await self.ended.wait()


@asynccontextmanager
async def open_scene(folder: Path, **overrides: int) -> AsyncIterator[Scene]:
    """A server over the data directory `folder`; a second one may follow when the first is closed."""
    (folder / "catalog.toml").write_text(CATALOG)
    settings = Settings(data_dir=folder, log_requests="none", drain_timeout=5, **overrides)
    ready: asyncio.Future[Scene] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(_run(settings, ready))
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        ready.cancel()
        await running
    yield ready.result()
    ready.result().end.set()
    await running


async def _run(settings: Settings, ready: "asyncio.Future[Scene]") -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with open_app(settings) as app:
            server = uvicorn.Server(server_config(app.http, settings))
            server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]  # the runner keeps its own
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            limits = httpx.Limits(max_connections=256)
            client = httpx.AsyncClient(base_url=url, timeout=30, limits=limits, headers={"x-wait-for-model": "1"})
            scene = Scene(app, client)
            ready.set_result(scene)
            await scene.end.wait()
            server.should_exit = True
            await serving
    await client.aclose()
    scene.ended.set()
