"""Kept turns in memory, for tests and for whoever wants nothing on disk. They go with the process."""

from collections.abc import Sequence

from pronto.store.base import KeptTurn


class MemoryConversations:
    """The Conversations seam."""

    def __init__(self) -> None:
        self._turns: dict[tuple[int, str], KeptTurn] = {}  # in the order in which they were kept

    async def keep(self, turn: KeptTurn, *, most_bytes: int) -> None:
        self._turns.pop((turn.account_id, turn.id), None)
        self._turns[turn.account_id, turn.id] = turn
        self._shorten([key for key in self._turns if key[0] == turn.account_id and key[1] != turn.id], most_bytes, turn)

    async def get(self, account_id: int, id: str, now: float) -> KeptTurn | None:
        turn = self._turns.get((account_id, id))
        return turn if turn is not None and turn.expires > now else None

    async def delete(self, account_id: int, id: str) -> bool:
        return self._turns.pop((account_id, id), None) is not None

    async def of(self, account_id: int) -> Sequence[KeptTurn]:
        mine = [turn for turn in self._turns.values() if turn.account_id == account_id]
        return sorted(mine, key=lambda turn: (turn.created, turn.id))

    async def tidy(self, now: float, *, most_bytes: int) -> int:
        expired = [key for key, turn in self._turns.items() if turn.expires <= now]
        for key in expired:
            del self._turns[key]
        return len(expired) + self._shorten(list(self._turns), most_bytes)

    def _shorten(self, keys: list[tuple[int, str]], most_bytes: int, newest: KeptTurn | None = None) -> int:
        keys.sort(key=lambda key: self._turns[key].created)
        total = sum(len(self._turns[key].body) for key in keys) + (len(newest.body) if newest else 0)
        deleted = 0
        for key in keys:
            if total <= most_bytes:
                break
            total -= len(self._turns.pop(key).body)
            deleted += 1
        return deleted
