"""What an account on a plan may do: windows of use, bounds of one request, its share of a busy device.

Knows neither files nor counters: accounts/plans.py reads plans, gateway/limits.py keeps to them.
"""

from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec


class Unit(StrEnum):
    """What is counted. Audio in whole seconds."""

    REQUESTS = "requests"
    PROMPT_TOKENS = "prompt_tokens"
    GENERATED_TOKENS = "generated_tokens"
    IMAGES = "images"
    AUDIO_SECONDS = "audio_seconds"


class Per(StrEnum):
    """The length of a window. Minute and hour are rates (GCRA); day and month are calendar windows in UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    @property
    def is_rate(self) -> bool:
        return self in (Per.MINUTE, Per.HOUR)


SECONDS = {Per.MINUTE: 60, Per.HOUR: 3600, Per.DAY: 86_400, Per.MONTH: 30 * 86_400}  # of a month: about


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """At most `limit` of `unit` per window. `burst`: of a rate, what may come at once; 0 for calendar windows."""

    unit: Unit
    per: Per
    limit: int
    burst: int = 0
    # Made from the others, once: both are needed for each request.
    name: str = ""  # as in errors and headers; the Hub's clients read names of word characters only
    seconds: int = 0
    policy: str = ""  # as the IETF's draft for rate limits writes it

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "name", f"{self.unit}_per_{self.per}")
        msgspec.structs.force_setattr(self, "seconds", SECONDS[self.per])
        msgspec.structs.force_setattr(self, "policy", f'"{self.name}";q={self.limit};w={self.seconds}')


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """How a window stands for somebody. `reset`: seconds until something is free again, or until all is."""

    window: Window
    remaining: int
    reset: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as data. A model that needs a plan is open to all plans whose `level` is at least that plan's.

    `models` are patterns of ids, as in a shell, that narrow this further. `queue_deadline` in seconds.
    """

    name: str
    level: int
    windows: tuple[Window, ...] = ()
    concurrency: int = 8
    max_new_tokens: int = 1024
    weight: float = 1.0
    queue_deadline: float = 30.0
    models: tuple[str, ...] = ("*",)

    def covers(self, model: str) -> bool:
        """Whether the patterns let a model id through."""
        return self.models == ("*",) or any(fnmatchcase(model, pattern) for pattern in self.models)
