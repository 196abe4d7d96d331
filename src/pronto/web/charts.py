"""Numbers as bars: where each stands in an SVG. Knows no colours and no page; templates/charts.html draws.

Lengths are in the units of the picture: 720 by 220.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec

WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 4, 10, 26
MOST_SERIES = 6  # colours; the rest is one of them together
OTHERS = "others"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Bar(msgspec.Struct, frozen=True):
    """One piece of a column. `series` from 1; `says` is its words."""

    x: float
    y: float
    width: float
    height: float
    series: int
    says: str


class Mark(msgspec.Struct, frozen=True):
    """A number at the side, or a day below."""

    at: float
    text: str


class Chart(msgspec.Struct, frozen=True):
    """All of it. `names` by series, from 1."""

    title: str
    bars: tuple[Bar, ...]
    across: tuple[Mark, ...]
    along: tuple[Mark, ...]
    names: tuple[str, ...]
    total: int

    @property
    def is_empty(self) -> bool:
        return not self.bars


def days_until(last: str, count: int) -> list[str]:
    """ISO days, the oldest first."""
    end = date.fromisoformat(last)
    return [(end - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]


def stacked(title: str, days: Sequence[str], amounts: Mapping[str, Mapping[str, int]]) -> Chart:
    """`amounts` by series and day. The largest series are lowest and come first; small ones are together."""
    series = _largest(amounts)
    top = _round_up(max((sum(one.get(day, 0) for _, one in series) for day in days), default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(days))
    width = min(step * 0.78, 44.0)
    bars = []
    for place, day in enumerate(days):
        base = float(HEIGHT - _BOTTOM)
        for number, (name, one) in enumerate(series, 1):
            amount = one.get(day, 0)
            if amount:
                height = amount / top * (HEIGHT - _TOP - _BOTTOM)
                base -= height
                x = _LEFT + place * step + (step - width) / 2
                says = f"{day}, {name}: {amount:,}"
                bars.append(Bar(round(x, 1), round(base, 1), round(width, 1), round(max(height, 0.8), 1), number, says))
    return Chart(
        title=title,
        bars=tuple(bars),
        across=_across(top),
        along=_along(days, step),
        names=tuple(name for name, _ in series),
        total=sum(sum(one.values()) for one in amounts.values()),
    )


def _largest(amounts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    ranked = sorted(amounts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    ranked = [item for item in ranked if sum(item[1].values())]
    if len(ranked) <= MOST_SERIES:
        return ranked
    rest: dict[str, int] = {}
    for _, one in ranked[MOST_SERIES - 1 :]:
        for day, amount in one.items():
            rest[day] = rest.get(day, 0) + amount
    return [*ranked[: MOST_SERIES - 1], (OTHERS, rest)]


def _round_up(value: int) -> int:
    """To a number that halves well."""
    size = 1
    while True:
        for step in (2, 4, 6, 8, 10, 12, 16):
            if value <= step * size:
                return step * size
        size *= 10


def _across(top: int) -> tuple[Mark, ...]:
    span = HEIGHT - _TOP - _BOTTOM
    return tuple(Mark(round(_TOP + span * (1 - share), 1), _short(top * share)) for share in (0.0, 0.5, 1.0))


def _along(days: Sequence[str], step: float) -> tuple[Mark, ...]:
    every = max(1, -(-len(days) // 7))
    places = range(len(days) - 1, -1, -every)
    return tuple(Mark(round(_LEFT + (place + 0.5) * step, 1), _day(days[place])) for place in places)


def _day(iso: str) -> str:
    return f"{_MONTHS[int(iso[5:7]) - 1]} {int(iso[8:])}"


def _short(number: float) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}".removesuffix(".0") + letter
    return f"{number:g}"
