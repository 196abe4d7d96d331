"""Backup and restore of a data directory: beside a writing server, and from files that are hostile or damaged."""

import asyncio
import io
import json
import os
import sqlite3
import stat
import tarfile
from contextlib import closing

import pytest

from pronto.core.errors import StorageFailed
from pronto.store.backup import BackupRefused, restore_backup, write_backup
from pronto.store.database import SCHEMA_VERSION, open_store
from pronto.store.lock import DirectoryInUse, locked
from pronto.store.sqlite import FILE_NAME
from tests.contract.test_ledger import reservation, settlement


@pytest.fixture
async def data(tmp_path):
    folder = tmp_path / "data"
    store = await open_store(folder)
    await store.accounts.add("alice", "pro")
    await store.ledger.record(reservation(1), settlement(1))
    (folder / "catalog.toml").write_text("# mine\n")
    (folder / "plans.toml").write_text("[gold]\nlevel = 3\n")
    (folder / "server.log").write_text("not kept")
    yield folder
    await store.close()


async def names(folder):
    store = await open_store(folder)
    try:
        return [one.name for one in await store.accounts.list()], len(await store.ledger.rows())
    finally:
        await store.close()


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


async def test_what_was_kept_comes_back(data, tmp_path):
    target = tmp_path / "kept.tar"
    made = write_backup(data, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert made.schema == SCHEMA_VERSION
    with tarfile.open(target) as tar:
        assert tar.getnames() == ["manifest.json", "catalog.toml", "plans.toml", FILE_NAME]
    new = tmp_path / "new"
    restored, aside = restore_backup(target, new, may_replace=False)
    assert (restored, aside) == (made, None)
    assert await names(new) == (["alice"], 1)
    assert (new / "plans.toml").read_text() == "[gold]\nlevel = 3\n"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in new.iterdir() if path.is_file()}
    assert set(modes.values()) == {0o600}
    assert list(tmp_path.rglob(".pronto-*")) == []
    with closing(sqlite3.connect(new / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_backup_beside_a_writer_is_of_one_moment(data, tmp_path):
    """Rows and their roll-ups agree in each copy, while rows are written all the time."""
    store, stop = await open_store(data), asyncio.Event()

    async def write():
        id = 10
        while not stop.is_set():
            await asyncio.gather(
                *(store.ledger.record(reservation(id + step), settlement(id + step)) for step in range(20))
            )
            id += 20
        return id

    writing = asyncio.create_task(write())
    counts = []
    for number in range(5):
        await asyncio.sleep(0.05)
        await asyncio.to_thread(write_backup, data, tmp_path / f"{number}.tar")
        new = tmp_path / f"new-{number}"
        await asyncio.to_thread(restore_backup, tmp_path / f"{number}.tar", new, may_replace=False)
        with closing(sqlite3.connect(new / FILE_NAME)) as copy:
            (rows,) = copy.execute("SELECT count(*) FROM ledger").fetchone()
            (summed,) = copy.execute("SELECT sum(requests) FROM usage_days").fetchone()
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert rows == summed
        counts.append(rows)
    stop.set()
    await writing
    await store.close()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


async def test_what_stood_there_before_is_put_aside_with_its_log(data, tmp_path):
    write_backup(data, tmp_path / "kept.tar")
    other = tmp_path / "other"
    store = await open_store(other)
    await store.accounts.add("bob", "free")
    (other / "catalog.toml").write_text("# theirs\n")
    with pytest.raises(BackupRefused, match=r"it holds .*pronto\.db"):
        restore_backup(tmp_path / "kept.tar", other, may_replace=False)
    assert (await store.accounts.by_name("bob")).name == "bob"
    _, aside = restore_backup(tmp_path / "kept.tar", other, may_replace=True)
    await store.close()
    assert await names(other) == (["alice"], 1)
    assert (aside / "catalog.toml").read_text() == "# theirs\n"
    assert await names(aside) == (["bob"], 0)


async def test_a_file_of_the_old_state_does_not_stay(data, tmp_path):
    (data / "plans.toml").unlink()
    write_backup(data, tmp_path / "kept.tar")
    other = tmp_path / "other"
    other.mkdir()
    (other / "plans.toml").write_text("[gold]\nlevel = 9\n")
    restore_backup(tmp_path / "kept.tar", other, may_replace=True)
    assert not (other / "plans.toml").exists()


async def test_no_restore_beneath_a_running_server(data, tmp_path):
    write_backup(data, tmp_path / "kept.tar")
    before = contents(data)
    with locked(data):
        with pytest.raises(DirectoryInUse):
            restore_backup(tmp_path / "kept.tar", data, may_replace=True)
        # Making one goes on.
        write_backup(data, tmp_path / "second.tar")
    assert {name: content for name, content in contents(data).items() if name in before} == before


async def test_nothing_is_written_over(data, tmp_path):
    target = tmp_path / "kept.tar"
    target.write_text("something of mine")
    with pytest.raises(BackupRefused, match="there already"):
        write_backup(data, target)
    assert target.read_text() == "something of mine"
    with pytest.raises(BackupRefused, match="no database"):
        write_backup(tmp_path, tmp_path / "other.tar")
    assert not (tmp_path / "other.tar").exists()


def repack(source, target, change):
    """The same tar with its members changed: a dictionary of name to bytes, or to a TarInfo for something special."""
    with tarfile.open(source) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    members = change(members)
    with tarfile.open(target, "w") as tar:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                facts = tarfile.TarInfo(name)
                facts.size = len(content)
                tar.addfile(facts, io.BytesIO(content))


def link(kind, name="plans.toml", to="/etc/passwd"):
    facts = tarfile.TarInfo(name)
    facts.type, facts.linkname = kind, to
    return facts


def with_manifest(**changes):
    def change(members):
        manifest = json.loads(members["manifest.json"]) | changes
        return (members | {"manifest.json": json.dumps(manifest).encode()}).items()

    return change


def flip(name, at):
    def change(members):
        content = bytearray(members[name])
        content[at] ^= 0xFF
        return (members | {name: bytes(content)}).items()

    return change


def honest(name, content):
    """Another content with a manifest that says so."""

    def change(members):
        import hashlib

        manifest = json.loads(members["manifest.json"])
        manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        return (members | {name: content, "manifest.json": json.dumps(manifest).encode()}).items()

    return change


HOSTILE = {
    "a way out": (lambda members: [*members.items(), ("../evil", b"x")], "no part of a backup"),
    "an absolute path": (lambda members: [("/tmp/evil", b"x"), *members.items()], "no part of a backup"),
    "another spelling": (lambda members: [*members.items(), ("./plans.toml", b"x")], "no part of a backup"),
    "another file": (lambda members: [*members.items(), ("lock", b"x")], "no part of a backup"),
    "a symbolic link": (
        lambda members: [*((n, c) for n, c in members.items() if n != "plans.toml"), ("", link(tarfile.SYMTYPE))],
        "no part of a backup",
    ),
    "a hard link": (
        lambda members: [
            *((n, c) for n, c in members.items() if n != "plans.toml"),
            ("", link(tarfile.LNKTYPE, to="manifest.json")),
        ],
        "no part of a backup",
    ),
    "a device": (lambda members: [*members.items(), ("", link(tarfile.CHRTYPE))], "no part of a backup"),
    "a folder": (lambda members: [("", link(tarfile.DIRTYPE)), *members.items()], "no part of a backup"),
    "a file twice": (lambda members: [*members.items(), ("plans.toml", b"x")], "no part of a backup"),
    "no manifest": (lambda members: [(n, c) for n, c in members.items() if n != "manifest.json"], "no manifest"),
    "no database": (lambda members: [(n, c) for n, c in members.items() if n != FILE_NAME], "does not hold"),
    "a broken manifest": (lambda members: (members | {"manifest.json": b"{"}).items(), "cannot be read"),
    "a manifest of another shape": (with_manifest(files={"plans.toml": 5}), "cannot be read"),
    "a newer schema": (with_manifest(schema="9999"), "newer Pronto"),
    "a newer format": (with_manifest(format=2), "newer Pronto"),
    "another schema than it says": (with_manifest(schema="0001"), "another version"),
    "a changed file": (flip("plans.toml", 3), "plans.toml in the backup is damaged"),
    "a changed database": (flip(FILE_NAME, 5000), "damaged"),
    "no database at all": (honest(FILE_NAME, b"something else " * 500), "damaged"),
    "an empty database": (honest(FILE_NAME, b""), "damaged"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_what_is_no_good_backup_changes_nothing(data, tmp_path, case):
    change, says = HOSTILE[case]
    write_backup(data, tmp_path / "good.tar")
    repack(tmp_path / "good.tar", tmp_path / "bad.tar", change)
    house = tmp_path / "house"
    house.mkdir()
    (house / "plans.toml").write_text("# here before\n")
    with pytest.raises(BackupRefused, match=says):
        restore_backup(tmp_path / "bad.tar", house, may_replace=True)
    assert {path.name for path in house.iterdir()} == {"lock", "plans.toml"}
    assert (house / "plans.toml").read_text() == "# here before\n"
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8b" + b"\x00" * 600, os.urandom(2000)])
async def test_what_is_no_tar_is_said(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(BackupRefused):
        restore_backup(tmp_path / "x.tar", tmp_path / "house", may_replace=False)


async def test_a_backup_that_ends_early_is_refused(data, tmp_path):
    write_backup(data, tmp_path / "good.tar")
    whole = (tmp_path / "good.tar").read_bytes()
    for share in (0.1, 0.5, 0.8):
        (tmp_path / "cut.tar").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(BackupRefused):
            restore_backup(tmp_path / "cut.tar", tmp_path / "house", may_replace=False)


async def test_an_older_schema_is_brought_up_to_date_when_it_is_opened(data, tmp_path):
    with closing(sqlite3.connect(data / FILE_NAME)) as connection, connection:
        of_pages = ("links", "administrators", "passwords", "page_tokens", "sign_ins", "plan_requests")
        for table in ("answers", *of_pages, "subscriptions", "payment_events", "identities"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX ix_usage_days_tenant")
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    assert write_backup(data, tmp_path / "old.tar").schema == "0003"
    restore_backup(tmp_path / "old.tar", tmp_path / "new", may_replace=False)
    assert await names(tmp_path / "new") == (["alice"], 1)


async def test_a_data_directory_that_cannot_be_made_is_said(data, tmp_path):
    write_backup(data, tmp_path / "good.tar")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed):
        restore_backup(tmp_path / "good.tar", tmp_path / "file" / "house", may_replace=False)
