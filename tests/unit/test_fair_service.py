"""A door under a virtual clock against what the paper on virtual token counters promises (Sheng et al., OSDI 2024)."""

import asyncio
import itertools
import random

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pronto.core.errors import DeadlineExceeded, Overloaded
from pronto.engines.base import Capabilities
from pronto.fleet.admission import Admission, Permit
from pronto.fleet.fair_queue import INPUT_PRICE, OUTPUT_PRICE
from pronto.fleet.room import FAIR_SHARE
from pronto.fleet.shares import Share

SHARES = (Share("org", "m"), Share("org", "n"), Share("free", "f"), Share("pro", "p", 4.0))
LEAST_PROMPT, PROMPT, NEW = 6, 8, 12  # tokens
EVER = 1e9


class Asked:
    """A request on its way: `length` is what it will generate."""

    def __init__(self, number: int, share: Share, prompt: int, length: int, deadline: float) -> None:
        self.number, self.share, self.prompt, self.length, self.deadline = number, share, prompt, length, deadline
        self.permit: Permit | None = None
        self.made = 0
        self.others_first = 0  # requests of other tenants let in while its tenant might have gone


class Window:
    """What two got since both began to wait; None: one of them does not."""

    def __init__(self) -> None:
        self.since: tuple[float, float] | None = None

    def gap(self, is_open: bool, got: tuple[float, float]) -> float:
        if not is_open:
            self.since = None
            return 0.0
        if self.since is None:
            self.since = got
        return abs((got[0] - self.since[0]) - (got[1] - self.since[1]))


class Door(RuleBasedStateMachine):
    """Requests come, run, leave and give up; after every single event the promises are looked at.

    The bound. A tenant is let in when its counter is the smallest of those that may go. Until it is let in again, its
    counter grows by that prompt and by what its running requests still generate: U = w_p * L_input + w_q * M at most,
    M being the tokens that its slots can generate. So two that wait differ by U at most, and in what they get while
    both wait, by 2 U.
    """

    @initialize(slots=st.integers(1, 6))
    def open(self, slots: int) -> None:
        self.loop, self.now = asyncio.new_event_loop(), 0.0
        self.slots, self.most = slots, max(1, int(slots * FAIR_SHARE))
        self.admission = Admission(Capabilities(slots=slots), queue_size=10_000, clock=lambda: self.now)
        self.numbers = itertools.count()
        self.waiting: list[Asked] = []
        self.running: list[Asked] = []
        self.tasks: dict[Asked, asyncio.Task[None]] = {}
        self.tenant_got = dict.fromkeys((share.tenant for share in SHARES), 0.0)  # priced tokens by weight
        self.member_got = dict.fromkeys((share.member for share in SHARES), 0.0)  # priced tokens
        self.tenant_pairs = {pair: Window() for pair in itertools.combinations(self.tenant_got, 2)}
        self.members = Window()
        self.bound = INPUT_PRICE * PROMPT + OUTPUT_PRICE * self.most * NEW  # the U of a weight of 1, the least

    @rule(share=st.sampled_from(SHARES), count=st.integers(1, 30), seed=st.integers(0, 99))
    def come(self, share: Share, count: int, seed: int) -> None:
        rng = random.Random(seed)
        longest = rng.choice([1, NEW])
        for _ in range(count):
            prompt, length = rng.randint(LEAST_PROMPT, PROMPT), rng.randint(1, longest)
            asked = Asked(next(self.numbers), share, prompt, length, self.now + rng.choice([EVER, EVER, EVER, 5.0]))
            self.waiting.append(asked)
            self.tasks[asked] = self.loop.create_task(self.stay(asked))
            self.settle()

    @rule(count=st.integers(5, 30), seed=st.integers(0, 99), steps=st.integers(10, 60))
    def all_come(self, count: int, seed: int, steps: int) -> None:
        for number, share in enumerate(SHARES):
            self.come(share, count, seed + number)
        self.run(steps)

    @rule(share=st.sampled_from(SHARES), seed=st.integers(0, 99))
    def one_works_alone(self, share: Share, seed: int) -> None:
        for _ in range(3):
            self.come(share, 20, seed)
            self.run(60)

    @rule(steps=st.integers(1, 60))
    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.now += 1.0
            for asked in list(self.running):
                assert asked.permit is not None
                asked.permit.charge(1)
                asked.made += 1
                self.note(asked.share, OUTPUT_PRICE)
                if asked.made == asked.length:
                    self.end(asked)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(asked)
        self.tasks.pop(asked).cancel()
        self.settle()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.end(data.draw(st.sampled_from(self.running)))

    @invariant()
    def counts_agree(self) -> None:
        assert self.admission.running == len(self.running)
        assert self.admission.free_slots == self.slots - len(self.running)

    async def stay(self, asked: Asked) -> None:
        need = self.admission.need(asked.share, prompt_tokens=asked.prompt, max_new_tokens=NEW, choices=1)
        try:
            async for step in self.admission.admit(need, asked.deadline):
                if isinstance(step, Permit):
                    self.let_in(asked, step)
        except DeadlineExceeded:
            assert self.now >= asked.deadline
            self.waiting.remove(asked)
        except Overloaded:
            assert asked.deadline < EVER
            self.waiting.remove(asked)

    def let_in(self, asked: Asked, permit: Permit) -> None:
        assert self.now < asked.deadline
        own = [other for other in self.waiting if other.share == asked.share]
        assert own[0] is asked, "first come, first served for one and the same"
        self.waiting.remove(asked)
        self.running.append(asked)
        asked.permit = permit
        self.note(asked.share, INPUT_PRICE * asked.prompt)
        for tenant in self.tenant_got:
            if tenant == asked.share.tenant:
                continue
            if self.held(tenant) < self.most:
                self.count_against(tenant)
            elif self.waits(tenant):  # passed over for its bound: that is no part of what the paper promises
                for pair, window in self.tenant_pairs.items():
                    window.since = None if tenant in pair else window.since

    def count_against(self, tenant: str) -> None:
        """Another was let in before this tenant's oldest, and its counter, which was smaller, grew by its prompt."""
        oldest = next((other for other in self.waiting if other.share.tenant == tenant), None)
        if oldest is not None:
            oldest.others_first += 1
            others = [share.weight for share in SHARES if share.tenant != tenant and share.member != "n"]
            turns = sum(self.bound * weight / (INPUT_PRICE * LEAST_PROMPT) + 1 for weight in others)
            # Its tenant's other member may go first, as often as the two may differ.
            own = 1 + (2 * self.bound / LEAST_PROMPT if tenant == "org" else 0)
            assert oldest.others_first <= turns * own

    def end(self, asked: Asked) -> None:
        assert asked.permit is not None
        self.running.remove(asked)
        asked.permit.release()
        self.settle()

    def settle(self) -> None:
        """Let everybody hear what has happened, and look."""
        self.loop.run_until_complete(turns_of_the_loop())
        self.tasks = {asked: task for asked, task in self.tasks.items() if not self.is_over(task)}
        self.slots_are_kept_to()
        self.nobody_waits_for_nothing()
        self.service_is_even()

    def is_over(self, task: "asyncio.Task[None]") -> bool:
        if task.done() and not task.cancelled():
            task.result()
        return task.done()

    def slots_are_kept_to(self) -> None:
        assert len(self.running) <= self.slots
        assert all(self.held(tenant) <= self.most for tenant in self.tenant_got)

    def nobody_waits_for_nothing(self) -> None:
        if len(self.running) < self.slots:
            assert all(self.held(asked.share.tenant) == self.most for asked in self.waiting)

    def service_is_even(self) -> None:
        for (one, other), window in self.tenant_pairs.items():
            both_wait = self.waits(one) and self.waits(other)
            assert window.gap(both_wait, (self.tenant_got[one], self.tenant_got[other])) <= 2 * self.bound
        both_wait = all(any(asked.share.member == member for asked in self.waiting) for member in "mn")
        assert self.members.gap(both_wait, (self.member_got["m"], self.member_got["n"])) <= 2 * self.bound

    def note(self, share: Share, priced: float) -> None:
        self.tenant_got[share.tenant] += priced / share.weight
        self.member_got[share.member] += priced

    def held(self, tenant: str) -> int:
        return sum(asked.share.tenant == tenant for asked in self.running)

    def waits(self, tenant: str) -> bool:
        return any(asked.share.tenant == tenant for asked in self.waiting)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for task in self.tasks.values():
            task.cancel()
        self.loop.run_until_complete(turns_of_the_loop())
        self.loop.close()


async def turns_of_the_loop() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


Door.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
# Shrinking a run of this length takes minutes, and a failure's facts are in its assertion.
TestDoor = Door.TestCase
