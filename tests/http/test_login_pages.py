"""Login of a device over HTTP: what it is told, what it gets, and what nobody else does."""

from collections.abc import AsyncIterator

import httpx
import pytest

from pronto.accounts.device_login import TTL, DeviceLogins
from pronto.accounts.tokens import digest, looks_valid
from tests.http.edge_scene import MadeTokens, Source, build

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
AGENT = {"user-agent": "some-client/2.4 (x86)"}


class Scene:
    def __init__(self, **overrides: object) -> None:
        self.now = 1000.0
        self.logins, self.tokens = DeviceLogins(lambda: self.now), MadeTokens()
        app, _ = build(Source(), logins=self.logins, tokens=self.tokens, **overrides)
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]  # an ASGI application
        self.client = httpx.AsyncClient(transport=transport, base_url="http://server:8080", headers=AGENT)

    async def begin(self) -> dict[str, str]:
        answer = await self.client.post("/oauth/device", data={"client_id": "c1"})
        assert answer.status_code == 200
        begun: dict[str, str] = answer.json()
        return begun

    async def poll(self, begun: dict[str, str], **fields: str) -> httpx.Response:
        form = {"grant_type": GRANT, "device_code": begun["device_code"], "client_id": "c1"} | fields
        answer = await self.client.post("/oauth/token", data=form)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        self.now += 5
        return answer


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    yield scene
    await scene.client.aclose()


async def test_a_login_from_its_begin_to_its_token(scene: Scene) -> None:
    begun = await scene.begin()
    page = "http://server:8080/oauth/device"
    assert begun["verification_uri"] == page
    assert begun["verification_uri_complete"] == f"{page}?user_code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (900, 2)
    pending = await scene.poll(begun)
    assert (pending.status_code, pending.json()["error"]) == (400, "authorization_pending")
    scene.logins.confirm(begun["user_code"], 7)
    answer = await scene.poll(begun)
    assert answer.status_code == 200
    given = answer.json()
    assert looks_valid(given.pop("access_token"))
    assert given == {"token_type": "bearer", "expires_in": 90 * 86_400, "scope": "read"}
    [row] = scene.tokens.rows
    assert (row.account_id, row.name, row.role) == (7, "login some-client/2.4", "read")
    assert row.digest == digest(answer.json()["access_token"])
    assert row.expires is not None
    assert row.expires - row.created == 90 * 86_400
    assert (await scene.poll(begun)).json()["error"] == "invalid_grant"


async def test_the_refusals_of_the_standard(scene: Scene) -> None:
    begun = await scene.begin()
    assert (await scene.poll(begun, device_code="x" * 64)).json()["error"] == "invalid_grant"
    assert (await scene.poll(begun, client_id="c2")).json()["error"] == "invalid_grant"
    assert (await scene.poll(begun, grant_type="refresh_token")).json()["error"] == "unsupported_grant_type"
    await scene.poll(begun)
    scene.now -= 4.9
    assert (await scene.poll(begun)).json()["error"] == "slow_down"
    scene.logins.deny(begun["user_code"])
    assert (await scene.poll(begun)).json()["error"] == "access_denied"
    begun = await scene.begin()
    scene.now += TTL
    expired = await scene.poll(begun)
    assert (expired.status_code, expired.json()["error"]) == (400, "expired_token")
    assert expired.json()["error_description"] == "The code has expired. Please begin again."


async def test_a_token_that_cannot_be_kept_is_asked_for_again(scene: Scene) -> None:
    begun = await scene.begin()
    scene.logins.confirm(begun["user_code"], 7)
    scene.tokens.is_broken = True
    form = {"grant_type": GRANT, "device_code": begun["device_code"], "client_id": "c1"}
    failed = await scene.client.post("/oauth/token", data=form)
    assert failed.status_code == 503
    assert "access_token" not in failed.text
    scene.tokens.is_broken = False
    assert "access_token" in (await scene.poll(begun)).json()


@pytest.mark.parametrize(
    ("client_id", "agent", "name"),
    [
        ("26be6b09-91c5-47da-9861-d2d2bb7a7e36", "python-httpx2/2.16.2", "login huggingface_hub"),
        ("c1", "curl/8.1", "login curl/8.1"),
        ("c1", "<b>\x1b[31m", "login device"),
        ("c1", "", "login device"),
    ],
)
async def test_what_a_device_is_called(scene: Scene, client_id: str, agent: str, name: str) -> None:
    await scene.client.post("/oauth/device", data={"client_id": client_id}, headers={"user-agent": agent})
    assert [login.device.name for login, _ in scene.logins.waiting()] == [name]


@pytest.mark.parametrize("client_id", ["", "x" * 129, "a b", "é"])
async def test_a_client_has_a_name(scene: Scene, client_id: str) -> None:
    answer = await scene.client.post("/oauth/device", data={"client_id": client_id})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert scene.logins.waiting() == []


async def test_large_and_broken_forms(scene: Scene) -> None:
    large = await scene.client.post("/oauth/token", content=b"a=" + b"x" * 10_000)
    assert large.status_code == 413
    for content in (b"\xff\xfe", b"%zz=%zz", b"&&&==="):
        assert (await scene.client.post("/oauth/token", content=content)).json()["error"] == "unsupported_grant_type"


async def test_an_address_begins_so_many(scene: Scene) -> None:
    for _ in range(10):
        await scene.begin()
    refused = await scene.client.post("/oauth/device", data={"client_id": "c1"})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 6


async def test_the_page_shows_the_command(scene: Scene) -> None:
    begun = await scene.begin()
    path = begun["verification_uri_complete"].removeprefix("http://server:8080")
    page = await scene.client.get(path, headers={"accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert f"pronto login confirm {begun['user_code']} --user NAME" in page.text
    assert begun["device_code"] not in page.text
    plain = (await scene.client.get(path)).json()
    assert plain["command"] == f"pronto login confirm {begun['user_code']} --user NAME"


@pytest.mark.parametrize("code", ["", "<script>", "AAAA-AAAA", "$(reboot)"])
async def test_the_page_repeats_no_other_text(scene: Scene, code: str) -> None:
    answer = await scene.client.get("/oauth/device", params={"user_code": code}, headers={"accept": "text/html"})
    assert "pronto login confirm CODE --user NAME" in answer.text
    assert not code or code not in answer.text


async def test_the_address_that_users_see() -> None:
    scene = Scene(public_url="https://api.example.org/")
    assert (await scene.begin())["verification_uri"] == "https://api.example.org/oauth/device"
    await scene.client.aclose()
