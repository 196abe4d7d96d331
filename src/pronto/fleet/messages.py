"""What a worker and its parent say to each other: msgpack structs behind a 4-byte big-endian length, nothing else.

Needs the standard library and msgspec only, because a worker may run on another interpreter.
"""

import msgspec

from pronto.core.events import Progress
from pronto.core.request import InferenceRequest
from pronto.engines.base import Capabilities, Device, EngineEvent, Stats
from pronto.fleet.replica import EngineSpec

MAX_FRAME = 16 * 1024 * 1024  # bytes of one message without its length
HEAD = 4  # bytes of the length


class Load(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Parent: come up with this model. Always the first message."""

    spec: EngineSpec
    device: Device


class Add(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Parent: take this request on."""

    id: int
    request: InferenceRequest


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Parent: nobody reads this one any more."""

    id: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Parent: are you there?"""

    number: int


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Parent: end now."""


class Progressed(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """Child: loading has come this far."""

    progress: Progress


class Loaded(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Child: ready for requests. `notes` are for the log, at debug level."""

    capabilities: Capabilities
    notes: tuple[str, ...] = ()


class LoadRefused(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """Child: the model cannot be served; the child ends."""

    reason: str


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """Child: everybody's events of one step."""

    events: list[tuple[int, EngineEvent]]
    stats: Stats


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """Child: I am."""

    number: int


class Dying(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """Child: a step failed; the child ends."""

    reason: str


ToWorker = Load | Add | Cancel | Ping | Stop
FromWorker = Progressed | Loaded | LoadRefused | Frame | Pong | Dying

_encoder = msgspec.msgpack.Encoder()


class FrameTooLarge(ValueError):
    """A message is over MAX_FRAME."""


def pack(message: ToWorker | FromWorker) -> bytearray:
    """The message with its length before it. Raises FrameTooLarge."""
    buffer = bytearray(HEAD)
    _encoder.encode_into(message, buffer, HEAD)
    length = len(buffer) - HEAD
    if length > MAX_FRAME:
        raise FrameTooLarge(f"a message of {length} bytes is over the bound of {MAX_FRAME}")
    buffer[:HEAD] = length.to_bytes(HEAD, "big")
    return buffer


class Splitter:
    """Cuts a stream of bytes into messages. Holds at most one unfinished message."""

    __slots__ = ("_needed", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = HEAD

    def feed(self, data: bytes) -> list[memoryview]:
        """The messages that are whole now, without their lengths. Raises FrameTooLarge."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
        whole, view, at, end = [], memoryview(data), 0, len(data)
        self._needed = HEAD
        while end - at >= HEAD:
            length = int.from_bytes(view[at : at + HEAD], "big")
            if length > MAX_FRAME:
                raise FrameTooLarge(f"a message of {length} bytes is over the bound of {MAX_FRAME}")
            if end - at - HEAD < length:
                self._needed = HEAD + length
                break
            whole.append(view[at + HEAD : at + HEAD + length])
            at += HEAD + length
        self._rest = bytearray(view[at:]) if at < end else bytearray()
        return whole
