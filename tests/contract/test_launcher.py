"""Workers in processes of their own: what they may see, how they end, and who notices."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest

from pronto.core.errors import InvalidInput
from pronto.fleet import messages
from pronto.fleet.child import worker_environment
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.process import SubprocessReplica
from pronto.fleet.replica import Health, LoadFailed, Tally, WorkerDied
from tests.contract.fleet_scenes import DEVICE, ask, collect, descriptors, echo_spec, settles, text_of


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def last_words(run_dir: Path) -> str:
    [log] = run_dir.glob("died-*.log")
    return log.read_text()


def told(pid: int, name: str) -> str:
    """A file of /proc about a process, or what one of its links points to."""
    path = Path(f"/proc/{pid}/{name}")
    return os.readlink(path) if path.is_symlink() else path.read_text().strip()


def may_leave_the_network() -> bool:
    return subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0


@pytest.fixture
async def started(processes: Callable[..., SubprocessLauncher]) -> AsyncGenerator[Callable, None]:
    replicas: list[SubprocessReplica] = []

    async def start(name: str = "echo", **limits: float) -> SubprocessReplica:
        replica = await processes(**limits).launch(echo_spec(name), DEVICE)
        assert isinstance(replica, SubprocessReplica)
        replicas.append(replica)
        await replica.start()
        return replica

    yield start
    for replica in replicas:
        await replica.stop(0.5)


async def test_a_killed_worker_is_noticed_at_once(started: Callable) -> None:
    replica = await started("slow-2s")
    tally = Tally(3)
    reading = asyncio.create_task(collect(replica, ask("abc", 100), tally))
    assert await settles(lambda: tally.started)
    os.kill(replica.pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(WorkerDied, match="SIGKILL"):
        await reading
    assert time.monotonic() - began < 1.0  # 0.1 s on an idle machine
    assert tally.outcome == "died"
    assert not is_alive(replica.pid)


async def test_a_worker_killed_while_it_loads_is_a_failed_load(processes: Callable[..., SubprocessLauncher]) -> None:
    replica = await processes().launch(echo_spec("slow-load"), DEVICE)
    assert isinstance(replica, SubprocessReplica)
    loading = asyncio.create_task(replica.start())
    assert await settles(lambda: replica.progress is not None)
    assert replica.pid is not None
    os.kill(replica.pid, signal.SIGKILL)
    with pytest.raises(LoadFailed, match="SIGKILL"):
        await loading
    await replica.stop()


async def test_giving_up_a_start_ends_the_worker(processes: Callable[..., SubprocessLauncher]) -> None:
    launcher = processes()
    before = descriptors()
    replica = await launcher.launch(echo_spec("slow-load"), DEVICE)
    assert isinstance(replica, SubprocessReplica)
    loading = asyncio.create_task(replica.start())
    assert await settles(lambda: replica.progress is not None)
    loading.cancel()
    await asyncio.wait({loading})
    assert replica.pid is not None
    assert await settles(lambda: not is_alive(replica.pid))
    assert await settles(lambda: descriptors() == before)
    await replica.stop()


async def test_a_hung_worker_is_ended_with_its_stacks_in_the_log(started: Callable, tmp_path: Path) -> None:
    replica = await started("hang", hang_s=0.4)
    reading = asyncio.create_task(collect(replica, ask("please hang")))
    assert await settles(lambda: len(replica._inboxes) == 1)
    await asyncio.sleep(0.3)
    assert await replica.health() in (Health.BUSY, Health.HUNG)
    with pytest.raises(WorkerDied, match="did not work"):
        await asyncio.wait_for(reading, 10)
    log = last_words(tmp_path)
    assert "echo.py" in log
    assert "in step" in log


async def test_a_stopped_worker_is_hung_even_when_idle(started: Callable) -> None:
    replica = await started("echo", hang_s=0.4)
    os.kill(replica.pid, signal.SIGSTOP)
    reason = await asyncio.wait_for(replica.ended(), 10)
    assert "did not work" in reason


async def test_a_worker_that_ignores_the_end_is_killed(started: Callable) -> None:
    replica = await started("hang")
    reading = asyncio.create_task(collect(replica, ask("hang")))
    assert await settles(lambda: len(replica._inboxes) == 1)
    os.kill(replica.pid, signal.SIGSTOP)
    began = time.monotonic()
    await replica.stop(0.2)
    assert time.monotonic() - began < 3.0
    assert not is_alive(replica.pid)
    with pytest.raises(WorkerDied):
        await reading


async def test_a_worker_sees_no_secret_and_no_network(started: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRONTO_HUB_TOKEN", "hf_secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@db")
    replica = await started()
    seen = told(replica.pid, "environ")
    assert "secret" not in seen
    assert "HF_HUB_OFFLINE=1" in seen
    assert told(replica.pid, "oom_score_adj") == "500"
    assert os.getsid(replica.pid) == replica.pid
    if may_leave_the_network():
        assert told(replica.pid, "ns/net") != told(os.getpid(), "ns/net")
    assert text_of(await collect(replica, ask("ok", 2))) == "ok"


def test_only_a_download_may_find_its_way_out() -> None:
    given = {"HTTPS_PROXY": "http://proxy", "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "CUDA_VISIBLE_DEVICES": "0"}
    inside = worker_environment(given, threads=2, has_network=False)
    assert inside["OMP_NUM_THREADS"] == "2"
    assert inside["CUDA_VISIBLE_DEVICES"] == "0"
    assert inside.keys().isdisjoint({"HTTPS_PROXY", "AWS_SECRET_ACCESS_KEY"})
    outside = worker_environment(given, threads=0, has_network=True)
    assert outside["HTTPS_PROXY"] == "http://proxy"
    assert "HF_HUB_OFFLINE" not in outside
    assert "AWS_SECRET_ACCESS_KEY" not in outside


ORPHANING = """
import asyncio, os, sys
from pathlib import Path
from pronto.fleet.launcher import SubprocessLauncher
from pronto.fleet.nursery import Nursery
from tests.contract.fleet_scenes import DEVICE, echo_spec

async def main():
    nursery = Nursery(os.environ) if sys.argv[2] == "forked" else None
    replica = await SubprocessLauncher(Path(sys.argv[1]), nursery=nursery).launch(echo_spec(), DEVICE)
    await replica.start()
    print("worker", replica.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(params=["spawned", "forked"])
def orphaning(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has started a worker, as a gateway does, and says its number."""
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANING, str(tmp_path), request.param], cwd=root, stdout=subprocess.PIPE, text=True
    ) as gateway:
        yield gateway
        gateway.kill()


def worker_of(gateway: subprocess.Popen[str]) -> int:
    assert gateway.stdout is not None
    return next(int(line.split()[1]) for line in gateway.stdout if line.startswith("worker "))


async def test_no_worker_outlives_a_killed_gateway(orphaning: subprocess.Popen[str]) -> None:
    worker = await asyncio.to_thread(worker_of, orphaning)
    assert is_alive(worker)
    orphaning.kill()
    assert await settles(lambda: not is_alive(worker))


async def test_a_request_over_the_frame_bound_is_refused_and_the_worker_lives(started: Callable) -> None:
    replica = await started()
    tally = Tally(1)
    with pytest.raises(InvalidInput, match="too large"):
        await collect(replica, ask("x", 1, stop=("y" * (messages.MAX_FRAME + 1),)), tally)
    assert tally.outcome == "refused"
    assert text_of(await collect(replica, ask("ok", 2))) == "ok"


async def test_prompts_of_megabytes_pass(started: Callable) -> None:
    replica = await started()
    events = await collect(replica, ask("ab" * 1_000_000, 4))
    assert text_of(events) == "abab"


@pytest.mark.parametrize("size", [1, 3, 4, 5, 7, 1000])
def test_messages_are_found_however_the_bytes_are_cut(size: int) -> None:
    sent = [messages.Cancel(number * 1000) for number in range(50)]
    stream = b"".join(messages.pack(message) for message in sent)
    splitter = messages.Splitter()
    found = [bytes(part) for at in range(0, len(stream), size) for part in splitter.feed(stream[at : at + size])]
    assert found == [bytes(messages.pack(message)[messages.HEAD :]) for message in sent]


def test_a_frame_that_claims_too_much_is_refused() -> None:
    with pytest.raises(messages.FrameTooLarge):
        messages.Splitter().feed((messages.MAX_FRAME + 1).to_bytes(4, "big"))
