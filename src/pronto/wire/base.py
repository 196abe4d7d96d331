"""The Dialect seam: a wire format as pure functions. No I/O, no clock, no framework."""

from typing import Any, Protocol

import msgspec

from pronto.core.errors import ProntoError
from pronto.core.events import Event, Replay
from pronto.core.media import Media
from pronto.core.request import InferenceRequest, Turn
from pronto.core.tasks import Task

Headers = list[tuple[bytes, bytes]]  # names in lower case


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came, with what the route already knows."""

    request_id: str
    route: str  # the route's name in edge/routes.py
    task: Task  # of the route, else of the model
    own_task: Task | None = None  # of the model, which a route may ask for another; None: unknown
    model: str  # of the path, else the server's default, else empty where the body may name one
    is_named: bool = False  # whether the path names the model, which then wins over the body
    headers: dict[str, str]  # names in lower case
    body: bytes
    files: dict[str, str] = {}  # paths of uploads that are not in `body`, by their digest
    upload: Media | None = None  # the whole body, where it is one file that is not in `body`
    now: int = 0  # Unix seconds, for dialects whose answers carry a time


class Call(msgspec.Struct, frozen=True):
    """A decoded request: what is asked, and the style in which the answer is written (the dialect's own type).

    `more` holds the further prompts of a request with several: choice c of prompt p comes as choice
    `p * choices + c` of one stream of events, with one Started and one Done.
    """

    request: InferenceRequest
    reply: Any
    more: tuple[InferenceRequest, ...] = ()
    turn: Turn | None = None  # None: no part of a conversation that is kept


class Response(msgspec.Struct, frozen=True):
    """A whole response."""

    status: int
    headers: Headers  # content-type included, content-length not
    body: bytes


class Encoder(Protocol):
    """Folds the events of one answer into bytes. One per response."""

    streams: bool  # True: every event may give bytes that can leave at once; False: only the last one does

    @property
    def headers(self) -> Headers:
        """Whole after Started for a stream (before it: what is known by then), after Done for a whole answer."""
        ...

    def feed(self, event: Event) -> bytes:
        """Bytes to send for this event, often none. Waiting gives a comment in a stream, and nothing otherwise."""
        ...

    def flush(self) -> bytes:
        """What `feed` held back to join it with the next event; asked for when no further event is at hand."""
        ...

    def fail(self, error: ProntoError) -> bytes:
        """A failure after the stream has begun, in the dialect's form."""
        ...

    def keep_alive(self) -> bytes:
        """A comment that changes nothing; empty where the format has none."""
        ...


class Replaying(Protocol):
    """What an encoder of whole answers may offer besides: kept answers without a look at each of their events."""

    def replay(self, replay: Replay) -> bytes:
        """As `feed` for all of the events."""
        ...


class Dialect(Protocol):
    """One wire format."""

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput or TooLarge."""
        ...

    def encoder(self, call: Call) -> Encoder: ...

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        """`headers` are the request's: some clients need another shape."""
        ...
