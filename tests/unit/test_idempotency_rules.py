"""Idempotency keys against a model of their rules, over any order of requests, ends and hours that pass."""

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from pronto.core.errors import Conflict, KeyReused
from pronto.edge.idempotency import Recording, Repeatable, Repeats
from pronto.store.memory_answers import MemoryAnswers

TTL = 10.0
KEYS = st.sampled_from(["a", "b", "c"])
ACCOUNTS = st.sampled_from([1, 2])
BODIES = st.sampled_from([b"one", b"two"])


class Rules(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now, self.made = 0.0, 0
        self.repeats = Repeats(MemoryAnswers(), ttl=TTL, account_bytes=10**9, now=lambda: self.now)
        self.in_work: dict[tuple[int, str], bytes] = {}
        self.kept: dict[tuple[int, str], tuple[bytes, bytes, float]] = {}  # what was asked, the answer, until when

    @rule(account=ACCOUNTS, key=KEYS, body=BODIES)
    def ask(self, account: int, key: str, body: bytes) -> None:
        place = (account, key)
        kept = self.kept.get(place)
        if kept is not None and self.now >= kept[2]:
            kept = None
        try:
            found = asyncio.run(self.repeats.enter(Repeatable(account, key, body)))
        except KeyReused:
            assert body != self.in_work.get(place, body if kept is None else kept[0])
        except Conflict:
            assert self.in_work[place] == body
        else:
            assert place not in self.in_work
            if found is None:
                assert kept is None
                self.in_work[place] = body
            else:
                assert kept is not None
                assert (kept[0], kept[1]) == (body, found.body)

    @rule(account=ACCOUNTS, key=KEYS, is_kept=st.booleans())
    def end(self, account: int, key: str, is_kept: bool) -> None:
        place = (account, key)
        if place not in self.in_work:
            return
        asked = Repeatable(account, key, self.in_work.pop(place))
        if is_kept:
            self.made += 1
            answer = b"answer %d" % self.made
            asyncio.run(self._send(asked, answer))
            self.kept[place] = (asked.fingerprint, answer, self.now + TTL)
        self.repeats.leave(asked)

    @rule(seconds=st.sampled_from([0.5, 5.0, TTL]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    async def _send(self, asked: Repeatable, body: bytes) -> None:
        recording = Recording(_nowhere, [], lambda recording: self.repeats.keep(asked, recording))
        await recording.send({"type": "http.response.start", "status": 200, "headers": []})
        await recording.send({"type": "http.response.body", "body": body})


async def _nowhere(_: object) -> None: ...


TestRules = Rules.TestCase
