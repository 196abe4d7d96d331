"""The Ledger seam over SQLite: what is promised of rows, roll-ups, futures, and a disk that fails."""

import asyncio
import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest

from pronto.core.errors import StorageFailed
from pronto.core.tasks import Task
from pronto.store.base import LedgerRow, Reservation, RowState, Settlement, Total
from pronto.store.database import open_store
from pronto.store.sqlite import FILE_NAME
from pronto.store.writer import MAX_WAITING

NOON = 1_767_268_800_000_000  # 2026-01-01 12:00 UTC, in microseconds
DAY = 86_400_000_000


@pytest.fixture
async def store(tmp_path):
    opened = await open_store(tmp_path, busy_timeout=0.2)
    yield opened
    await opened.close()


def reservation(id, **fields):
    values = {"request_id": f"r-{id}", "account_id": 1, "org_id": None, "token_id": 7, "model": "m", "prompt_tokens": 3}
    return Reservation(id=id, **values | {"task": Task.TEXT_GENERATION, "created": NOON} | fields)


def settlement(id, **fields):
    values = {"finish": "length", "prompt_tokens": 3, "generated_tokens": 5, "queue_ms": 1, "inference_ms": 2}
    return Settlement(id=id, **values | {"ended": NOON} | fields)


def sums(totals):
    return {
        (one.day, one.account_id, one.model): (one.requests, one.cached, one.prompt_tokens, one.generated_tokens)
        for one in totals
    }


async def test_a_row_is_reserved_then_settled(store):
    await store.ledger.reserve(reservation(1, org_id=9))
    fields = {"id": 1, "request_id": "r-1", "account_id": 1, "org_id": 9, "token_id": 7, "model": "m"}
    fields |= {"task": "text-generation", "cached": False, "created": NOON}
    reserved = LedgerRow(
        **fields,
        state=RowState.RESERVED,
        finish=None,
        prompt_tokens=3,
        generated_tokens=0,
        queue_ms=0,
        inference_ms=0,
        ended=None,
    )
    assert list(await store.ledger.rows()) == [reserved]
    assert list(await store.ledger.totals()) == []
    await store.ledger.settle(settlement(1, finish="eos", ended=NOON + 5))
    settled = LedgerRow(
        **fields,
        state=RowState.SETTLED,
        finish="eos",
        prompt_tokens=3,
        generated_tokens=5,
        queue_ms=1,
        inference_ms=2,
        ended=NOON + 5,
    )
    assert list(await store.ledger.rows()) == [settled]
    sums = {"requests": 1, "cached": 0, "prompt_tokens": 3, "generated_tokens": 5}
    total = Total(day="2026-01-01", account_id=1, org_id=9, model="m", **sums)
    assert list(await store.ledger.totals()) == [total]


async def test_a_row_is_settled_once_even_within_one_batch(store):
    ledger = store.ledger
    writes = [ledger.reserve(reservation(1))]
    writes += [ledger.settle(settlement(1, generated_tokens=5 + number)) for number in range(4)]
    await asyncio.gather(*writes)
    await ledger.settle(settlement(1, generated_tokens=100))
    await ledger.settle(settlement(2))
    assert [row.generated_tokens for row in await ledger.rows()] == [5]
    assert sums(await ledger.totals()) == {("2026-01-01", 1, "m"): (1, 0, 3, 5)}


async def test_a_cached_answer_is_one_settled_row(store):
    await store.ledger.record(reservation(1), settlement(1, cached=True, prompt_tokens=0, generated_tokens=0))
    (row,) = await store.ledger.rows()
    assert (row.state, row.cached, row.prompt_tokens) == (RowState.SETTLED, True, 0)
    await store.ledger.settle(settlement(1))
    assert sums(await store.ledger.totals()) == {("2026-01-01", 1, "m"): (1, 1, 0, 0)}


async def test_a_day_is_one_of_utc_and_of_the_end(store):
    midnight = NOON + DAY // 2
    for id, ended in ((1, midnight - 1), (2, midnight), (3, midnight + DAY)):
        await store.ledger.record(reservation(id), settlement(id, ended=ended))
    assert [one.day for one in await store.ledger.totals()] == ["2026-01-01", "2026-01-02", "2026-01-03"]


async def test_rows_come_newest_first_and_for_one_account(store):
    ids = random.Random(5).sample(range(1, 1000), 50)
    await asyncio.gather(*(store.ledger.reserve(reservation(id, account_id=id % 3)) for id in ids))
    newest = sorted(ids, reverse=True)
    assert [row.id for row in await store.ledger.rows(limit=1000)] == newest
    assert [row.id for row in await store.ledger.rows(limit=7)] == newest[:7]
    of_one = [id for id in newest if id % 3 == 1]
    assert [row.id for row in await store.ledger.rows(account_id=1, limit=5)] == of_one[:5]


@pytest.mark.parametrize("seed", range(3))
async def test_the_roll_ups_are_the_sums_of_the_settled_rows(store, seed):
    rng, writes = random.Random(seed), []
    for id in range(1, 1501):
        row = reservation(id, account_id=rng.randrange(4), model=rng.choice("ab"))
        end = settlement(
            id,
            ended=NOON + rng.randrange(3) * DAY,
            generated_tokens=rng.randrange(50),
            prompt_tokens=rng.randrange(50),
            cached=rng.random() < 0.3,
        )
        fate = rng.random()
        if fate < 0.5:
            writes.append(store.ledger.record(row, end))
        else:
            writes.append(store.ledger.reserve(row))
            if fate < 0.9:
                writes += [store.ledger.settle(end)] * rng.randint(1, 2)
        if rng.random() < 0.02:
            await writes[-1]
    await asyncio.gather(*writes)
    wanted: dict = {}
    for row in await store.ledger.rows(limit=2000):
        if row.state is RowState.SETTLED:
            key = (f"2026-01-0{1 + (row.ended - NOON) // DAY}", row.account_id, row.model)
            counts = (1, int(row.cached), row.prompt_tokens, row.generated_tokens)
            wanted[key] = tuple(map(sum, zip(wanted.get(key, (0, 0, 0, 0)), counts, strict=True)))
    assert sums(await store.ledger.totals()) == wanted
    of_two = {key: value for key, value in wanted.items() if key[1] == 2}
    assert sums(await store.ledger.totals(account_id=2)) == of_two


BAD = {
    "negative": {"generated_tokens": -1},
    "negative prompt": {"prompt_tokens": -(2**40)},
    "over 64 bits": {"queue_ms": 2**63},
    "no text": {"finish": "\ud800"},
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_row_fails_alone(store, case):
    writes = [store.ledger.record(reservation(id), settlement(id)) for id in range(1, 20)]
    bad = store.ledger.record(reservation(99), settlement(99, **BAD[case]))
    writes += [store.ledger.record(reservation(id), settlement(id)) for id in range(20, 40)]
    with pytest.raises(StorageFailed):
        await bad
    await asyncio.gather(*writes)
    assert len(await store.ledger.rows()) == 39
    assert sums(await store.ledger.totals()) == {("2026-01-01", 1, "m"): (39, 0, 117, 195)}


async def test_an_id_is_used_once(store):
    await store.ledger.record(reservation(1), settlement(1))
    with pytest.raises(StorageFailed):
        await store.ledger.record(reservation(1), settlement(1, generated_tokens=50))
    assert sums(await store.ledger.totals()) == {("2026-01-01", 1, "m"): (1, 0, 3, 5)}


async def test_a_caller_that_leaves_changes_nothing(store):
    left = store.ledger.record(reservation(1), settlement(1))
    left.cancel()
    await store.ledger.record(reservation(2), settlement(2))
    assert [row.id for row in await store.ledger.rows()] == [2, 1]


async def test_rows_of_a_dead_process_are_marked_and_no_others(store, tmp_path):
    dead = await open_store(tmp_path)
    await dead.ledger.reserve(reservation(1))
    await dead.ledger.record(reservation(2), settlement(2))
    await dead.close()
    await store.ledger.reserve(reservation(3))
    assert await store.ledger.reap() == 1
    assert await store.ledger.reap() == 0
    states = {row.id: row.state for row in await store.ledger.rows()}
    assert states == {1: RowState.ORPHANED, 2: RowState.SETTLED, 3: RowState.RESERVED}
    await store.ledger.settle(settlement(1))
    assert {row.id: row.state for row in await store.ledger.rows()} == states
    assert sums(await store.ledger.totals())[("2026-01-01", 1, "m")][0] == 1


async def test_a_database_that_is_held_too_long_fails_and_then_works_again(store, tmp_path):
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        write = store.ledger.record(reservation(1), settlement(1))
        with pytest.raises(StorageFailed):
            await write
        holder.execute("ROLLBACK")
    await store.ledger.record(reservation(1), settlement(1))
    assert len(await store.ledger.rows()) == 1


# So many rows set off the garbage collector, which may find what a worker of an earlier test has left behind.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_more_than_the_queue_holds_is_refused_at_once(store, tmp_path):
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        writes = [store.ledger.record(reservation(id), settlement(id)) for id in range(1, MAX_WAITING + 4000)]
        # On a busy machine the queue fills between two looks of the writer, which then takes a whole batch of it.
        refused = [write for write in writes if write.done()]
        assert refused
        assert all(isinstance(write.exception(), StorageFailed) for write in refused)
        assert not writes[0].done()
        holder.execute("ROLLBACK")
    outcomes = Counter(type(outcome) for outcome in await asyncio.gather(*writes, return_exceptions=True))
    written = await store.ledger.rows(limit=10**6)
    assert len(written) == outcomes[type(None)]
    assert outcomes[type(None)] + outcomes[StorageFailed] == len(writes)


async def test_a_full_disk_fails_and_then_works_again(store, tmp_path):
    await store.ledger.record(reservation(1), settlement(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ids = iter(range(2, 10_000))
    failed = []
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / f"{FILE_NAME}-wal").stat().st_size + 20_000, hard))
        for id in ids:
            try:
                await store.ledger.record(reservation(id), settlement(id))
            except StorageFailed:
                failed.append(id)
                if len(failed) == 3:
                    break
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(failed) == 3
    last = next(ids)
    await store.ledger.record(reservation(last), settlement(last))
    rows = {row.id for row in await store.ledger.rows(limit=10_000)}
    assert rows == set(range(1, last + 1)) - set(failed)
    assert sums(await store.ledger.totals())[("2026-01-01", 1, "m")][0] == len(rows)


async def test_a_file_that_is_gone_fails_and_works_again_when_it_is_back(store, tmp_path):
    await store.ledger.record(reservation(1), settlement(1))
    away = tmp_path / "away"
    away.mkdir()
    files = [path for path in tmp_path.iterdir() if path.name.startswith(FILE_NAME)]
    for path in files:
        path.rename(away / path.name)
    for id in (2, 3):
        with pytest.raises(StorageFailed):
            await store.ledger.record(reservation(id), settlement(id))
    assert not (tmp_path / FILE_NAME).exists()
    for path in files:
        (away / path.name).rename(path)
    await store.ledger.record(reservation(4), settlement(4))
    assert [row.id for row in await store.ledger.rows()] == [4, 1]


async def test_closing_writes_what_waits_and_takes_no_more(tmp_path):
    store = await open_store(tmp_path)
    writes = [store.ledger.record(reservation(id), settlement(id)) for id in range(1, 5001)]
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(StorageFailed):
        await store.ledger.record(reservation(9999), settlement(9999))
    again = await open_store(tmp_path)
    assert len(await again.ledger.rows(limit=10_000)) == 5000
    await again.close()


_WRITER = """
import asyncio, sys, itertools
from pathlib import Path
from pronto.store.database import open_store
from tests.contract.test_ledger import reservation, settlement
async def main():
    store = await open_store(Path(sys.argv[1]))
    ids = itertools.count(1)
    async def caller():
        for id in ids:
            await store.ledger.reserve(reservation(id))
            print("reserved", id, flush=True)
            if id % 2:
                await store.ledger.settle(settlement(id))
                print("settled", id, flush=True)
    await asyncio.gather(*(caller() for _ in range(8)))
asyncio.run(main())
"""


def killed_writer(folder, lines):
    """Kills a writing process with -9 after `lines` lines; all that it has said, as pairs of word and id."""
    process = subprocess.Popen([sys.executable, "-c", _WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    seen = [process.stdout.readline().split() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    seen += [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    process.stdout.close()
    process.wait(10)
    return seen


@pytest.mark.parametrize("seed", range(3))
async def test_kill_9_loses_and_doubles_nothing_that_was_waited_for(tmp_path, seed):
    seen = killed_writer(tmp_path, random.Random(seed).randint(50, 600))
    store = await open_store(tmp_path)
    orphaned = await store.ledger.reap()
    rows = {row.id: row for row in await store.ledger.rows(limit=10**6)}
    assert {int(id) for word, id in seen if word == "reserved"} <= set(rows)
    settled = {id for id, row in rows.items() if row.state is RowState.SETTLED}
    assert {int(id) for word, id in seen if word == "settled"} <= settled
    assert orphaned == len(rows) - len(settled)
    assert sums(await store.ledger.totals())[("2026-01-01", 1, "m")][0] == len(settled)
    await store.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def run_of(log):
    """Names the log's present run: it changes when the log begins anew."""
    with log.open("rb") as file:
        return file.read(24)[16:]


async def test_a_log_that_has_grown_is_copied_and_begins_anew_while_rows_come(store, tmp_path):
    log = tmp_path / f"{FILE_NAME}-wal"
    loop = asyncio.get_running_loop()
    await store.ledger.record(reservation(1), settlement(1))
    end, id, first = loop.time() + 20, 1, run_of(log)
    while run_of(log) == first and loop.time() < end:
        await asyncio.gather(
            *(store.ledger.record(reservation(id := id + 1, model="m" * 2000), settlement(id)) for _ in range(4))
        )
        await asyncio.sleep(0.001)
        assert log.stat().st_size < 80_000_000, "nobody but the writer's last resort shortens it"
    assert run_of(log) != first
    assert (tmp_path / FILE_NAME).stat().st_size > 1_000_000
    assert len(await store.ledger.rows(limit=10**6)) == id
