"""The administration over HTTP: who is let in, what it changes, and what it never gives."""

import base64
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog

from pronto.accounts.tokens import TOKEN_PATTERN, digest, mint
from pronto.core.identity import ADMIN_SCOPE, INFERENCE_SCOPE, Role
from pronto.edge.routes import TABLE
from tests.http.house_scene import House, open_house

ROUTES = [route for route in TABLE if route.path.startswith("/api/admin/")]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def others(house: House) -> dict[str, tuple[int, dict[str, str]]]:
    """Everybody who is no administrator, with the status that they get."""
    revoked = await house.user("revoked", role=Role.FINE_GRAINED, scopes=(ADMIN_SCOPE,))
    await house.issuing.revoke([row.id for row in await house.store.tokens.list()])
    suspended = await house.user("suspended", role=Role.FINE_GRAINED, scopes=(ADMIN_SCOPE,))
    await house.registry.suspend("suspended")
    owner = await house.user("owner", "enterprise")
    await house.org("acme", owner="admin")
    return {
        "none": (401, {}),
        "another scheme": (401, {"authorization": "Basic YWRtaW46YWRtaW4="}),
        "malformed": (401, {"authorization": "Bearer admin"}),
        "unknown": (401, {"authorization": f"Bearer {mint()}"}),
        "revoked": (401, revoked),
        "suspended": (403, suspended),
        "read": (403, await house.token("owner", role=Role.READ)),
        "write": (403, await house.token("owner", role=Role.WRITE)),
        "inference": (403, await house.token("owner", role=Role.FINE_GRAINED, scopes=(INFERENCE_SCOPE,))),
        "a scope like it": (403, await house.token("owner", role=Role.FINE_GRAINED, scopes=("admin.read", "Admin"))),
        "an organisation": (403, await house.token("acme", role=Role.WRITE)),
        "an organisation's admin": (403, owner | {"x-hf-bill-to": "acme"}),
    }


async def test_nobody_else_is_let_in_anywhere(house: House) -> None:
    people = await others(house)
    before = len(await house.store.audit.list(limit=1000))
    assert len(ROUTES) == 20
    for route in ROUTES:
        path = route.path.replace("{id}", "owner")
        for who, (status, headers) in people.items():
            # No body: whoever may not is told so before anything is read.
            answer = await house.client.request(route.method, path, headers=headers)
            assert answer.status_code == status, f"{who} at {route.method} {path}"
    assert len(await house.store.audit.list(limit=1000)) == before


async def test_an_administrator_is_let_in_everywhere(house: House) -> None:
    admin = await house.admin()
    for route in ROUTES:
        answer = await house.client.request(route.method, route.path.replace("{id}", "nobody"), headers=admin)
        assert answer.status_code not in (401, 403, 405, 500), f"{route.method} {route.path}"


@pytest.mark.parametrize(
    "path", ["//api/admin/users", "/api/admin/users/", "/api//admin/users", "/api/admin/../admin/users"]
)
async def test_other_spellings_of_a_path_open_no_door(house: House, path: str) -> None:
    ann = await house.user("ann")
    assert (await house.client.get(path, headers=ann)).status_code in (403, 404)


async def test_accounts_are_made_changed_and_suspended(house: House) -> None:
    admin = await house.admin()
    made = await house.client.post(
        "/api/admin/users", json={"name": "eve", "plan": "pro", "email": "e@x.org"}, headers=admin
    )
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    assert {name: made.json()[name] for name in ("name", "plan", "email", "kind")} == {
        "name": "eve",
        "plan": "pro",
        "email": "e@x.org",
        "kind": "user",
    }
    eve = await house.token("eve")
    assert (await house.ask(eve)).status_code == 200
    change = {"plan": "enterprise", "limits": {"requests": {"hour": 5}}}
    changed = await house.client.patch("/api/admin/users/eve", json=change, headers=admin)
    assert (changed.json()["plan"], changed.json()["limits"]) == ("enterprise", {"requests": {"hour": 5}})
    await house.ask(eve)
    assert [caller.plan for caller in house.source.callers] == ["pro", "enterprise"]
    assert json.loads(house.source.callers[1].limits) == {"requests": {"hour": 5}}
    assert (await house.client.patch("/api/admin/users/eve", json={"limits": None}, headers=admin)).json()[
        "limits"
    ] is None
    assert (
        await house.client.patch("/api/admin/users/eve", json={"suspended": True}, headers=admin)
    ).status_code == 200
    assert (await house.ask(eve)).status_code == 403
    assert (
        await house.client.patch("/api/admin/users/eve", json={"suspended": False}, headers=admin)
    ).status_code == 200
    assert (await house.ask(eve)).status_code == 200
    names = [user["name"] for user in (await house.client.get("/api/admin/users", headers=admin)).json()]
    assert names == ["root", "eve"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "users", {"name": "eve", "id": 1}),
        ("POST", "users", {"name": "eve", "kind": "org"}),
        ("POST", "users", {"name": "eve", "suspended": None}),
        ("POST", "orgs", {"name": "eve", "email": "a@b"}),
        ("PATCH", "users/ann", {"name": "root"}),
        ("PATCH", "users/ann", {"kind": "org"}),
        ("PATCH", "users/ann", {"plan": "pro", "created": 5}),
        ("PUT", "orgs/acme/members", {"user": "ann", "role": "admin", "org_id": 1}),
        ("POST", "tokens", {"user": "ann", "digest": "x"}),
        ("POST", "tokens", {"user": "ann", "account_id": 1}),
        ("POST", "users", {"name": ""}),
        ("POST", "users", {"name": "operator"}),
        ("POST", "users", {"name": "anonymous"}),
        ("POST", "users", {"name": "a/b"}),
        ("POST", "users", {"name": "a\nb"}),
        ("POST", "users", {"name": "ann"}),
        ("POST", "users", {"name": "eve", "plan": "anonymous"}),
        ("POST", "users", {"name": "eve", "plan": "gold"}),
        ("POST", "users", {"name": "eve", "email": "no address"}),
        ("PATCH", "users/ann", {"plan": "gold"}),
        ("PATCH", "users/ann", {"limits": {"requests": {"hour": -5}}}),
        ("PATCH", "users/ann", {"limits": {"requests": {"hour": 1.5}}}),
        ("PATCH", "users/ann", {"limits": {"requests": {"hour": 1e300}}}),
        ("PATCH", "users/ann", {"limits": {"color": 1}}),
        ("PATCH", "users/ann", {"plan": "pro", "limits": {"color": 1}}),
        ("PATCH", "users/ann", {"suspended": 1}),
        ("PUT", "orgs/acme/members", {"user": "ann", "role": "owner"}),
        ("POST", "tokens", {"user": "ann", "role": "admin"}),
        ("POST", "tokens", {"user": "ann", "role": "read", "scopes": ["a"]}),
        ("POST", "tokens", {"user": "ann", "role": "fineGrained", "scopes": ["a b"]}),
        ("POST", "tokens", {"user": "ann", "role": "fineGrained", "scopes": ["admin:x"]}),
        ("POST", "tokens", {"user": "ann", "expires": "yesterday"}),
        ("POST", "tokens", {"user": "ann", "name": "two\nlines"}),
    ],
)
async def test_what_cannot_be_meant_changes_nothing(house: House, method: str, path: str, body: object) -> None:
    admin = await house.admin()
    await house.user("ann")
    await house.org("acme")
    before = await house.store.accounts.list(), await house.store.tokens.list(), await house.store.audit.list()
    answer = await house.client.request(method, f"/api/admin/{path}", json=body, headers=admin)
    assert answer.status_code == 422, answer.text
    assert before == (
        await house.store.accounts.list(),
        await house.store.tokens.list(),
        await house.store.audit.list(),
    )


async def test_what_is_not_there_is_said(house: House) -> None:
    admin = await house.admin()
    await house.user("ann")
    await house.org("acme")
    for method, path in (
        ("GET", "users/acme"),
        ("GET", "orgs/ann"),
        ("GET", "users/nobody"),
        ("DELETE", "tokens/77"),
        ("DELETE", "tokens/ann"),
        ("POST", "tokens/77/rotate"),
        ("DELETE", "orgs/acme/members?user=ann"),
        ("GET", "usage?user=nobody"),
        ("GET", "tokens?user=nobody"),
    ):
        assert (await house.client.request(method, f"/api/admin/{path}", headers=admin)).status_code == 404, path
    patched = await house.client.patch("/api/admin/users/acme", json={"suspended": True}, headers=admin)
    assert patched.status_code == 404


async def test_organisations_and_their_members(house: House) -> None:
    admin, ann = await house.admin(), await house.user("ann")
    await house.client.post("/api/admin/orgs", json={"name": "acme", "plan": "enterprise"}, headers=admin)
    put = await house.client.put("/api/admin/orgs/acme/members", json={"user": "ann", "role": "admin"}, headers=admin)
    assert put.json() == {"name": "ann", "role": "admin"}
    assert (await house.ask(ann | {"x-hf-bill-to": "acme"})).status_code == 200
    shown = (await house.client.get("/api/admin/orgs/acme", headers=admin)).json()
    assert [(one["name"], one["role"]) for one in shown["members"]] == [("ann", "admin")]
    orgs = (await house.client.get("/api/admin/users/ann", headers=admin)).json()["orgs"]
    assert [(one["name"], one["role"]) for one in orgs] == [("acme", "admin")]
    gone = await house.client.delete("/api/admin/orgs/acme/members?user=ann", headers=admin)
    assert gone.status_code == 204
    assert (await house.ask(ann | {"x-hf-bill-to": "acme"})).status_code == 403
    await house.client.patch("/api/admin/orgs/acme", json={"plan": "pro"}, headers=admin)
    assert [org["plan"] for org in (await house.client.get("/api/admin/orgs", headers=admin)).json()] == ["pro"]


async def test_tokens_are_made_rotated_and_revoked(house: House) -> None:
    admin = await house.admin()
    await house.user("ann")
    body = {
        "user": "ann",
        "name": "ci",
        "role": "fineGrained",
        "scopes": [f"{INFERENCE_SCOPE}:demo/*"],
        "expires": "1d",
    }
    made = await house.client.post("/api/admin/tokens", json=body, headers=admin)
    assert made.status_code == 201
    shown = made.json()
    first = {"authorization": f"Bearer {shown['token']}"}
    assert (await house.ask(first)).status_code == 200
    rotated = (await house.client.post(f"/api/admin/tokens/{shown['id']}/rotate", headers=admin)).json()
    assert (rotated["id"], rotated["name"], rotated["scopes"]) == (shown["id"], "ci", body["scopes"])
    second = {"authorization": f"Bearer {rotated['token']}"}
    assert [(await house.ask(headers)).status_code for headers in (first, second)] == [401, 200]
    assert (await house.client.delete(f"/api/admin/tokens/{shown['id']}", headers=admin)).status_code == 204
    assert (await house.ask(second)).status_code == 401
    again = await house.client.post(f"/api/admin/tokens/{shown['id']}/rotate", headers=admin)
    assert again.status_code == 422
    listed = (await house.client.get("/api/admin/tokens?user=ann", headers=admin)).json()
    assert [(one["id"], one["revoked"] is None) for one in listed] == [(2, True), (3, False)]


async def test_no_administrator_is_made_over_http(house: House) -> None:
    admin = await house.admin()
    await house.user("ann")
    body = {"user": "ann", "role": "fineGrained", "scopes": [INFERENCE_SCOPE, "admin"]}
    assert (await house.client.post("/api/admin/tokens", json=body, headers=admin)).status_code == 403
    # Nor is the secret of one given out, its own included.
    assert (await house.client.post("/api/admin/tokens/1/rotate", headers=admin)).status_code == 403
    assert (await house.client.get("/api/admin/users", headers=admin)).status_code == 200
    assert [row.scopes for row in await house.store.tokens.list()] == [("admin",), ()]


async def test_usage_of_anybody(house: House) -> None:
    admin = await house.admin()
    await house.user("ann")
    await house.user("bob")
    await house.org("acme", ann="write")
    await house.use("ann", "tiny", org="acme")
    await house.use("bob", "tiny")

    async def seen(query: str) -> list[tuple[str, str | None]]:
        answer = await house.client.get(f"/api/admin/usage?{query}", headers=admin)
        return [(row["account"], row["org"]) for row in answer.json()["usage"]]

    assert await seen("") == [("ann", "acme"), ("bob", None)]
    assert await seen("user=bob") == [("bob", None)]
    assert await seen("org=acme") == [("ann", "acme")]
    await house.registry.remove("ann")
    assert await seen("") == [("(removed)", "acme"), ("bob", None)]
    assert "text/csv" in (await house.client.get("/api/admin/usage?format=csv", headers=admin)).headers["content-type"]


async def test_each_change_leaves_a_line_in_the_name_of_its_maker(house: House) -> None:
    admin = await house.admin("zoe")
    steps = (
        ("POST", "users", {"name": "ann"}, ("account.add", "ann")),
        ("PATCH", "users/ann", {"plan": "pro"}, ("account.plan", "ann")),
        ("PATCH", "users/ann", {"limits": {"concurrency": 2}}, ("account.limits", "ann")),
        ("PATCH", "users/ann", {"suspended": True}, ("account.suspend", "ann")),
        ("PATCH", "users/ann", {"suspended": False}, ("account.resume", "ann")),
        ("POST", "orgs", {"name": "acme"}, ("account.add", "acme")),
        ("PUT", "orgs/acme/members", {"user": "ann"}, ("member.set", "acme")),
        ("DELETE", "orgs/acme/members?user=ann", None, ("member.remove", "acme")),
        ("POST", "tokens", {"user": "ann"}, ("token.create", "ann")),
        ("POST", "tokens/2/rotate", None, ("token.rotate", "ann")),
        ("DELETE", "tokens/2", None, ("token.revoke", "ann")),
    )
    for method, path, body, _ in steps:
        answer = await house.client.request(method, f"/api/admin/{path}", json=body, headers=admin)
        assert answer.status_code < 300, answer.text
    entries = (await house.client.get("/api/admin/audit?limit=11", headers=admin)).json()
    assert [(entry["action"], entry["subject"]) for entry in reversed(entries)] == [step[3] for step in steps]
    assert {entry["actor"] for entry in entries} == {"zoe"}
    older = (await house.client.get(f"/api/admin/audit?before={entries[-1]['id']}", headers=admin)).json()
    assert {entry["actor"] for entry in older} == {"operator"}
    about = (await house.client.get("/api/admin/audit?subject=acme", headers=admin)).json()
    assert {entry["subject"] for entry in about} == {"acme"}
    assert (await house.client.get("/api/admin/audit?limit=x", headers=admin)).status_code == 422


async def test_no_answer_no_log_and_no_entry_holds_a_token_or_a_digest(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # as observe.py sets it for libraries, whatever the setting says
    admin, ann = await house.admin(), await house.user("ann")
    await house.org("acme", ann="admin")
    secrets = list(house.secrets)
    texts: list[str] = []
    with structlog.testing.capture_logs() as logged:
        for headers in (admin, ann, {"authorization": f"Bearer {secrets[0]}x"}):
            for route in TABLE:
                path = re.sub(r"{\w+}", "ann", route.path)
                # Not the two that are there to give a token away, once.
                if route.name not in ("admin-create-token", "admin-rotate-token", "revoke-credentials"):
                    answer = await house.client.request(route.method, path, headers=headers)
                    texts.append(answer.text + str(answer.headers))
        made = await house.client.post("/api/admin/tokens", json={"user": "ann"}, headers=admin)
        secrets.append(made.json().pop("token"))
        bad = {"credentials": [*secrets, 1]}
        texts.append((await house.client.post("/api/credentials/revoke", json=bad)).text)
        good = {"credentials": secrets[1:]}
        texts.append((await house.client.post("/api/credentials/revoke", json=good)).text)
        texts.append((await house.client.get("/api/admin/audit", headers=admin)).text)
    texts += [str(logged), caplog.text, made.text.replace(secrets[-1], "")]
    texts += [str(await house.store.audit.list(limit=1000))]
    assert len(texts) > 100
    forbidden = [form for secret in secrets for form in (secret, secret[3:35], *_forms(digest(secret)))]
    for text in texts:
        assert TOKEN_PATTERN.search(text) is None
        assert not any(form in text for form in forbidden)


def _forms(digest: bytes) -> tuple[str, ...]:
    """All that a digest can look like in JSON, in a log or in Python's own words."""
    return digest.hex(), base64.b64encode(digest).decode()[:40], repr(digest)[2:-1]


async def test_models_are_loaded_unloaded_and_pinned(house: House) -> None:
    admin = await house.admin()
    states = {
        "load": (202, "loading"),
        "unload": (200, "exported"),
        "pin": (200, "exported"),
        "unpin": (200, "exported"),
    }
    for what, (status, state) in states.items():
        answer = await house.client.post(f"/api/admin/models/demo/tiny/{what}", headers=admin)
        assert (answer.status_code, answer.json()["state"]) == (status, state)
        [entry, *_] = await house.store.audit.list(subject="demo/tiny")
        assert (entry.actor, entry.action) == ("root", f"model.{what}")
    missing = await house.client.post("/api/admin/models/no-such/load", headers=admin)
    assert missing.status_code == 404
    busy = await house.client.post("/api/admin/models/busy/unload", headers=admin)
    assert (busy.status_code, busy.headers["retry-after"]) == (409, "5")
