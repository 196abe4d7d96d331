"""Where workers are born: forked from a process that has imported what they need, or spawned where that cannot be.

One such process is light and there from the start; the heavy one (torch and the like) comes with the first need.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from pronto.engines import registry
from pronto.engines.base import Device
from pronto.fleet import confinement
from pronto.fleet.child import Child, adopt, spawn, worker_environment
from pronto.fleet.fork_server import MAX_MESSAGE, Born, Fork, FromServer, NotBorn, TooLarge, Warm
from pronto.fleet.replica import EngineSpec
from pronto.observe import logger

log = logger("fleet")

SERVER = "pronto.fleet.fork_server"
FIRST_PAUSE = 1.0  # seconds before a fork server that has died is started again; doubled each time
LONGEST_PAUSE = 300.0
PATIENCE = {False: 20.0, True: 120.0}  # seconds for a birth, by whether heavy libraries may have to be imported
HEAVY_BYTES = 2**30


class Unborn(Exception):
    """No worker came of it; the reason is for the log."""


class Nest:
    """One fork server. `on_end(module)` is called when it has ended, unless it was stopped.

    `module`: with which it was over its limit of bytes; None: it ended for another reason.
    """

    def __init__(
        self, modules: Sequence[str], environment: dict[str, str], limit: int, on_end: Callable[[str | None], None]
    ) -> None:
        self._loop, self._on_end = asyncio.get_running_loop(), on_end
        self._pending: dict[int, tuple[asyncio.Future[Child], int]] = {}  # with where the output is read
        self._number = 0
        self._is_stopped = False
        self._gone = asyncio.Event()
        self._too_much: str | None = None
        self._decode = msgspec.msgpack.Decoder(FromServer).decode
        self.bytes = 0  # of its memory, once it is warm
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)
        try:
            arguments = [SERVER, str(theirs.fileno()), str(os.getpid()), str(limit), *modules]
            self._child = spawn(arguments, theirs.fileno(), environment)
        except BaseException:
            self._sock.close()
            raise
        finally:
            theirs.close()
        self._loop.add_reader(self._sock, self._read)
        self._child.watch(self._ended)

    @property
    def pid(self) -> int:
        return self._child.pid

    async def bear(self, request: Fork, descriptor: int, within: float) -> Child:
        """Raises Unborn. A worker that comes too late is ended."""
        self._number += 1
        number = self._number
        born: asyncio.Future[Child] = self._loop.create_future()
        output, theirs = os.pipe()
        self._pending[number] = (born, output)
        try:
            data = msgspec.msgpack.encode(msgspec.structs.replace(request, id=number))
            socket.send_fds(self._sock, [data], [descriptor, theirs])
        except OSError as error:
            self._fail(number, f"the fork server cannot be asked: {error.strerror}")
        finally:
            os.close(theirs)
        try:
            async with asyncio.timeout(within):
                return await born
        except TimeoutError:
            self._child.signal(signal.SIGKILL)
            raise Unborn(f"it took longer than {within:.0f} seconds") from None

    def stop(self) -> None:
        """End it; its workers stay."""
        self._is_stopped = True
        self._child.signal(signal.SIGKILL)

    async def ended(self) -> None:
        """Wait until it has ended."""
        await self._gone.wait()

    def _read(self) -> None:
        try:
            data = self._sock.recv(MAX_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._sock)
            self._child.signal(signal.SIGKILL)
            return
        self._take(self._decode(data))

    def _take(self, message: FromServer) -> None:
        if isinstance(message, Warm):
            self.bytes = message.bytes
            if message.missing:
                log.info("a fork server could not import everything", missing=list(message.missing))
        elif isinstance(message, TooLarge):
            self._too_much = message.module
            log.info("a library is over `warm_mb`", module=message.module, bytes=message.bytes)
        elif isinstance(message, NotBorn):
            self._fail(message.id, message.reason)
        else:
            self._welcome(message)

    def _welcome(self, message: Born) -> None:
        born, output = self._pending.pop(message.id)
        child = adopt(message.pid, output)
        if born.done():  # nobody waits any more
            child.signal(signal.SIGKILL)
        else:
            born.set_result(child)

    def _fail(self, number: int, reason: str) -> None:
        born, output = self._pending.pop(number)
        os.close(output)
        if not born.done():
            born.set_exception(Unborn(reason))
            # Somebody who gave up waiting must not make the loop complain.
            born.exception()

    def _ended(self) -> None:
        self._loop.remove_reader(self._sock)
        with contextlib.suppress(OSError):
            while data := self._sock.recv(MAX_MESSAGE):  # its last words may not have been read yet
                self._take(self._decode(data))
        self._sock.close()
        self._gone.set()
        for number in list(self._pending):
            self._fail(number, "the fork server has ended")
        if not self._is_stopped:
            if self._too_much is None:
                said = list(self._child.lines)[-1:]
                log.warning("a fork server has ended", how=self._child.describe_exit(), said=said)
            self._on_end(self._too_much)


class Nursery:
    """`environment`: the gateway's, of which workers see little. `heavy_bytes` 0: heavy libraries are not kept ready.

    `threads`: what the libraries may use; some take note of it when they are imported. Lives in the loop's thread.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        threads: int = 0,
        heavy_bytes: int = HEAVY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment, self._threads, self._heavy_bytes = dict(environment), threads, heavy_bytes
        self._clock = clock
        self._nests: dict[bool, Nest] = {}  # by whether they are heavy
        self._rest: dict[bool, float] = {}  # until when they must not be started again
        self._pauses: dict[bool, float] = {}
        self._again: dict[bool, asyncio.TimerHandle] = {}
        self._wanted: set[str] = set()  # heavy modules
        self._unfit: set[str] = set()  # those that are too large
        self._is_over = False

    async def bear(self, spec: EngineSpec, device: Device) -> tuple[Child, socket.socket]:
        """A worker's process and our end of its socket. Raises OSError."""
        has_network = spec.engine in confinement.NEEDS_NETWORK
        environment = worker_environment(self._environment, threads=device.threads, has_network=has_network)
        # What the engine's libraries read at their import.
        environment |= registry.entry(spec.engine).environment
        preload = registry.entry(spec.engine).preload
        if spec.python is None and not has_network:
            nest = self._nest(preload)
            if nest is not None:
                needs = tuple(name for name in preload if name not in self._unfit)
                request = Fork(id=0, needs=needs, environment=environment, threads=device.threads)
                try:
                    return await _with_socket(
                        lambda descriptor: nest.bear(request, descriptor, PATIENCE[registry.is_heavy(preload)])
                    )
                except Unborn as error:
                    log.warning("a worker is spawned, because it could not be forked", reason=str(error))
        return await spawn_worker(spec.python, environment)

    def begin(self, heavy: Sequence[str] = ()) -> None:
        """Start the light one, and the heavy one for these modules if there are any. They import in the background."""
        self._nest(())
        if heavy:
            self._nest(heavy)

    @property
    def bytes(self) -> int:
        """Memory of what is kept ready."""
        return sum(nest.bytes for nest in self._nests.values())

    def pids(self) -> list[int]:
        return [nest.pid for nest in self._nests.values()]

    def stop_heavy(self) -> None:
        """Give its memory back. The next need starts it again."""
        if True in self._nests:
            self._nests.pop(True).stop()

    async def stop(self) -> None:
        """End the fork servers; workers stay. Nothing is forked any more. Idempotent."""
        self._is_over = True
        for timer in self._again.values():
            timer.cancel()
        while self._nests:
            nest = self._nests.popitem()[1]
            nest.stop()
            await nest.ended()

    def _nest(self, preload: Sequence[str]) -> Nest | None:
        """The one for these modules; None: for now there is none."""
        is_heavy = registry.is_heavy(preload)
        if self._is_over or (is_heavy and not self._heavy_bytes):
            return None
        if is_heavy:
            self._wanted.update(set(preload) - self._unfit)
            if not registry.is_heavy(tuple(self._wanted)):
                return None
        if is_heavy not in self._nests and self._clock() >= self._rest.get(is_heavy, 0.0):
            confinement.adopt_orphans()
            modules = sorted(self._wanted) if is_heavy else list(registry.LIGHT)
            environment = worker_environment(self._environment, threads=self._threads, has_network=False)
            limit = self._heavy_bytes if is_heavy else 0
            self._nests[is_heavy] = Nest(modules, environment, limit, lambda module: self._ended(module, is_heavy))
        return self._nests.get(is_heavy)

    def _ended(self, too_much: str | None, is_heavy: bool) -> None:
        self._nests.pop(is_heavy, None)
        if too_much is not None:
            # Each worker that needs it imports it, on top of what fits.
            self._unfit.add(too_much)
            self._wanted.discard(too_much)
        pause = self._pauses.get(is_heavy, FIRST_PAUSE)
        self._pauses[is_heavy] = min(LONGEST_PAUSE, 2 * pause)
        self._rest[is_heavy] = self._clock() + pause
        preload = tuple(self._wanted) if is_heavy else ()
        if not self._is_over and registry.is_heavy(preload) == is_heavy:
            self._again[is_heavy] = asyncio.get_running_loop().call_later(pause, self._nest, preload)


async def spawn_worker(python: str | None, environment: dict[str, str]) -> tuple[Child, socket.socket]:
    """A fresh interpreter, and our end of its socket. Raises OSError."""

    async def born(descriptor: int) -> Child:
        return spawn(["pronto.fleet.worker", str(descriptor), str(os.getpid())], descriptor, environment, python)

    return await _with_socket(born)


async def _with_socket(born: Callable[[int], Awaitable[Child]]) -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair()
    try:
        return await born(theirs.fileno()), ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
