"""What each task's format on the Hugging Face routes makes of a body, and what it offers. Knows no task."""

from collections.abc import Callable
from typing import Any

import msgspec

from pronto.core.request import Work
from pronto.wire.base import Encoder, Raw
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds


class Asked(msgspec.Struct, frozen=True):
    """What a body asks for, and how the answer shall look (the format's own type)."""

    work: Work
    style: Any
    more: tuple[Work, ...] = ()  # of further prompts that go down the line by themselves
    options: OptionsBody | None = None


class TaskFormat(msgspec.Struct, frozen=True):
    """How one task is read and written."""

    read: Callable[[Raw, Bounds], Asked]
    encoder: Callable[[Any], Encoder]
