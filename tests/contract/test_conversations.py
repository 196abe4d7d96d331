"""The Conversations seam, in SQLite and in memory."""

import pytest

from pronto.store.base import KeptTurn
from pronto.store.database import open_store
from pronto.store.memory_conversations import MemoryConversations

ROOM = 1000


@pytest.fixture(params=["sqlite", "memory"])
async def kept(request, tmp_path):
    if request.param == "memory":
        yield MemoryConversations()
        return
    store = await open_store(tmp_path)
    yield store.conversations
    await store.close()


def turn(id, account_id=1, created=10.0, size=3, expires=100.0):
    return KeptTurn(id=id, account_id=account_id, created=created, expires=expires, body=b"x" * size)


async def test_a_turn_comes_back_to_its_account_only(kept):
    await kept.keep(turn("a"), most_bytes=ROOM)
    assert await kept.get(1, "a", 50.0) == turn("a")
    assert await kept.get(2, "a", 50.0) is None
    assert await kept.get(1, "b", 50.0) is None


async def test_an_id_is_unique_within_an_account(kept):
    await kept.keep(turn("a"), most_bytes=ROOM)
    await kept.keep(turn("a", account_id=2, size=5), most_bytes=ROOM)
    await kept.keep(turn("a", size=7), most_bytes=ROOM)
    assert len((await kept.get(1, "a", 0.0)).body) == 7
    assert len((await kept.get(2, "a", 0.0)).body) == 5


async def test_what_has_expired_is_not_there(kept):
    await kept.keep(turn("a", expires=20.0), most_bytes=ROOM)
    assert await kept.get(1, "a", 19.9) is not None
    assert await kept.get(1, "a", 20.0) is None


async def test_deleting(kept):
    await kept.keep(turn("a"), most_bytes=ROOM)
    assert await kept.delete(2, "a") is False
    assert await kept.delete(1, "a") is True
    assert await kept.delete(1, "a") is False
    assert await kept.get(1, "a", 0.0) is None


async def test_an_accounts_oldest_go_first(kept):
    await kept.keep(turn("other", account_id=2, created=1.0, size=900), most_bytes=ROOM)
    for index in range(12):
        await kept.keep(turn(f"t{index}", created=float(index), size=100), most_bytes=ROOM)
    left = [index for index in range(12) if await kept.get(1, f"t{index}", 0.0) is not None]
    assert left == list(range(2, 12))
    assert await kept.get(2, "other", 0.0) is not None


async def test_tidying_removes_the_expired_and_the_oldest_of_all(kept):
    await kept.keep(turn("old", created=1.0, size=400), most_bytes=ROOM)
    await kept.keep(turn("gone", created=5.0, size=400, expires=20.0), most_bytes=ROOM)
    await kept.keep(turn("new", account_id=2, created=6.0, size=400), most_bytes=ROOM)
    assert await kept.tidy(20.0, most_bytes=ROOM) == 1
    assert await kept.tidy(20.0, most_bytes=500) == 1
    assert await kept.get(1, "old", 20.0) is None
    assert await kept.get(2, "new", 20.0) is not None
    assert await kept.tidy(20.0, most_bytes=500) == 0


async def test_many_are_removed_at_once(kept):
    for index in range(450):
        await kept.keep(turn(f"t{index}", created=float(index), size=1), most_bytes=ROOM)
    assert await kept.tidy(0.0, most_bytes=10) == 440
    assert await kept.get(1, "t440", 0.0) is not None
