"""The processes that workers are forked from: what happens when one is lost, cannot import, or grows too large."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from pronto.engines import registry
from pronto.fleet.confinement import private_bytes
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.nursery import Nursery
from pronto.fleet.process import SubprocessReplica
from pronto.fleet.replica import EngineSpec
from tests.contract.fleet_scenes import DEVICE, ask, collect, echo_spec, settles, text_of


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    nursery = Nursery(os.environ, threads=1)
    yield nursery
    await nursery.stop()


@pytest.fixture
async def born(nursery: Nursery, tmp_path: Path) -> AsyncIterator:
    replicas = []

    async def bear(spec: EngineSpec | None = None) -> SubprocessReplica:
        replica = await SubprocessLauncher(tmp_path, nursery=nursery).launch(spec or echo_spec(), DEVICE)
        assert isinstance(replica, SubprocessReplica)
        replicas.append(replica)
        await replica.start()
        return replica

    yield bear
    for replica in replicas:
        await replica.stop(0.5)


def command_of(pid: int | None) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def is_forked(replica: SubprocessReplica) -> bool:
    """A forked process has the command line of the one that it comes from."""
    return "fork_server" in command_of(replica.pid)


@pytest.fixture
def heavy_echo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EngineSpec:
    """An engine that needs a heavy library: a module of the tests' own, which takes memory as it is told to."""
    (tmp_path / "pronto_heavy.py").write_text("weight = bytearray(b'x' * 40_000_000)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(registry, "_HEAVY", frozenset({"pronto_heavy"}))
    entry = msgspec.structs.replace(registry.ENTRIES["echo"], preload=("pronto_heavy",))
    monkeypatch.setitem(registry.ENTRIES, "echo", entry)
    return echo_spec()


async def test_workers_survive_the_process_that_they_come_from(nursery: Nursery, born) -> None:
    replica = await born()
    assert is_forked(replica)
    [pid] = nursery.pids()
    os.kill(pid, signal.SIGKILL)
    assert await settles(lambda: nursery.pids() == [])
    assert text_of(await collect(replica, ask("alive", 5))) == "alive"
    os.kill(replica.pid, signal.SIGTERM)
    assert "SIGTERM" in await asyncio.wait_for(replica.ended(), 5)


async def test_a_lost_one_is_noticed_replaced_and_not_waited_for(nursery: Nursery, born) -> None:
    await born()
    [first] = nursery.pids()
    os.kill(first, signal.SIGKILL)
    assert await settles(lambda: nursery.pids() == [])
    assert not is_forked(await born())
    assert await settles(lambda: nursery.pids() not in ([], [first]))
    assert is_forked(await born())


async def test_one_that_hangs_is_given_up(nursery: Nursery, born, monkeypatch: pytest.MonkeyPatch) -> None:
    await born()
    monkeypatch.setattr("pronto.fleet.nursery.PATIENCE", {False: 0.3, True: 0.3})
    [pid] = nursery.pids()
    os.kill(pid, signal.SIGSTOP)
    replica = await born()
    assert not is_forked(replica)
    assert text_of(await collect(replica, ask("ok", 2))) == "ok"


async def test_another_interpreter_and_downloads_are_spawned(nursery: Nursery, born) -> None:
    nursery.begin()
    other = msgspec.structs.replace(echo_spec(), python=sys.executable)
    assert not is_forked(await born(other))
    pull = msgspec.structs.replace(echo_spec(), engine="pull")
    assert not is_forked(await born(pull))


async def test_no_dead_process_stays_behind(nursery: Nursery, born) -> None:
    replica = await born()
    pid = replica.pid
    await replica.stop()
    assert str(pid) not in os.listdir("/proc")  # not even as a zombie


async def test_heavy_libraries_are_shared_by_their_workers(heavy_echo: EngineSpec, nursery: Nursery, born) -> None:
    first, second = await born(heavy_echo), await born(heavy_echo)
    assert is_forked(first)
    assert is_forked(second)
    assert len(nursery.pids()) == 1
    assert await settles(lambda: nursery.bytes > 40_000_000)
    assert private_bytes(second.pid or 0) < 20_000_000
    nursery.stop_heavy()
    assert await settles(lambda: nursery.pids() == [])
    assert text_of(await collect(first, ask("alive", 5))) == "alive"


async def test_heavy_libraries_that_are_too_large_are_imported_by_each_worker(tmp_path: Path, heavy_echo) -> None:
    nursery = Nursery(os.environ, threads=1, heavy_bytes=40_000_000)
    launcher = SubprocessLauncher(tmp_path, nursery=nursery)
    replica = await launcher.launch(heavy_echo, DEVICE)
    await replica.start()
    assert isinstance(replica, SubprocessReplica)
    assert not is_forked(replica)
    await asyncio.sleep(1.2)
    assert nursery.pids() == []
    await replica.stop()
    # What is left over is not worth a process of its own.
    again = await launcher.launch(heavy_echo, DEVICE)
    await again.start()
    assert isinstance(again, SubprocessReplica)
    assert not is_forked(again)
    await again.stop()
    await nursery.stop()


async def test_a_library_that_is_not_there_is_the_workers_own_matter(
    nursery: Nursery, born, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = msgspec.structs.replace(registry.ENTRIES["echo"], preload=("no_such_module",))
    monkeypatch.setitem(registry.ENTRIES, "echo", entry)
    assert not is_forked(await born())
