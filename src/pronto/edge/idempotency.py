"""Requests with an `Idempotency-Key`: asked again, they get the first answer again. Knows no dialect and no model.

As Stripe does it: an answer is kept with its status once the work had begun, whether it went well or not.
"""

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from pronto.core.errors import Conflict, GenerationFailed, InvalidInput, KeyReused, ProntoError, StorageFailed
from pronto.core.identity import Caller
from pronto.edge.body import Message, Send
from pronto.observe import logger
from pronto.store.base import Answers, KeptAnswer
from pronto.wire.base import Headers
from pronto.wire.faults import HttpFault

HEADER = "idempotency-key"
MAX_ANSWER = 4 * 1024 * 1024  # bytes; a larger answer is not kept
REPLAYED = (b"idempotent-replayed", b"true")

_KEY = re.compile(r"[ -~]{1,255}")
# Those that change the answer. Not the client's name: its next version may ask again.
_HEADERS = ("accept", "content-type", "x-use-cache", "x-hf-bill-to", "anthropic-version", "anthropic-beta")

log = logger("edge")


class Repeatable(msgspec.Struct, frozen=True):
    """A request that came with a key: whose it is, and what exactly is asked."""

    account_id: int
    key: str
    fingerprint: bytes


class Repeats:
    """`ttl` in seconds, `now` gives Unix seconds, `account_bytes` bounds what one account has kept."""

    def __init__(self, answers: Answers, *, ttl: float, account_bytes: int, now: Callable[[], float]) -> None:
        self._answers, self._ttl, self._account_bytes, self._now = answers, ttl, account_bytes, now
        self._in_work: dict[tuple[int, str], bytes] = {}
        self._left = 0  # how many have been through

    async def enter(self, asked: Repeatable) -> KeptAnswer | None:
        """The kept answer, or None: then it is to be worked on, and `leave` is to be called at the end.

        Raises KeyReused, Conflict while its twin is in work, and StorageFailed.
        """
        place = (asked.account_id, asked.key)
        while True:
            self._check_twin(place, asked.fingerprint)
            left = self._left
            kept = await self._answers.get(*place, self._now())
            if kept is not None:
                _check_same(kept.fingerprint, asked.fingerprint)
                return kept
            self._check_twin(place, asked.fingerprint)
            # Otherwise a twin may have come and gone since the look.
            if left == self._left:
                self._in_work[place] = asked.fingerprint
                return None

    def leave(self, asked: Repeatable) -> None:
        del self._in_work[asked.account_id, asked.key]
        self._left += 1

    async def keep(self, asked: Repeatable, recording: "Recording") -> None:
        """A failure is told to the log alone: the answer is there, and was paid for."""
        now = self._now()
        answer = KeptAnswer(
            account_id=asked.account_id,
            key=asked.key,
            fingerprint=asked.fingerprint,
            status=recording.status,
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in recording.headers),
            body=recording.body,
            created=now,
            expires=now + self._ttl,
        )
        try:
            await self._answers.keep(answer, most_bytes=self._account_bytes)
        except StorageFailed as error:
            log.error("an answer cannot be kept for its key", reason=str(error.__cause__ or error))

    def _check_twin(self, place: tuple[int, str], fingerprint: bytes) -> None:
        twin = self._in_work.get(place)
        if twin is not None:
            _check_same(twin, fingerprint)
            raise Conflict("A request with this Idempotency-Key is in work. Please ask again shortly.", retry_after=1)


class Recording:
    """A `send` that notes the response on its way; `at_end` is called before its last byte leaves."""

    def __init__(self, send: Send, left_out: Headers, at_end: "Callable[[Recording], Awaitable[None]]") -> None:
        self.status = 0
        self.headers: Headers = []
        self.is_whole = True  # False: it was too long
        self._send, self._at_end = send, at_end
        # What belongs to the transport, or to one request alone.
        self._left_out = {b"content-length", *(name for name, _ in left_out)}
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kept = [pair for pair in message["headers"] if pair[0] not in self._left_out]
            # How limits stood then would make clients wait now.
            self.headers = [pair for pair in kept if not pair[0].startswith((b"ratelimit", b"x-ratelimit"))]
        else:
            self._note(message.get("body", b""))
            if not message.get("more_body"):
                await self._at_end(self)
        await self._send(message)

    def _note(self, part: bytes) -> None:
        self._size += len(part)
        self.is_whole = self._size <= MAX_ANSWER
        if self.is_whole:
            self._parts.append(part)
        else:
            self._parts.clear()


def repeatable(caller: Caller, target: tuple[str, ...], headers: Mapping[str, str], body: bytes) -> Repeatable:
    """`target` says what the path named. Raises InvalidInput."""
    key = headers[HEADER]
    if _KEY.fullmatch(key) is None:
        raise InvalidInput("An Idempotency-Key has 1 to 255 printable ASCII characters.", "Idempotency-Key")
    digest = hashlib.sha256()
    # A token that may do less finds no answer of one that may do more.
    may = (caller.role, *sorted(caller.scopes), str(caller.org_id))
    for group in (target, tuple(headers.get(name, "") for name in _HEADERS), may):
        digest.update(msgspec.json.encode(group) + b"\n")
    digest.update(body)
    return Repeatable(caller.account_id, key, digest.digest())


def is_final(failure: ProntoError | None) -> bool:
    """Whether the same request shall get the same again: a whole answer, or a failure of the work itself."""
    if failure is None or isinstance(failure, GenerationFailed):
        return True
    return isinstance(failure, HttpFault) and failure.status == 500


def _check_same(first: bytes, second: bytes) -> None:
    if not hmac.compare_digest(first, second):
        raise KeyReused(
            "This Idempotency-Key came before with another request. Please use a new key for a new request."
        )
