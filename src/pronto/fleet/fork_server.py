"""The process that workers are forked from: what they need is imported before any model is known.

`python -m pronto.fleet.fork_server FD PARENT LIMIT MODULE...`: LIMIT in bytes, 0 for none. Knows no model, no asyncio.
"""

import gc
import os
import select
import socket
import sys
import time
import traceback
import warnings
from importlib import import_module
from typing import NoReturn

import msgspec

from pronto.fleet import confinement, worker

MAX_MESSAGE = 256 * 1024  # bytes
HANDED_OVER = 5.0  # seconds that a new worker waits to become the gateway's child
EXIT_TOO_LARGE = 72


class Fork(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Parent: a worker, please. Two descriptors come along: the worker's socket, and where its output goes."""

    id: int
    needs: tuple[str, ...]  # modules to be imported before
    environment: dict[str, str]
    threads: int


class Born(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Server: the worker is there, as the gateway's own child."""

    id: int
    pid: int


class NotBorn(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Server: there is none, and why."""

    id: int
    reason: str


class Warm(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Server: what it was started for is imported, or cannot be. `bytes` of its memory."""

    bytes: int
    missing: tuple[str, ...] = ()


class TooLarge(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Server: with this module it is over its limit, so it ends."""

    module: str
    bytes: int


FromServer = Born | NotBorn | Warm | TooLarge
_encode = msgspec.msgpack.Encoder().encode


class ForkServer:
    """One socket of whole messages, one thread. A request is served between two imports."""

    def __init__(self, sock: socket.socket, parent: int, limit: int, modules: list[str]) -> None:
        self._sock, self._parent, self._limit = sock, parent, limit
        self._to_import, self._missing = modules, set[str]()
        self._decode = msgspec.msgpack.Decoder(Fork).decode
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def run(self) -> int:
        is_told = False
        while True:
            if self._to_import and not self._poll.poll(0):
                self._import(self._to_import.pop(0))
                continue
            if not self._to_import and not is_told:
                is_told = True
                # Pages that the collector never writes to stay shared with all workers.
                gc.collect()
                gc.freeze()
                self._send(Warm(confinement.resident_bytes(), tuple(sorted(self._missing))))
            if not self._serve():
                return 0

    def _serve(self) -> bool:
        """One request; False when the gateway is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._sock, MAX_MESSAGE, 2)
        if not data:
            return False
        fork = self._decode(data)
        try:
            for name in fork.needs:
                if name not in sys.modules:
                    self._import(name)
            missing = [name for name in fork.needs if name not in sys.modules]
            if missing:
                self._send(NotBorn(fork.id, f"{', '.join(missing)} cannot be imported"))
            else:
                self._send(Born(fork.id, self._bear(fork, descriptors)))
        except OSError as error:
            self._send(NotBorn(fork.id, f"it could not be forked: {error.strerror}"))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _import(self, name: str) -> None:
        try:
            import_module(name)
        except Exception:
            traceback.print_exc()
            self._missing.add(name)
        size = confinement.resident_bytes()
        if self._limit and size > self._limit:
            self._send(TooLarge(name, size))
            os._exit(EXIT_TOO_LARGE)

    def _bear(self, fork: Fork, descriptors: list[int]) -> int:
        """Fork twice, so that the gateway becomes the parent: it outlives this process, and learns how workers end."""
        reading, writing = os.pipe()
        try:
            middle = _fork()
            if middle == 0:
                _be_middle(self._parent, fork, descriptors, writing)
            os.close(writing)
            writing = -1
            told = os.read(reading, 32)
            os.waitpid(middle, 0)
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if not told:
            raise OSError(0, "it ended at once")
        return int(told)

    def _send(self, message: FromServer) -> None:
        try:
            self._sock.send(_encode(message))
        except OSError:
            os._exit(0)


def _fork() -> int:
    with warnings.catch_warnings():
        # Libraries keep idle threads that know of forks; none of ours runs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _be_middle(gateway: int, fork: Fork, descriptors: list[int], told: int) -> NoReturn:
    try:
        middle = os.getpid()
        if _fork() == 0:
            # Before the gateway hears of it: a signal to its group must find it.
            os.setsid()
            os.write(told, str(os.getpid()).encode())
            _await_parent(gateway, middle)
            _become_worker(gateway, fork, descriptors)
    except BaseException:
        traceback.print_exc()
    os._exit(0)


def _await_parent(gateway: int, middle: int) -> None:
    deadline = time.monotonic() + HANDED_OVER
    while os.getppid() == middle and time.monotonic() < deadline:
        time.sleep(0.0005)
    confinement.die_with(gateway)


def _become_worker(gateway: int, fork: Fork, descriptors: list[int]) -> NoReturn:
    """The same as a spawned one from here on."""
    theirs, output = descriptors
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nowhere, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    theirs = os.dup(theirs)
    # Nothing else of the server's, its own socket above all, may stay open here.
    os.closerange(3, theirs)
    os.closerange(theirs + 1, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(fork.environment)
    _settle(fork.threads)
    code = worker.main([str(theirs), str(gateway)])
    sys.stderr.flush()
    os._exit(code)


def _settle(threads: int) -> None:
    """What libraries have read from the environment, or drawn by lot, when they were imported."""
    torch, random = sys.modules.get("torch"), sys.modules.get("numpy.random")
    if torch is not None and threads:
        torch.set_num_threads(threads)
    if random is not None:
        random.seed()


def main(arguments: list[str]) -> int:
    descriptor, parent, limit = (int(argument) for argument in arguments[:3])
    confinement.die_with(parent)
    confinement.prepare_process()
    return ForkServer(socket.socket(fileno=descriptor), parent, limit, arguments[3:]).run()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
