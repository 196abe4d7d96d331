"""Logins of devices (RFC 8628): a device shows a short code, somebody who may confirms it, and the device gets a token.

In memory only: a login that is under way does not outlive the server. Knows no HTTP and makes no token.
"""

import hashlib
import hmac
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from pronto.core.errors import NotFound, Overloaded, RateLimited

TTL = 900.0  # seconds to confirm a code
INTERVAL = 2.0  # seconds between two questions of a device
SLACK = 0.5  # seconds that a question may come early: networks jitter
MOST = 1000  # logins at the same time
MAX_WRONG = 10  # codes that are not there, in a minute; then none is looked at for a while
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # nothing that looks alike, and no vowels: it makes no words
LENGTH = 8

_SYSTEM = secrets.SystemRandom()


class Answer(StrEnum):
    """What a device hears instead of a token, in the words of RFC 8628."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED = "expired_token"
    DENIED = "access_denied"
    UNKNOWN = "invalid_grant"


class Begun(msgspec.Struct, frozen=True):
    """`device_code` is for the device alone, `user_code` for whoever confirms it."""

    device_code: str
    user_code: str


class Device(msgspec.Struct, frozen=True):
    """Who asks. `name` is what it calls itself, `address` where it asked from."""

    client_id: str
    name: str
    address: str


class Login(msgspec.Struct, kw_only=True):
    """One login under way. Times on the clock of the logins."""

    user_code: str
    device: Device
    expires: float
    polled: float | None = None
    account_id: int | None = None  # set when it was confirmed
    is_denied: bool = False


class DeviceLogins:
    """`clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], rng: random.Random = _SYSTEM, most: int = MOST) -> None:
        self._clock, self._rng, self._most = clock, rng, most
        self._logins: dict[bytes, Login] = {}  # by the digest of the device code, oldest first
        self._wrong: deque[float] = deque(maxlen=MAX_WRONG)

    def begin(self, device: Device) -> Begun:
        """Raises Overloaded when too many are under way."""
        self._tidy()
        if len(self._logins) >= self._most:
            raise Overloaded("Too many logins are under way. Please try again in some minutes.", retry_after=60.0)
        begun = Begun(f"{self._rng.getrandbits(256):064x}", self._fresh_code())
        self._logins[_digest(begun.device_code)] = Login(
            user_code=begun.user_code, device=device, expires=self._clock() + TTL
        )
        return begun

    def poll(self, device_code: str, client_id: str) -> Login | Answer:
        """The confirmed login, once, with which a token is to be made; or what to tell the device."""
        key, now = _digest(device_code), self._clock()
        login = self._logins.get(key)
        if login is None or not hmac.compare_digest(login.device.client_id.encode(), client_id.encode()):
            return Answer.UNKNOWN
        if login.is_denied:
            return Answer.DENIED
        if now >= login.expires:
            return Answer.EXPIRED
        is_early = login.polled is not None and now - login.polled < INTERVAL - SLACK
        login.polled = now
        if is_early:
            return Answer.SLOW_DOWN
        if login.account_id is None:
            return Answer.PENDING
        return self._logins.pop(key)

    def give_back(self, device_code: str, login: Login) -> None:
        """No token could be made for it: the device may ask again."""
        login.polled = None
        self._logins[_digest(device_code)] = login

    def look(self, user_code: str) -> Device:
        """Who asks. Raises as `confirm`."""
        return self._find(user_code).device

    def confirm(self, user_code: str, account_id: int) -> Device:
        """Let the device in as this account. Raises NotFound, and RateLimited after too many wrong codes."""
        login = self._find(user_code)
        login.account_id = account_id
        return login.device

    def deny(self, user_code: str) -> Device:
        """Turn the device away. Raises as `confirm`."""
        login = self._find(user_code)
        login.is_denied = True
        return login.device

    def waiting(self) -> list[tuple[Login, float]]:
        """The logins that nobody has decided on, with the seconds that are left for it."""
        now = self._clock()
        return [(login, login.expires - now) for login in self._open()]

    def _find(self, user_code: str) -> Login:
        now, wanted = self._clock(), normal(user_code)
        if len(self._wrong) == MAX_WRONG and now - self._wrong[0] < 60.0:
            wait = 60.0 - (now - self._wrong[0])
            raise RateLimited("Too many wrong codes. Please wait a minute.", window="login_codes", retry_after=wait)
        found = None
        for login in self._open():  # all of them, so that the time tells nothing
            if hmac.compare_digest(login.user_code.encode(), wanted.encode("utf-8", "replace")):
                found = login
        if found is None:
            self._wrong.append(now)
            raise NotFound(
                "No login with this code is waiting. Codes hold for 15 minutes; `pronto login list` has all."
            )
        return found

    def _open(self) -> Iterator[Login]:
        now = self._clock()
        for login in self._logins.values():
            if login.account_id is None and not login.is_denied and now < login.expires:
                yield login

    def _fresh_code(self) -> str:
        taken = {login.user_code for login in self._logins.values()}
        while True:
            code = "".join(self._rng.choice(ALPHABET) for _ in range(LENGTH))
            if normal(code) not in taken:
                return normal(code)

    def _tidy(self) -> None:
        # For as long again, a device hears that it came too late, not that there never was such a code.
        now = self._clock()
        for key in [key for key, login in self._logins.items() if now >= login.expires + TTL]:
            del self._logins[key]


def normal(user_code: str) -> str:
    """As it is shown: `BCDF-GHJK`, however it was typed."""
    letters = "".join(one for one in user_code[:64].upper() if one not in "- ")
    return f"{letters[: LENGTH // 2]}-{letters[LENGTH // 2 :]}"


def is_code(text: str) -> bool:
    """Whether it can be a code at all."""
    letters = normal(text).replace("-", "")
    return len(letters) == LENGTH and all(one in ALPHABET for one in letters)


def _digest(device_code: str) -> bytes:
    return hashlib.sha256(device_code.encode("utf-8", "surrogatepass")).digest()
