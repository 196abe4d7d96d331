"""A process as its parent sees it: spawned or adopted, watched, signalled, reaped. Knows nothing of messages."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from pronto.fleet import abroad

KEPT_LINES = 50
KEPT_WIDTH = 400  # characters of a kept line
ORPHANS_AFTER = 0.5  # seconds
CLOCK_TICK = os.sysconf("SC_CLK_TCK")  # per second, the unit of CPU times in /proc

PASSED = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
    | {"PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "PYTHONHASHSEED"}
)
PASSED_PREFIXES = ("CUDA_", "NVIDIA_")
NETWORK = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
)


# Of one interpreter: another one would look in the wrong places.
OWN = frozenset({"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"})


def worker_environment(environment: Mapping[str, str], *, threads: int, has_network: bool) -> dict[str, str]:
    """What a worker may know of the gateway's environment: no secret, and no way to the Hub unless it downloads."""
    passed = {name: value for name, value in environment.items() if name in PASSED or name.startswith(PASSED_PREFIXES)}
    passed["TOKENIZERS_PARALLELISM"] = "false"
    if has_network:
        passed |= {name: value for name, value in environment.items() if name in NETWORK}
    else:
        passed |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if threads:
        passed |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return passed


class Usage(msgspec.Struct, frozen=True):
    """CPU seconds burnt so far by all threads, and the state letter of /proc (R, S, D, T, Z)."""

    cpu: float
    state: str


class Child:
    """One process in a session of its own. `on_exit` is called once, in the loop, when it has been reaped.

    `output` is read to its end; `reap()` waits for the process, which has ended, and returns its exit code.
    """

    def __init__(self, pid: int, output: int, reap: Callable[[], int]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_exit: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._reap, self._output, self._partial = reap, output, b""
        os.set_blocking(output, False)
        self._pidfd = os.pidfd_open(pid)
        self._loop.add_reader(output, self._read_output)
        self._loop.add_reader(self._pidfd, self._exited)

    def watch(self, on_exit: Callable[[], None]) -> None:
        self._on_exit = on_exit

    def usage(self) -> Usage | None:
        """None when the process is gone."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return None
        # The name in parentheses may hold anything: fields are counted from the last parenthesis.
        fields = text.rpartition(")")[2].split()
        return Usage((int(fields[11]) + int(fields[12])) / CLOCK_TICK, fields[0])

    def signal(self, number: signal.Signals, *, is_for_group: bool = True) -> None:
        """Signal the worker, with everything that it started unless told otherwise."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if is_for_group else os.kill)(self.pid, number)

    def describe_exit(self) -> str:
        """A sentence on how it ended."""
        code = self.returncode
        if code is None:
            return "the worker closed its connection"
        if code < 0:
            name = signal.Signals(-code).name
            hint = "; perhaps memory ran out" if name == "SIGKILL" else ""
            return f"the worker was ended by {name}{hint}"
        return f"the worker ended with exit code {code}"

    def _read_output(self) -> None:
        try:
            data = os.read(self._output, 65536)
        except BlockingIOError:
            return
        if not data:
            self._close_output()
            return
        *whole, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-KEPT_WIDTH:]
        self.lines.extend(line[:KEPT_WIDTH].decode(errors="replace") for line in whole[-KEPT_LINES:])

    def _close_output(self) -> None:
        if self._output >= 0:
            self._loop.remove_reader(self._output)
            os.close(self._output)
            self._output = -1

    def _exited(self) -> None:
        # Before reaping: until then the process group's number cannot be given to anybody else.
        self.signal(signal.SIGKILL)
        self.returncode = self._reap()
        self._loop.call_later(ORPHANS_AFTER, self._reap_orphans)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._output >= 0:
            self._read_output()
            self._close_output()
        if self._on_exit is not None:
            self._on_exit()

    def _reap_orphans(self) -> None:
        """What the process had started came to us when it ended, and was killed with it."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-self.pid, os.WNOHANG)[0]:
                continue


def spawn(arguments: Sequence[str], descriptor: int, environment: dict[str, str], python: str | None = None) -> Child:
    """`python -m ...` with one descriptor of ours. `python` None: the gateway's own interpreter."""
    command = [sys.executable, "-P", "-m", *arguments]
    if python is not None:
        environment = {name: value for name, value in environment.items() if name not in OWN}
        command = [python, "-P", str(abroad.__file__), *arguments[1:]]
    output, theirs = os.pipe()
    try:
        # Spawned by the loop's own thread: PR_SET_PDEATHSIG watches the thread that spawned, not the process.
        popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.STDOUT,
            pass_fds=(descriptor,),
            env=environment,
            start_new_session=True,
        )
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(theirs)
    return Child(popen.pid, output, popen.wait)


def adopt(pid: int, output: int) -> Child:
    """A process that was forked elsewhere and has been handed to this one, which the kernel lets wait for it."""

    def reap() -> int:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:  # its parent has not handed it over before both ended
            return -signal.SIGKILL

    return Child(pid, output, reap)
