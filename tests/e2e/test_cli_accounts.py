"""The commands about accounts, organisations, plans, usage and backups, through the program's own entry."""

import asyncio
import csv
import io
import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pronto.accounts.tokens import TOKEN_PATTERN, digest, looks_valid
from pronto.cli.main import main
from pronto.store.base import KeptTurn, Reservation, Settlement
from pronto.store.database import open_store
from tests.e2e.http import get, post
from tests.e2e.server import Server

pytestmark = pytest.mark.filterwarnings("ignore:'click.utils:DeprecationWarning")


class Cli:
    """Runs commands on one data directory. `out` and `err` are what the last one wrote."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.data, self._monkeypatch, self._capsys = data, monkeypatch, capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._monkeypatch.setattr(sys, "argv", ["pronto", *arguments, "--data-dir", str(self.data)])
        try:
            main()
            ended = 0
        except SystemExit as end:
            ended = int(end.code or 0)
        self.out, self.err = self._capsys.readouterr()
        assert ended == code, self.out + self.err
        return " ".join((self.out + self.err).replace("│", " ").split())

    def json(self, *arguments: str) -> Any:
        self(*arguments, "--json")
        return json.loads(self.out)

    def actions(self) -> list[tuple[str, str]]:
        return [(entry["action"], entry["subject"]) for entry in reversed(self.json("audit"))]


@pytest.fixture
def pronto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(tmp_path / "data", monkeypatch, capsys)


def in_store(data: Path, work: Any) -> Any:
    async def run() -> Any:
        store = await open_store(data)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def use(data: Path, account: int, model: str, *, org: int | None = None, days_ago: int = 0, count: int = 1) -> None:
    """Settled rows of the ledger: 3 tokens read and 5 made each."""

    async def work(store: Any) -> None:
        for _ in range(count):
            id = time.time_ns() // 1000 - days_ago * 86_400_000_000
            row = Reservation(
                id=id, request_id="r", account_id=account, org_id=org, token_id=1, model=model,
                task="text-generation", created=id, prompt_tokens=3,
            )  # fmt: skip
            end = Settlement(
                id=id, finish="eos", prompt_tokens=3, generated_tokens=5, queue_ms=0, inference_ms=1, ended=id
            )
            await store.ledger.record(row, end)

    in_store(data, work)


def test_an_account_is_put_on_a_plan_and_has_limits_of_its_own(pronto: Cli) -> None:
    pronto("users", "add", "ann")
    assert "on the pro plan now" in pronto("users", "plan", "ann", "pro")
    pronto("users", "limits", "ann", "--set", '{"requests": {"hour": 5}, "concurrency": 2}')
    shown = pronto.json("users", "limits", "ann")
    assert (shown["name"], shown["concurrency"]) == ("pro", 2)
    assert shown["windows"]["requests"] == {"hour": {"limit": 5, "burst": 5}}
    assert shown["own"] == {"requests": {"hour": 5}, "concurrency": 2}
    assert "5 requests per hour" in pronto("users", "limits", "ann")
    pronto("users", "limits", "ann", "--clear")
    assert pronto.json("users", "limits", "ann")["own"] is None
    assert pronto.json("users", "list")[0]["plan"] == "pro"
    changes = [(action, "ann") for action in ("account.add", "account.plan", "account.limits", "account.limits")]
    assert pronto.actions() == changes


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("users", "plan", "ann", "gold"), 1, "There is no plan named 'gold'; the plans are free, pro, enterprise"),
        (("users", "plan", "ann", "anonymous"), 1, "no plan named 'anonymous'"),
        (("users", "plan", "bob", "pro"), 1, "There is no account named bob"),
        (("users", "limits", "ann", "--set", "{"), 2, "this is no JSON"),
        (("users", "limits", "ann", "--set", "[1]"), 2, "limits are an object"),
        (("users", "limits", "ann", "--set", "{}", "--clear"), 2, "do not go together"),
        (("users", "limits", "ann", "--set", '{"requests": {"hour": -1}}'), 1, "must be between 0"),
        (("users", "limits", "ann", "--set", '{"colour": 1}'), 1, "is not known"),
        (("users", "remove", "ann"), 1, "Say --yes"),
        (("users", "remove", "bob", "--yes"), 1, "There is no account named bob"),
        (("users", "suspend", "bob"), 1, "There is no account named bob"),
        (("users", "export", "bob"), 1, "There is no account named bob"),
        (("users", "add", "ann"), 1, "There is an account named ann already"),
        (("users", "add", "operator"), 2, "a name has 1 to 96 letters"),
        (("users", "add", "eve", "--plan", "gold"), 1, "no plan named 'gold'"),
        (("orgs", "add", "ann"), 1, "There is an account named ann already"),
        (("orgs", "members", "ann"), 1, "There is no organisation named ann"),
        (("orgs", "add-member", "acme", "bob"), 1, "There is no account named bob"),
        (("orgs", "add-member", "acme", "acme"), 1, "There is no account named acme"),
        (("orgs", "add-member", "acme", "ann", "--role", "owner"), 2, "'owner' is not one of"),
        (("orgs", "remove-member", "acme", "ann"), 1, "ann is no member of acme"),
        (("tokens", "create", "--user", "bob"), 1, "There is no account named bob"),
        (("tokens", "create", "--user", "ann", "--role", "fineGrained", "--scope", "a b"), 2, "is no scope"),
        (("tokens", "create", "--user", "ann", "--expires", "2001-01-01"), 2, "is not in the future"),
        (("tokens", "rotate", "77"), 1, "There is no token 77"),
        (("usage", "--user", "bob"), 1, "There is no account named bob"),
        (("usage", "--user", "a", "--org", "b"), 2, "do not go together"),
        (("usage", "--days", "0"), 2, "--days"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    pronto: Cli, arguments: tuple[str, ...], code: int, says: str
) -> None:
    pronto("users", "add", "ann")
    pronto("orgs", "add", "acme")
    before = pronto.json("audit")
    assert says in pronto(*arguments, code=code)
    assert "Traceback" not in pronto.err
    assert pronto.json("audit") == before


def test_an_account_is_suspended_let_in_and_removed(pronto: Cli) -> None:
    pronto("users", "add", "ann")
    pronto("tokens", "create", "--user", "ann")
    assert "suspended" in pronto("users", "suspend", "ann")
    assert pronto.json("users", "list")[0]["suspended"] is not None
    assert "suspended" in pronto("users", "list")
    pronto("users", "resume", "ann")
    assert pronto.json("users", "list")[0]["suspended"] is None
    use(pronto.data, 1, "tiny")
    assert "Removed ann" in pronto("users", "remove", "ann", "--yes")
    assert pronto.json("users", "list") == pronto.json("tokens", "list") == []
    (row,) = pronto.json("usage")["usage"]
    assert (row["account"], row["requests"]) == ("(removed)", 1)
    # Who comes after has not used what the removed one did.
    pronto("users", "add", "bob")
    assert pronto.json("usage", "--user", "bob")["usage"] == []


def test_everything_about_an_account_is_exported_and_no_digest(pronto: Cli) -> None:
    pronto("users", "add", "ann", "--email", "ann@example.org")
    pronto("users", "add", "bob")
    pronto("tokens", "create", "--user", "ann", "--name", "laptop")
    secret = pronto.out.strip()
    pronto("orgs", "add", "acme")
    pronto("orgs", "add-member", "acme", "ann", "--role", "admin")
    for account, model in ((1, "tiny"), (2, "other")):
        use(pronto.data, account, model)
        turn = KeptTurn(id=f"turn-{model}", account_id=account, created=1.0, expires=9e9, body=b"\x93\x01\xc4\x01x\xc0")
        in_store(pronto.data, lambda store, turn=turn: store.conversations.keep(turn, most_bytes=1000))
    pronto("users", "export", "ann")
    found = json.loads(pronto.out)
    assert found["account"]["email"] == "ann@example.org"
    assert [token["name"] for token in found["tokens"]] == ["laptop"]
    assert found["organisations"] == [{"name": "acme", "role": "admin"}]
    assert [turn["id"] for turn in found["conversations"]] == ["turn-tiny"]
    assert [(row["model"], row["generated_tokens"]) for row in found["requests"]] == [("tiny", 5)]
    assert [row["model"] for row in found["usage"]] == ["tiny"]
    assert [entry["action"] for entry in found["audit"]] == ["token.create", "account.add"]
    assert "digest" not in pronto.out
    assert "other" not in pronto.out
    assert secret not in pronto.out
    assert digest(secret).hex() not in pronto.out


def test_organisations(pronto: Cli) -> None:
    pronto("users", "add", "ann")
    assert "has members" not in pronto("orgs", "add", "acme", "--plan", "enterprise")
    assert "X-HF-Bill-To: acme" in pronto("orgs", "add-member", "acme", "ann")
    pronto("orgs", "add-member", "acme", "ann", "--role", "admin")
    (member,) = pronto.json("orgs", "members", "acme")
    assert (member["user"], member["role"]) == ("ann", "admin")
    assert [(org["name"], org["plan"]) for org in pronto.json("orgs", "list")] == [("acme", "enterprise")]
    assert [user["name"] for user in pronto.json("users", "list")] == ["ann"]
    pronto("orgs", "plan", "acme", "pro")
    assert "acme" in pronto("orgs", "list")
    assert "ann" in pronto("orgs", "members", "acme")
    pronto("tokens", "create", "--user", "acme")
    assert looks_valid(pronto.out.strip())
    pronto("orgs", "remove-member", "acme", "ann")
    assert pronto.json("orgs", "members", "acme") == []
    pronto("orgs", "remove", "acme", "--yes")
    assert pronto.json("orgs", "list") == []
    actions = ["account.add", "account.add", "member.set", "member.set", "account.plan", "token.create"]
    assert [action for action, _ in pronto.actions()] == [*actions, "member.remove", "account.remove"]


def test_tokens_are_rotated_and_only_the_command_line_makes_administrators(pronto: Cli) -> None:
    pronto("users", "add", "ann")
    pronto("tokens", "create", "--user", "ann", "--role", "fineGrained", "--scope", "admin")
    first = pronto.out.strip()
    pronto("tokens", "rotate", first[-4:])
    second = pronto.out.strip()
    assert looks_valid(second)
    assert second != first
    assert pronto.json("tokens", "rotate", "1")["id"] == 1
    (token,) = pronto.json("tokens", "list")
    assert token["scopes"] == ["admin"]
    pronto("tokens", "revoke", "1")
    assert "was revoked" in pronto("tokens", "rotate", "1", code=1)
    entries = pronto.json("audit")
    assert {entry["actor"] for entry in entries} == {"operator"}
    assert [entry["action"] for entry in entries[:4]] == [
        "token.revoke",
        "token.rotate",
        "token.rotate",
        "token.create",
    ]
    assert not TOKEN_PATTERN.search(pronto.out)


def test_scopes_of_single_models(pronto: Cli) -> None:
    pronto("users", "add", "ann")
    scope = "inference.serverless.write:demo/*"
    assert "may not run" not in pronto("tokens", "create", "--user", "ann", "--role", "fineGrained", "--scope", scope)
    assert pronto.json("tokens", "list")[0]["scopes"] == [scope]


def test_plans_are_shown(pronto: Cli) -> None:
    pronto.data.mkdir()
    (pronto.data / "plans.toml").write_text("[gold]\nlevel = 3\nimages = { month = 1000 }\n")
    text = pronto("plans", "list")
    assert "300 requests per hour" in text
    assert "1,000 images per month" in text
    plans = {plan["name"]: plan for plan in pronto.json("plans", "list")}
    assert set(plans) == {"anonymous", "free", "pro", "enterprise", "gold"}
    assert plans["gold"]["windows"] == {"images": {"month": {"limit": 1000}}}
    assert [plan["name"] for plan in pronto.json("plans", "list", "--name", "pro")] == ["pro"]
    (pronto.data / "plans.toml").write_text("[gold]\n")
    assert "plans.toml, line 1" in pronto("plans", "list", code=1)
    # What needs no plan goes on.
    pronto("tokens", "list")


def test_usage_with_a_bar_for_each_day(pronto: Cli) -> None:
    pronto("users", "add", "ann")
    pronto("users", "add", "bob")
    pronto("orgs", "add", "acme")
    assert "Nothing was used" in pronto("usage")
    use(pronto.data, 1, "tiny", count=4)
    use(pronto.data, 1, "tiny", days_ago=1, count=2)
    use(pronto.data, 2, "=big()", org=3)
    use(pronto.data, 1, "old", days_ago=50)
    pronto("usage", "--user", "ann")
    bars = [line.split() for line in pronto.out.splitlines() if "█" in line or "#" in line]
    assert [(bar[1], bar[2], len(bar[3])) for bar in bars] == [("2", "16", 16), ("4", "32", 32)]
    assert pronto.json("usage")["total"]["requests"] == 7
    assert pronto.json("usage", "--days", "60")["total"]["requests"] == 8
    assert [row["account"] for row in pronto.json("usage", "--org", "acme")["usage"]] == ["bob"]
    pronto("usage", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(pronto.out)))
    assert {row["model"] for row in rows} == {"tiny", "'=big()"}
    target = pronto.data / "usage.csv"
    pronto("usage", "--csv", str(target))
    assert list(csv.DictReader(io.StringIO(target.read_text()))) == rows


def test_the_audit_trail_of_one_account(pronto: Cli) -> None:
    assert "Nothing was changed" in pronto("audit")
    pronto("users", "add", "ann")
    pronto("users", "add", "bob")
    pronto("users", "plan", "bob", "pro")
    assert [entry["details"] for entry in pronto.json("audit", "--subject", "bob", "--limit", "1")] == [
        {"from": "free", "to": "pro"}
    ]
    assert "operator account.plan bob" in pronto("audit")


def test_the_first_start_is_in_the_trail(pronto: Cli) -> None:
    from pronto.cli.first_run import prepare_first_run
    from pronto.settings import Settings

    made = asyncio.run(prepare_first_run(Settings(data_dir=pronto.data)))
    assert made.token is not None
    assert looks_valid(made.token)
    made_at_first = ["account.add", "account.admin", "token.create", "link.password"]
    assert pronto.actions() == [(action, "owner") for action in made_at_first]
    (token,) = pronto.json("tokens", "list")
    assert (token["role"], token["name"], token["expires"]) == ("write", "first", None)


def test_a_backup_comes_back(pronto: Cli, tmp_path: Path) -> None:
    pronto("users", "add", "ann")
    target = tmp_path / "kept.tar"
    assert "Wrote" in pronto("backup", str(target))
    assert "there already" in pronto("backup", str(target), code=1)
    pronto("users", "add", "bob")
    assert "Say --yes" in pronto("restore", str(target), code=1)
    assert "What stood there before is in" in pronto("restore", str(target), "--yes")
    assert [user["name"] for user in pronto.json("users", "list")] == ["ann"]
    (tmp_path / "bad.tar").write_text("no tar")
    assert "is no backup" in pronto("restore", str(tmp_path / "bad.tar"), "--yes", code=1)


def test_beside_a_running_server(pronto: Cli, tmp_path: Path) -> None:
    """Changes at the command line hold within moments; a backup is made meanwhile, and none is restored."""
    pronto("users", "add", "ann")
    pronto("tokens", "create", "--user", "ann")
    token = pronto.out.strip()
    pronto("tokens", "create", "--user", "ann", "--role", "fineGrained", "--scope", "admin")
    admin = pronto.out.strip()
    server = Server(pronto.data, env={"PRONTO_LOG_REQUESTS": "all", "PRONTO_LOG_LEVEL": "debug"})
    try:

        def status(secret: str) -> int:
            return get(server.url, "/api/whoami-v2", authorization=f"Bearer {secret}")[0]

        def becomes(secret: str, wanted: int) -> None:
            deadline = time.monotonic() + 2
            while status(secret) != wanted:
                assert time.monotonic() < deadline
                time.sleep(0.02)

        assert status(token) == 200
        pronto("users", "suspend", "ann")
        becomes(token, 403)
        pronto("users", "resume", "ann")
        becomes(token, 200)
        pronto("tokens", "rotate", "1")
        rotated = pronto.out.strip()
        becomes(token, 401)
        becomes(rotated, 200)
        assert json.loads(get(server.url, "/api/admin/users", authorization=f"Bearer {admin}")[1])[0]["name"] == "ann"
        assert post(server.url, "/api/credentials/revoke", {"credentials": [rotated]}, None)[0] == 202
        assert status(rotated) == 401
        pronto("backup", str(tmp_path / "kept.tar"))
        assert "is using the data directory" in pronto("restore", str(tmp_path / "kept.tar"), "--yes", code=1)
    finally:
        assert server.stop() == 0
    log = (pronto.data / "server.log").read_text()
    assert not TOKEN_PATTERN.search(log)
    with closing(sqlite3.connect(pronto.data / "pronto.db")) as connection:
        kept = "\n".join(connection.iterdump())
    assert not TOKEN_PATTERN.search(kept)


def test_old_rows_go_with_the_setting(pronto: Cli) -> None:
    from pronto import app
    from pronto.settings import Settings

    pronto("users", "add", "ann")
    for days_ago in (0, 20, 40):
        use(pronto.data, 1, "tiny", days_ago=days_ago)

    async def left(days: int) -> tuple[int, int]:
        async with app.open_app(Settings(data_dir=pronto.data, ledger_retention_days=days)) as house:
            await app._tidy(house)
            ledger = house.store.ledger
            return len(await ledger.rows()), sum(total.requests for total in await ledger.totals())

    assert [asyncio.run(left(days)) for days in (0, 30, 10)] == [(3, 3), (2, 3), (1, 3)]
