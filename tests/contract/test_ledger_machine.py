"""The ledger against a model, by random steps and restarts: exactly one row each, and sums equal what was made."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pronto.core.errors import StorageFailed
from pronto.store.base import Reservation, RowState, Settlement
from pronto.store.database import open_store

DAY = 86_400_000_000
COUNTS = st.integers(0, 2**40)


class LedgerAgainstAModel(RuleBasedStateMachine):
    """`open` and `settled` are the model; a virtual clock moves with each step."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.now = 1_767_225_600_000_000
        self.open: dict[int, tuple[int, int | None]] = {}
        self.settled: dict[int, tuple[int, int | None, Settlement]] = {}
        self.orphaned: set[int] = set()

    @initialize()
    def begin(self):
        self.store = self.runner.run(open_store(Path(self.folder.name)))

    def teardown(self):
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def wait(self, future):
        async def done():
            return await future()

        return self.runner.run(done())

    def row(self, account, org):
        self.now += 1
        return Reservation(
            id=self.now,
            request_id=f"r{self.now}",
            account_id=account,
            org_id=org,
            token_id=None,
            model="m",
            task="text-generation",
            created=self.now,
            prompt_tokens=3,
        )

    def end(self, id, counts, *, cached=False):
        prompt, generated, images, audio = counts
        return Settlement(
            id=id,
            finish="length",
            prompt_tokens=prompt,
            generated_tokens=generated,
            queue_ms=0,
            inference_ms=1,
            ended=self.now,
            cached=cached,
            images=images,
            audio_ms=audio,
        )

    @rule(hours=st.integers(0, 30))
    def time_passes(self, hours):
        self.now += hours * 3_600_000_000

    @rule(account=st.integers(1, 2), org=st.sampled_from([None, 9]))
    def reserve(self, account, org):
        row = self.row(account, org)
        self.wait(lambda: self.store.ledger.reserve(row))
        self.open[row.id] = (account, org)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), times=st.integers(1, 3))
    def settle(self, data, counts, times):
        id = data.draw(st.sampled_from(sorted(self.open)))
        end = self.end(id, counts)
        for _ in range(times):
            self.wait(lambda: self.store.ledger.settle(end))
        account, org = self.open.pop(id)
        self.settled[id] = (account, org, end)

    @rule(account=st.integers(1, 2), counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS))
    def record(self, account, counts):
        row = self.row(account, None)
        end = self.end(row.id, counts, cached=True)
        self.wait(lambda: self.store.ledger.record(row, end))
        self.settled[row.id] = (account, None, end)

    @precondition(lambda self: self.settled or self.orphaned)
    @rule(data=st.data(), counts=st.tuples(COUNTS, COUNTS, COUNTS, COUNTS))
    def settle_what_is_over(self, data, counts):
        id = data.draw(st.sampled_from(sorted({*self.settled, *self.orphaned})))
        self.wait(lambda: self.store.ledger.settle(self.end(id, counts)))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle_below_zero(self, data):
        id = data.draw(st.sampled_from(sorted(self.open)))
        with pytest.raises(StorageFailed):
            self.wait(lambda: self.store.ledger.settle(self.end(id, (0, -1, 0, 0))))

    @rule()
    def restart(self):
        self.runner.run(self.store.close())
        self.store = self.runner.run(open_store(Path(self.folder.name)))
        assert self.runner.run(self.store.ledger.reap()) == len(self.open)
        self.orphaned |= set(self.open)
        self.open = {}

    @invariant()
    def rows_are_those_of_the_model(self):
        if not hasattr(self, "store"):
            return
        rows = self.runner.run(self.store.ledger.rows(limit=10_000))
        states = {row.id: row.state for row in rows}
        assert len(states) == len(rows)
        assert states == (
            dict.fromkeys(self.open, RowState.RESERVED)
            | dict.fromkeys(self.settled, RowState.SETTLED)
            | dict.fromkeys(self.orphaned, RowState.ORPHANED)
        )

    @invariant()
    def sums_are_those_of_the_model(self):
        if not hasattr(self, "store"):
            return
        sums = {}
        for account, org, end in self.settled.values():
            key = (end.ended // DAY, account, org or 0)
            made = (1, end.cached, end.prompt_tokens, end.generated_tokens, end.images, end.audio_ms)
            sums[key] = tuple(a + b for a, b in zip(sums.get(key, (0,) * 6), made, strict=True))
        totals = self.runner.run(self.store.ledger.totals())
        found = {
            (total.day, total.account_id, total.org_id): (
                total.requests,
                total.cached,
                total.prompt_tokens,
                total.generated_tokens,
                total.images,
                total.audio_ms,
            )
            for total in totals
        }
        assert sorted(found.values()) == sorted(sums.values())
        assert len(found) == len(totals) == len(sums)


TestLedgerAgainstAModel = LedgerAgainstAModel.TestCase
TestLedgerAgainstAModel.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
