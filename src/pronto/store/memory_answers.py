"""Answers to requests that came with a key, in memory: for tests. They go with the process."""

from pronto.store.base import KeptAnswer


class MemoryAnswers:
    """The Answers seam."""

    def __init__(self) -> None:
        self._answers: dict[tuple[int, str], KeptAnswer] = {}

    async def keep(self, answer: KeptAnswer, *, most_bytes: int) -> None:
        key = (answer.account_id, answer.key)
        there = self._answers.get(key)
        if there is not None and there.expires > answer.created:
            return
        self._answers[key] = answer
        others = [other for other in self._answers if other[0] == answer.account_id and other != key]
        self._shorten(others, most_bytes - answer.size)

    async def get(self, account_id: int, key: str, now: float) -> KeptAnswer | None:
        answer = self._answers.get((account_id, key))
        return answer if answer is not None and answer.expires > now else None

    async def tidy(self, now: float, *, most_bytes: int) -> int:
        expired = [key for key, answer in self._answers.items() if answer.expires <= now]
        for key in expired:
            del self._answers[key]
        return len(expired) + self._shorten(list(self._answers), most_bytes)

    def _shorten(self, keys: list[tuple[int, str]], most_bytes: int) -> int:
        keys.sort(key=lambda key: self._answers[key].created)
        total = sum(self._answers[key].size for key in keys)
        deleted = 0
        for key in keys:
            if total <= most_bytes:
                break
            total -= self._answers.pop(key).size
            deleted += 1
        return deleted
