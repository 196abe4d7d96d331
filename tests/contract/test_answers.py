"""The Answers seam, in SQLite and in memory."""

import msgspec
import pytest

from pronto.store.base import KeptAnswer
from pronto.store.database import open_store
from pronto.store.memory_answers import MemoryAnswers

ROOM = 10_000


@pytest.fixture(params=["sqlite", "memory"])
async def kept(request, tmp_path):
    if request.param == "memory":
        yield MemoryAnswers()
        return
    store = await open_store(tmp_path)
    yield store.answers
    await store.close()


def answer(key, account_id=1, created=10.0, size=300, expires=100.0):
    """`size` is that of all of it."""
    bare = KeptAnswer(
        account_id=account_id,
        key=key,
        fingerprint=b"f" * 32,
        status=200,
        headers=(("content-type", "application/json"), ("x-sha", "rev1")),
        body=b"",
        created=created,
        expires=expires,
    )
    return msgspec.structs.replace(bare, body=b"x" * max(0, size - bare.size))


async def test_an_answer_comes_back_whole_to_its_account_only(kept):
    await kept.keep(answer("a"), most_bytes=ROOM)
    assert await kept.get(1, "a", 50.0) == answer("a")
    assert await kept.get(2, "a", 50.0) is None
    assert await kept.get(1, "A", 50.0) is None


@pytest.mark.parametrize("key", ["' OR 1=1 --", "%", "k" * 255, '"', "a b"])
async def test_keys_are_values_and_never_sql(kept, key):
    await kept.keep(answer(key), most_bytes=ROOM)
    assert (await kept.get(1, key, 50.0)).key == key
    assert await kept.get(1, key + "'", 50.0) is None


async def test_the_first_answer_of_a_key_stays(kept):
    await kept.keep(answer("a", size=305), most_bytes=ROOM)
    await kept.keep(answer("a", size=307, created=50.0), most_bytes=ROOM)
    assert len((await kept.get(1, "a", 60.0)).body) == len(answer("a", size=305).body)
    await kept.keep(answer("a", account_id=2, size=309), most_bytes=ROOM)
    assert len((await kept.get(2, "a", 60.0)).body) == len(answer("a", size=309).body)


async def test_an_expired_answer_is_gone_and_makes_room(kept):
    await kept.keep(answer("a", expires=20.0), most_bytes=ROOM)
    assert await kept.get(1, "a", 19.9) is not None
    assert await kept.get(1, "a", 20.0) is None
    later = msgspec.structs.replace(answer("a", size=308), created=20.0)
    await kept.keep(later, most_bytes=ROOM)
    assert await kept.get(1, "a", 50.0) == later


async def test_an_accounts_oldest_go_first(kept):
    await kept.keep(answer("other", account_id=2, created=1.0, size=9000), most_bytes=ROOM)
    for index in range(12):
        await kept.keep(answer(f"k{index}", created=float(index), size=1000), most_bytes=ROOM)
    left = [index for index in range(12) if await kept.get(1, f"k{index}", 0.0) is not None]
    assert left == list(range(2, 12))
    assert await kept.get(2, "other", 0.0) is not None


async def test_tidying_removes_the_expired_and_the_oldest_of_all(kept):
    await kept.keep(answer("old", created=1.0, size=4000), most_bytes=ROOM)
    await kept.keep(answer("gone", created=5.0, size=4000, expires=20.0), most_bytes=ROOM)
    await kept.keep(answer("new", account_id=2, created=6.0, size=4000), most_bytes=ROOM)
    assert await kept.tidy(20.0, most_bytes=ROOM) == 1
    assert await kept.tidy(20.0, most_bytes=5000) == 1
    assert await kept.get(1, "old", 20.0) is None
    assert await kept.get(2, "new", 20.0) is not None
    assert await kept.tidy(20.0, most_bytes=5000) == 0


async def test_small_answers_count_as_what_they_take(kept):
    small = answer("k" * 255, size=0)
    assert (small.body, small.size > 450) == (b"", True)
    for index in range(60):
        await kept.keep(answer(f"k{index}", created=float(index), size=0), most_bytes=ROOM)
    left = [index for index in range(60) if await kept.get(1, f"k{index}", 0.0) is not None]
    one = answer("k10", size=0).size
    assert ROOM - one < len(left) * one <= ROOM
    assert left == list(range(60 - len(left), 60))
