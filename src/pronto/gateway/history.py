"""What a tenant used before this server began, from the ledger: so that a restart opens no window."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pronto.core.identity import Caller
from pronto.core.plan import Per, Unit, Window
from pronto.store.base import Ledger, Minute, Sums

Past = list[tuple[int, int]]  # when, in Unix nanoseconds, and how much; oldest first

SECOND = 10**9  # nanoseconds


class History:
    """Rows are settled or in work; what a killed server left counts as a request and no tokens."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def of(self, caller: Caller, windows: Sequence[Window], now: int) -> list[tuple[Window, Past]]:
        """What counts in each window. Raises StorageFailed."""
        account, org = caller.account_id, caller.org_id
        rates = [window for window in windows if window.per.is_rate]
        longest = max((window.seconds for window in rates), default=0)
        since = max(0, now // 1000 - longest * 10**6)
        minutes = await self._ledger.minutes(account_id=account, org_id=org, since=since) if rates else ()
        past: list[tuple[Window, Past]] = [(window, _minutes(window.unit, minutes)) for window in rates]
        for window in windows:
            if not window.per.is_rate:
                sums = await self._ledger.sums(account_id=account, org_id=org, since=_first_day(window, now))
                past.append((window, [(now, _amount(window.unit, sums))]))
        return past


def _minutes(unit: Unit, minutes: Sequence[Minute]) -> Past:
    return [(minute.began * 1000, _amount(unit, minute)) for minute in minutes]


def _amount(unit: Unit, used: Sums | Minute) -> int:
    if unit is Unit.AUDIO_SECONDS:
        return -(-used.audio_ms // 1000)
    return int(getattr(used, unit.value))


def _first_day(window: Window, now: int) -> str:
    day = datetime.fromtimestamp(now / SECOND, UTC).date()
    return (day if window.per is Per.DAY else day.replace(day=1)).isoformat()
