"""The Blobs seam, over every implementation."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.shared.memory import OVERHEAD, MemoryBlobs


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory"])
def make(request, clock):
    """Makes an empty store of blobs with a bound in bytes."""
    return {"memory": lambda max_bytes: MemoryBlobs(max_bytes, clock)}[request.param]


async def test_what_was_put_comes_back(make):
    blobs = make(10_000)
    await blobs.put(b"a", b"1", 5.0)
    await blobs.put(b"", b"", 5.0)
    await blobs.put(b"a", b"2", 5.0)
    assert await blobs.get(b"a") == b"2"
    assert await blobs.get(b"") == b""
    assert await blobs.get(b"b") is None


async def test_it_is_gone_when_its_time_is_over(make, clock):
    blobs = make(10_000)
    await blobs.put(b"short", b"1", 5.0)
    await blobs.put(b"long", b"2", 6.0)
    await blobs.put(b"never", b"3", 0.0)
    assert await blobs.get(b"never") is None
    clock.now += 4.999
    assert await blobs.get(b"short") == b"1"
    clock.now += 0.001
    assert await blobs.get(b"short") is None
    assert await blobs.get(b"long") == b"2"
    await blobs.put(b"short", b"again", 5.0)
    clock.now += 4.0
    assert await blobs.get(b"short") == b"again"


async def test_a_deleted_one_is_gone(make):
    blobs = make(10_000)
    await blobs.put(b"a", b"1", 5.0)
    await blobs.delete(b"a")
    await blobs.delete(b"a")
    assert await blobs.get(b"a") is None


async def test_the_one_that_was_not_used_for_longest_goes_first(make):
    blobs = make(3 * (OVERHEAD + 101))
    for key in (b"a", b"b", b"c"):
        await blobs.put(key, b"x" * 100, 5.0)
    assert await blobs.get(b"a") is not None
    await blobs.put(b"d", b"x" * 100, 5.0)
    assert [await blobs.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]


async def test_what_is_larger_than_everything_is_not_kept_and_nor_is_what_it_replaces(make):
    blobs = make(1000)
    await blobs.put(b"a", b"1", 5.0)
    await blobs.put(b"b", b"2", 5.0)
    await blobs.put(b"a", b"x" * 1001, 5.0)
    assert await blobs.get(b"a") is None
    assert await blobs.get(b"b") == b"2"


async def test_a_bound_of_nothing_keeps_nothing(make):
    blobs = make(0)
    await blobs.put(b"a", b"", 5.0)
    assert await blobs.get(b"a") is None


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "get", "delete", "wait"]),
        st.sampled_from([b"a", b"bb", b"ccc", b"dddd"]),
        st.integers(0, 900),
        st.integers(0, 5),
    ),
    max_size=60,
)


@given(steps=_STEPS, bound=st.integers(0, 3000))
def test_it_never_holds_more_than_its_bound_and_never_a_wrong_value(steps, bound):
    clock = Clock()
    blobs, last = MemoryBlobs(bound, clock), {}

    async def go():
        for number, (what, key, size, seconds) in enumerate(steps):
            if what == "put":
                value = bytes([number]) * size
                last[key] = (value, clock.now + seconds)
                await blobs.put(key, value, seconds)
            elif what == "delete":
                last.pop(key, None)
                await blobs.delete(key)
            elif what == "wait":
                clock.now += seconds
            else:
                found = await blobs.get(key)
                assert found is None or (found == last[key][0] and clock.now < last[key][1])
            assert 0 <= blobs.size <= bound
        for key in (b"a", b"bb", b"ccc", b"dddd"):
            await blobs.delete(key)
        assert blobs.size == 0

    asyncio.run(go())
