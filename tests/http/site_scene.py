"""The pages over a real store; only the models are a stand-in. A Browser keeps its cookie and fills in forms."""

import asyncio
import html
import re
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import httpx
from argon2 import PasswordHasher

from pronto.accounts.mail import Mail
from pronto.accounts.passwords import Passwords
from pronto.accounts.people import People
from pronto.accounts.plans import Plans
from pronto.accounts.sessions import Place, Sessions
from pronto.accounts.sso import Sso
from pronto.accounts.sso_people import SsoPeople
from pronto.accounts.stripe_billing import StripeBilling
from pronto.core.errors import ModelNotFound, Overloaded
from pronto.edge import openapi
from pronto.gateway.operations import AtWork
from pronto.store.database import open_store
from pronto.store.sqlite import FILE_NAME
from pronto.web.ports import Rooms
from pronto.web.site import Site
from tests.http.house_scene import House, open_house

# Hashing with little work: 0.2 ms. That the real one takes long is shown in tests/unit/test_passwords.py.
QUICK = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
FORM = re.compile(r'name="_form" value="([0-9a-f]{64})"')
HTML = {"accept": "text/html,application/xhtml+xml"}


class Operations:
    """Remembers what it was told to do with models."""

    def __init__(self) -> None:
        self.memory = (3 * 2**29, 2**32)
        self.done: list[tuple[str, str]] = []

    def at_work(self) -> list[AtWork]:
        load = {"running": 2, "waiting": 1, "slots": 8, "kv_used": 0.25}
        return [AtWork(id="tiny", memory_bytes=3 * 2**29, is_pinned=False, **load)]

    def is_pinned(self, id: str) -> bool:
        return ("pin", id) in self.done

    async def load(self, id: str) -> None:
        if id == "nothing":
            raise ModelNotFound(id)
        self.done.append(("load", id))

    async def unload(self, id: str) -> None:
        if id == "busy":
            raise Overloaded("busy is answering somebody. Please try again when it is idle.", retry_after=5.0)
        self.done.append(("unload", id))

    async def pin(self, id: str, is_pinned: bool) -> None:
        self.done.append(("pin" if is_pinned else "unpin", id))


class Browser:
    """One person's browser: it sends what browsers send, and follows where a form leads."""

    def __init__(self, transport: httpx.AsyncBaseTransport, base: str, cookie: str = "") -> None:
        self.base, self.cookie = base, cookie
        self.client = httpx.AsyncClient(transport=transport, base_url=base, headers=HTML | {"user-agent": "Firefox/1"})
        self.last: httpx.Response

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._send("GET", path, headers)

    async def post(self, path: str, fields: dict[str, object] | None = None, **headers: str) -> httpx.Response:
        """With the token of the last page's form, as a click in it would send it."""
        token = FORM.search(self.last.text)
        data = {"_form": token[1]} if token else {}
        sent = {"sec-fetch-site": "same-origin", "origin": self.base, **headers}
        return await self._send("POST", path, sent, data={**data, **(fields or {})})

    async def follow(self) -> httpx.Response:
        while self.last.is_redirect:
            await self.get(self.last.headers["location"])
        return self.last

    async def submit(self, page: str, path: str, fields: dict[str, object] | None = None) -> httpx.Response:
        """Open a page, send its form, and see where that leads."""
        await self.get(page)
        await self.post(path, fields)
        return await self.follow()

    async def _send(self, method: str, path: str, headers: dict[str, str], **content: object) -> httpx.Response:
        if self.cookie:
            headers = {"cookie": self.cookie, **headers}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.last = await self.client.request(method, path, headers=headers, **content)  # type: ignore[arg-type]  # as given
        for line in self.last.headers.get_list("set-cookie"):
            self.cookie = "" if "Max-Age=0" in line else line.split(";")[0]
        return self.last


class Web:
    """A server with pages. `house` has the operator's own hands."""

    def __init__(self, house: House, rooms: Rooms, site: Site, transport: httpx.ASGITransport) -> None:
        self.house, self.rooms, self.site, self.store = house, rooms, site, house.store
        self._transport = transport
        self.clock = [0.0]  # monotonic seconds, of what slows people down
        self._browsers: list[Browser] = []

    def browser(self, base: str = "http://localhost:8080", cookie: str = "") -> Browser:
        browser = Browser(self._transport, base, cookie)
        self._browsers.append(browser)
        return browser

    async def signed_in(self, name: str, plan: str = "free") -> Browser:
        """The browser of a user, who is made where there is none."""
        account = await self.store.accounts.by_name(name)
        if account is None:
            await self.house.user(name, plan)
            account = await self.store.accounts.by_name(name)
        assert account is not None
        secret, _ = await self.rooms.sessions.begin(account, Place("127.0.0.1", "Firefox/1"))
        return self.browser(cookie=f"__Host-pronto={secret}")

    async def administrator(self, name: str = "root") -> Browser:
        browser = await self.signed_in(name)
        account = await self.store.accounts.by_name(name)
        assert account is not None
        await self.store.passwords.set_administrator(account.id, time.time())
        return browser

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.client.aclose()


def words(response: httpx.Response) -> str:
    """What a page says, without its tags, in one line."""
    text = re.sub(r"<(script|style|title)\b.*?</\1>|<[^>]+>", " ", response.text, flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


@cache
def _empty_database() -> bytes:
    """Made once: its migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:

        async def make() -> None:
            await (await open_store(Path(folder))).close()

        thread = threading.Thread(target=lambda: asyncio.run(make()))
        thread.start()
        thread.join()
        return (Path(folder) / FILE_NAME).read_bytes()


def put_database(folder: Path) -> Path:
    """An empty database into a folder, which comes back."""
    (folder / FILE_NAME).write_bytes(_empty_database())
    return folder


@asynccontextmanager
async def open_web(folder: Path, **overrides: object) -> AsyncIterator[Web]:
    put_database(folder)
    web_clock = [1000.0]
    async with open_house(folder, **overrides) as house:
        transport = house.client._transport
        assert isinstance(transport, httpx.ASGITransport)
        app = transport.app
        rooms = Rooms(
            models=house.source.models,
            operations=Operations(),
            limits=house.limits,
            authenticator=house.door,
            logins=house.logins,
            plans=Plans(),
            sessions=Sessions(house.store, time.time),
            people=People(house.store, Plans(), now=time.time, clock=lambda: web_clock[0], passwords=QUICK),
            billing=StripeBilling(house.settings, house.store, Plans()),
            sso=Sso(house.settings.sso, lambda: web_clock[0]),
            sso_people=SsoPeople(house.store, Plans(), time.time),
            mail=Mail(house.settings, pause=0.01),
            store=house.store,
            settings=house.settings,
            openapi=openapi.document(),
        )
        app.site = Site(rooms)  # type: ignore[attr-defined]  # an Application
        web = Web(house, rooms, app.site, transport)  # type: ignore[attr-defined]  # as above
        web.clock = web_clock
        sending = asyncio.create_task(rooms.mail.run())
        yield web
        sending.cancel()
        await web.close()
