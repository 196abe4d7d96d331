"""Kept answers and shared flights: who may see what, what is kept, and when a generation is ended."""

import asyncio
from contextlib import aclosing, suppress

import msgspec
import pytest

from pronto.core.errors import GenerationFailed
from pronto.core.events import Done, Event, Finish, FinishReason, Started, Token, Waiting
from pronto.core.identity import Caller
from pronto.core.model import Model, Source
from pronto.core.plan import Plan
from pronto.core.request import InferenceRequest, Options, Sampling, TextGeneration, TextPrompt
from pronto.core.tasks import Task
from pronto.gateway.cache import Cache, wants_cache
from pronto.shared.memory import MemoryBlobs

MODEL = Model(id="a/b", task=Task.TEXT_GENERATION, engine="echo", source=Source(folder="x"), revision="r1")
ALICE = Caller(account_id=1, account="alice", plan="pro", token_id=1)
BOB = Caller(account_id=2, account="bob", plan="pro", token_id=2)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return Cache(MemoryBlobs(max_bytes=1 << 20, clock=clock), ttl=60, secret=b"s" * 32, now=clock)


def request(prompt="p", options=None, **sampling):
    work = TextGeneration(prompt=TextPrompt(prompt), sampling=Sampling(**sampling))
    return InferenceRequest(id="i", model="a/b", task=Task.TEXT_GENERATION, work=work, options=options or Options())


def answer(*texts, reason=FinishReason.LENGTH):
    tokens = [Token(0, n, text) for n, text in enumerate(texts)]
    return [Started("r1", "echo", "cpu"), *tokens, Finish(0, reason), Done()]


def producer(events, *, gate=None, log=None):
    async def produce():
        for event in events:
            if gate is not None:
                await gate.wait()
            if log is not None:
                log.append(event)
            if isinstance(event, Exception):
                raise event
            yield event

    return produce


async def read(flight):
    async with aclosing(flight.events()) as events:
        return [event async for event in events]


PLAN = Plan(name="pro", level=1)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_is_kept_and_replayed_with_its_age(cache, clock):
    key = cache.key(ALICE, PLAN, MODEL, request())
    events = answer("a", "b")
    assert await read(cache.lead(key, producer([Waiting("queue"), *events]), is_shared=True)) == [
        Waiting("queue"),
        *events,
    ]
    await settle()
    clock.now += 7
    kept = await cache.lookup(key)
    assert kept is not None
    replayed = cache.replay(kept)
    assert replayed.events[0] == Started("r1", "echo", "cache", age=7)
    assert replayed.events[1:] == events[1:]


async def test_what_encoders_made_of_an_answer_is_kept_with_it_until_it_is_made_anew(cache):
    key = cache.key(ALICE, PLAN, MODEL, request())
    for text in ("old", "new"):
        await read(cache.lead(key, producer(answer(text)), is_shared=False))
        await settle()
        first = cache.replay(await cache.lookup(key))
        assert first.written == {}
        first.written["style"] = text.encode()
        assert cache.replay(await cache.lookup(key)).written == {"style": text.encode()}


@pytest.mark.parametrize(
    "ending",
    [
        [GenerationFailed("broke", started=True)],
        [Finish(0, FinishReason.CANCELLED), Done()],
        [Finish(0, FinishReason.LENGTH)],
    ],
)
async def test_an_answer_that_is_not_whole_is_never_kept(cache, ending):
    key = cache.key(ALICE, PLAN, MODEL, request())
    flight = cache.lead(key, producer([Started("r1", "echo", "cpu"), Token(0, 1, "a"), *ending]), is_shared=True)
    with suppress(GenerationFailed):
        await read(flight)
    await settle()
    assert await cache.lookup(key) is None
    assert cache.flight(key) is None


def test_the_key_tells_apart_who_asks_and_all_that_the_answer_depends_on(cache):
    base = cache.key(ALICE, PLAN, MODEL, request())
    assert base == cache.key(ALICE, PLAN, MODEL, request(options=Options(wait_for_model=True)))
    others = [
        cache.key(BOB, PLAN, MODEL, request()),
        cache.key(ALICE, PLAN, MODEL, request("q")),
        cache.key(ALICE, PLAN, MODEL, request(do_sample=True)),
        cache.key(ALICE, PLAN, MODEL, request(do_sample=True, seed=1)),
        cache.key(
            ALICE,
            PLAN,
            Model(**{**{f: getattr(MODEL, f) for f in MODEL.__struct_fields__}, "revision": "r2"}),
            request(),
        ),
        cache.key(ALICE, msgspec.structs.replace(PLAN, max_new_tokens=7), MODEL, request()),
        cache.key(ALICE, PLAN, msgspec.structs.replace(MODEL, system_prompt="Be brief."), request()),
        cache.key(ALICE, PLAN, msgspec.structs.replace(MODEL, chat_template="{{ messages }}"), request()),
    ]
    assert len({base, *others}) == len(others) + 1


def test_an_organisation_shares_one_scope(cache):
    first = Caller(account_id=1, account="a", plan="pro", token_id=1, org_id=9)
    second = Caller(account_id=2, account="b", plan="pro", token_id=2, org_id=9)
    assert cache.key(first, PLAN, MODEL, request()) == cache.key(second, PLAN, MODEL, request())


async def test_requests_in_flight_share_one_generation(cache):
    key, gate, log = cache.key(ALICE, PLAN, MODEL, request()), asyncio.Event(), []
    flight = cache.lead(key, producer(answer("a", "b"), gate=gate, log=log), is_shared=True)
    leader = asyncio.create_task(read(flight))
    await settle()
    assert cache.flight(key) is flight
    follower = asyncio.create_task(read(flight))
    gate.set()
    assert await leader == await follower == answer("a", "b")
    assert len(log) == len(answer("a", "b"))


async def test_a_flight_goes_on_while_one_reader_stays_and_ends_with_the_last(cache):
    key, gate = cache.key(ALICE, PLAN, MODEL, request()), asyncio.Event()
    closed = asyncio.Event()

    async def produce():
        try:
            yield Started("r1", "echo", "cpu")
            await gate.wait()
            yield Done()
        finally:
            closed.set()

    flight = cache.lead(key, produce, is_shared=True)
    first, second = flight.events(), flight.events()
    assert type(await anext(first)) is Started
    assert type(await anext(second)) is Started
    await first.aclose()
    await settle()
    assert not closed.is_set()
    await second.aclose()
    await asyncio.wait_for(closed.wait(), 1)
    await settle()
    assert cache.flight(key) is None
    assert await cache.lookup(key) is None


async def test_a_failure_reaches_every_reader(cache):
    key, gate = cache.key(ALICE, PLAN, MODEL, request()), asyncio.Event()
    flight = cache.lead(key, producer([GenerationFailed("broke")], gate=gate), is_shared=True)
    readers = [asyncio.create_task(read(flight)) for _ in range(3)]
    await settle()
    gate.set()
    for reader in readers:
        with pytest.raises(GenerationFailed):
            await reader


async def test_a_fresh_answer_cannot_be_joined_but_replaces_the_kept_one(cache):
    key = cache.key(ALICE, PLAN, MODEL, request())
    await read(cache.lead(key, producer(answer("old")), is_shared=True))
    await settle()
    flight = cache.lead(key, producer(answer("new")), is_shared=False)
    assert cache.flight(key) is None
    await read(flight)
    await settle()
    kept = await cache.lookup(key)
    assert kept is not None
    assert kept.kept.events[1] == Token(0, 0, "new")


HF = {"cache_sampled": True}


@pytest.mark.parametrize(
    ("options", "sampling", "expected"),
    [
        (HF, {}, (True, True)),
        (HF, {"do_sample": True}, (True, True)),
        (HF | {"use_cache": False}, {"do_sample": True}, (False, True)),
        ({}, {"do_sample": True}, (False, False)),
        ({}, {"do_sample": True, "seed": 1}, (True, True)),
        ({"use_cache": True}, {"do_sample": True}, (True, True)),
        ({"use_cache": False}, {"do_sample": True}, (False, False)),
        ({"use_cache": False}, {}, (False, True)),
    ],
)
def test_which_requests_use_the_cache(options, sampling, expected):
    assert wants_cache(request(options=Options(**options), **sampling)) == expected


def test_events_survive_the_way_through_the_cache_unchanged():
    import msgspec

    from pronto.gateway.cache import Kept

    events: list[Event] = answer("é", " \u2028")
    kept = Kept(1.0, events)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Kept) == kept
