"""The Store seam over SQLite: a fresh file, and one that another store has open as well."""

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest

from pronto.accounts.tokens import Grant, issue
from pronto.core.errors import StorageFailed
from pronto.store.base import Token
from pronto.store.database import SCHEMA_VERSION, open_store
from pronto.store.sqlite import FILE_NAME


@pytest.fixture(params=["alone", "shared"])
async def store(request, tmp_path):
    """`shared`: a second store has written to the same file and keeps it open."""
    other = None
    if request.param == "shared":
        other = await open_store(tmp_path)
        await other.accounts.add("somebody", "free")
    opened = await open_store(tmp_path)
    yield opened
    await opened.close()
    if other is not None:
        await other.close()


@pytest.fixture
async def pair(tmp_path):
    stores = [await open_store(tmp_path), await open_store(tmp_path)]
    yield stores
    for store in stores:
        await store.close()


def token(account_id, digest=b"d" * 32, **fields):
    values = {"name": "n", "role": "read", "last4": "abcd", "created": 5.0} | fields
    return Token(id=0, account_id=account_id, digest=digest, **values)


async def test_accounts_come_back_as_they_were_added(store):
    alice = await store.accounts.add("alice", "pro", "alice@example.org")
    bob = await store.accounts.add("bob", "free")
    assert alice.id != bob.id
    assert (alice.plan, alice.email, bob.email) == ("pro", "alice@example.org", None)
    assert await store.accounts.get(alice.id) == alice
    assert await store.accounts.by_name("bob") == bob
    assert await store.accounts.get(10**9) is None
    assert await store.accounts.by_name("Bob") is None
    assert [one.name for one in await store.accounts.list()][-2:] == ["alice", "bob"]


async def test_a_name_is_given_once(store):
    alice = await store.accounts.add("alice", "pro")
    with pytest.raises(ValueError, match="named alice already"):
        await store.accounts.add("alice", "free")
    assert await store.accounts.by_name("alice") == alice


async def test_a_plan_can_be_changed(store):
    alice = await store.accounts.add("alice", "free")
    bob = await store.accounts.add("bob", "free")
    await store.accounts.set_plan(alice.id, "enterprise")
    assert (await store.accounts.get(alice.id)).plan == "enterprise"
    assert (await store.accounts.get(bob.id)).plan == "free"


@pytest.mark.parametrize("name", ["' OR 1=1 --", 'a"b', "a\x00b", "%", "名前", "x" * 500])
async def test_names_are_values_and_never_sql(store, name):
    added = await store.accounts.add(name, "free")
    assert (await store.accounts.by_name(name)) == added
    assert await store.accounts.by_name(name + "'") is None


async def test_a_token_is_found_by_its_digest_with_its_account(store):
    alice = await store.accounts.add("alice", "pro")
    kept = await store.tokens.add(token(alice.id, scopes=("a.b", "c"), expires=99.5))
    assert kept.id > 0
    assert kept.scopes == ("a.b", "c")
    assert await store.tokens.by_digest(b"d" * 32) == (kept, alice)
    for other in (b"d" * 31, b"d" * 33, b"e" * 32, b"", b"d" * 31 + b"\x00"):
        assert await store.tokens.by_digest(other) is None


async def test_tokens_are_listed_for_all_and_for_one(store):
    alice, bob = await store.accounts.add("alice", "pro"), await store.accounts.add("bob", "pro")
    first = await store.tokens.add(token(alice.id))
    second = await store.tokens.add(token(bob.id, b"e" * 32))
    assert list(await store.tokens.list()) == [first, second]
    assert list(await store.tokens.list(bob.id)) == [second]
    assert list(await store.tokens.list(10**9)) == []


async def test_a_token_belongs_to_an_account_and_is_kept_once(store):
    alice = await store.accounts.add("alice", "pro")
    with pytest.raises(ValueError, match="no such account"):
        await store.tokens.add(token(10**9))
    await store.tokens.add(token(alice.id))
    with pytest.raises(ValueError, match="kept already"):
        await store.tokens.add(token(alice.id))


async def test_a_token_is_revoked_once(store):
    alice = await store.accounts.add("alice", "pro")
    kept = await store.tokens.add(token(alice.id))
    assert await store.tokens.revoke(kept.id, 7.0)
    assert not await store.tokens.revoke(kept.id, 8.0)
    assert not await store.tokens.revoke(10**9, 8.0)
    found, _ = await store.tokens.by_digest(kept.digest)
    assert found.revoked == 7.0


async def test_last_use_only_moves_forward(store):
    alice = await store.accounts.add("alice", "pro")
    first = await store.tokens.add(token(alice.id))
    second = await store.tokens.add(token(alice.id, b"e" * 32))
    await store.tokens.touch({first.id: 50.0, second.id: 60.0, 10**9: 1.0})
    await store.tokens.touch({first.id: 40.0, second.id: 61.0})
    assert [one.last_used for one in await store.tokens.list()] == [50.0, 61.0]


async def test_a_transaction_is_whole_or_not_at_all(store):
    async def broken():
        async with store.transaction():
            alice = await store.accounts.add("alice", "pro")
            await store.tokens.add(token(alice.id))
            assert await store.accounts.by_name("alice") == alice
            raise KeyError

    with pytest.raises(KeyError):
        await broken()
    assert await store.accounts.by_name("alice") is None
    assert await store.tokens.by_digest(b"d" * 32) is None
    async with store.transaction():
        alice = await store.accounts.add("alice", "pro")
        async with store.transaction():
            await store.tokens.add(token(alice.id))
    assert (await store.tokens.by_digest(b"d" * 32))[1] == alice


async def test_writers_of_several_tasks_wait_for_each_other(store):
    await asyncio.gather(*(store.accounts.add(f"user-{number}", "free") for number in range(20)))
    names = {one.name for one in await store.accounts.list()}
    assert names >= {f"user-{number}" for number in range(20)}


async def test_another_ones_changes_are_noticed_once(pair):
    mine, other = pair
    alice = await other.accounts.add("alice", "pro")
    assert await mine.changed()
    assert not await mine.changed()
    for change in (
        lambda: other.tokens.add(token(alice.id)),
        lambda: other.accounts.set_plan(alice.id, "free"),
        lambda: other.tokens.revoke(1, 5.0),
    ):
        await change()
        assert await mine.changed()
        assert not await mine.changed()


async def test_ones_own_changes_and_what_matters_to_nobody_are_not_noticed(pair):
    mine, other = pair
    alice = await mine.accounts.add("alice", "pro")
    await mine.tokens.add(token(alice.id))
    assert not await mine.changed()
    assert await other.changed()
    await other.tokens.touch({1: 5.0})
    assert not await other.tokens.revoke(77, 5.0)
    with pytest.raises(ValueError, match="already"):
        await other.accounts.add("alice", "pro")
    assert not await mine.changed()


async def test_the_folder_and_its_files_are_for_their_owner_alone(tmp_path):
    folder = tmp_path / "deep" / "data"
    store = await open_store(folder)
    await store.accounts.add("alice", "pro")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {FILE_NAME: 0o600, f"{FILE_NAME}-wal": 0o600, f"{FILE_NAME}-shm": 0o600}
    await store.close()


async def test_no_token_is_kept_in_plain_text(tmp_path):
    store = await open_store(tmp_path)
    alice = await store.accounts.add("alice", "pro")
    secret, row = issue(Grant(account_id=alice.id, name="canary"), 1.0)
    kept = await store.tokens.add(row)
    await store.tokens.touch({kept.id: 5.0})
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert any(b"canary" in content for content in contents.values())
    for content in contents.values():
        assert secret.encode() not in content
        assert secret[3:20].encode() not in content
    await store.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    await (await open_store(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(StorageFailed, match="newer Pronto"):
        await open_store(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("kind", ["a file for a folder", "no database"])
async def test_what_cannot_be_opened_is_said_in_a_sentence(tmp_path, kind):
    folder = tmp_path / "data"
    if kind == "no database":
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(b"something else, and long enough to be looked at " * 10)
    else:
        folder.write_text("")
    with pytest.raises(StorageFailed, match="cannot be opened"):
        await open_store(folder)


async def test_a_database_that_is_held_is_waited_for_and_then_refused(tmp_path):
    store = await open_store(tmp_path, busy_timeout=0.2)
    alice = await store.accounts.add("alice", "pro")
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailed):
            await store.accounts.add("bob", "pro")
        assert await store.accounts.by_name("alice") == alice
        holder.execute("ROLLBACK")
    assert (await store.accounts.add("bob", "pro")).name == "bob"
    await store.close()


async def test_the_migrations_make_the_schema_of_the_tables(tmp_path):
    import sqlalchemy as sa
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from pronto.store import migrations
    from pronto.store.page_tables import metadata

    await (await open_store(tmp_path)).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / FILE_NAME}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == SCHEMA_VERSION
    assert ScriptDirectory(os.path.dirname(migrations.__file__)).get_heads() == [SCHEMA_VERSION]
    fresh = tmp_path / "fresh.db"
    metadata.create_all(made := sa.create_engine(f"sqlite:///{fresh}", poolclass=sa.NullPool))
    made.dispose()
    assert checks_of(tmp_path / FILE_NAME) == checks_of(fresh)


def checks_of(path):
    """What alembic does not compare: constraints and options, in SQLite's own words without their order."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'").fetchall()
    return {
        name: sorted((sql or "").replace("(", " ").replace(")", " ").replace(",", " ").split()) for name, sql in rows
    }


def test_the_schema_is_one_that_postgres_takes():
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable

    from pronto.store.page_tables import metadata

    for table in metadata.sorted_tables:
        assert f"CREATE TABLE {table.name}" in str(CreateTable(table).compile(dialect=postgresql.dialect()))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=postgresql.dialect())).startswith("CREATE INDEX")


_OPEN = """
import time, sys, asyncio, json
from pathlib import Path
began = time.thread_time()
from pronto.store.database import open_store
async def main():
    store = await open_store(Path(sys.argv[1]))
    took, has_alembic = time.thread_time() - began, "alembic" in sys.modules
    names = [one.name for one in await store.accounts.list()]
    await store.close()
    print(json.dumps([took, has_alembic, names]))
asyncio.run(main())
"""


def start_process(folder):
    return subprocess.Popen([sys.executable, "-c", _OPEN, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


async def test_opening_an_existing_database_is_quick(tmp_path):
    store = await open_store(tmp_path)
    await store.accounts.add("alice", "pro")
    await store.close()
    output, _ = start_process(tmp_path).communicate(timeout=60)
    took, has_alembic, names = json.loads(output)
    assert names == ["alice"]
    assert not has_alembic
    assert took < 0.15, "seconds of CPU on the way to an open store"


def test_several_processes_may_make_the_same_database(tmp_path):
    processes = [start_process(tmp_path / "data") for _ in range(3)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
        assert json.loads(output)[2] == []
