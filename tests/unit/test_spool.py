"""The folder of uploads: shared by digest, bounded, empty when nobody holds a file."""

import asyncio
import resource

import pytest

from pronto.core.errors import Overloaded, StorageFailed, TooLarge
from pronto.core.media import INLINE
from pronto.edge.body import read_upload
from pronto.edge.errors import ClientLeft
from pronto.edge.spool import Kept, Spool, Uploads, empty

MB = 1_000_000


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "run" / "uploads", 3 * MB)


def files(spool) -> list[str]:
    folder = spool._folder
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def body(*chunks: bytes, ends: bool = True):
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b""} if ends else {"type": "http.disconnect"})

    async def receive():
        await asyncio.sleep(0)
        return messages.pop(0)

    return receive


def test_two_requests_share_a_file_and_the_last_removes_it(spool):
    one, other = Uploads(spool), Uploads(spool)
    first = one.hold(spool.put(b"x" * MB, "d1"))
    second = other.hold(spool.put(b"x" * MB, "d1"))
    assert first.path == second.path
    assert (files(spool), spool.used) == (["d1"], MB)
    one.close()
    one.close()
    assert files(spool) == ["d1"]
    assert other.files == {"d1": first.path}
    other.close()
    assert (files(spool), spool.used) == ([], 0)


def test_files_and_their_folder_are_the_servers_alone(spool):
    kept = spool.put(b"x", "d1")
    assert spool._folder.stat().st_mode & 0o777 == 0o700
    assert (spool._folder / kept.digest).stat().st_mode & 0o777 == 0o600


@pytest.fixture
def small_disk():
    """A file may have 100 KB and no more: the kernel writes a part, and then refuses, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_leaves_nothing(spool, small_disk):
    with pytest.raises(StorageFailed, match="disk is full"):
        spool.put(b"x" * MB, "d1")
    assert (files(spool), spool.used) == ([], 0)


async def test_a_full_disk_in_the_middle_of_a_body(spool, small_disk):
    with pytest.raises(StorageFailed):
        await read_upload(body(b"x" * (INLINE + 1), b"y" * MB), {}, (3 * MB, 5.0), spool)
    assert (files(spool), spool.used) == ([], 0)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "run").write_text("a file is in the way")
    with pytest.raises(StorageFailed):
        Spool(tmp_path / "run" / "uploads", MB).open()


def test_all_files_together_are_bounded(spool):
    uploads = Uploads(spool)
    for digest in ("a", "b", "c"):
        uploads.hold(spool.put(b"x" * MB, digest))
    with pytest.raises(Overloaded):
        spool.put(b"x", "d")
    assert files(spool) == ["a", "b", "c"]
    uploads.close()
    assert spool.used == 0


def test_what_a_crash_has_left_is_removed_at_the_start(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "old").write_bytes(b"x")
    empty(tmp_path / "uploads")
    assert files(Spool(tmp_path / "uploads", MB)) == []
    empty(tmp_path / "uploads")


async def test_a_small_body_stays_in_memory_and_a_large_one_becomes_a_file(spool):
    small = await read_upload(body(b"a", b"b"), {}, (2 * MB, 5.0), spool)
    assert (small, files(spool)) == (b"ab", [])
    large = await read_upload(body(*[b"x" * 65536] * 10), {}, (2 * MB, 5.0), spool)
    assert isinstance(large, Kept)
    assert (large.size, files(spool)) == (655360, [large.digest])
    assert large.size > INLINE


@pytest.mark.parametrize(
    ("receive", "error"),
    [
        (body(*[b"x" * 65536] * 10, ends=False), ClientLeft),
        (body(*[b"x" * 65536] * 60), TooLarge),
        (body(*[b"x" * 65536] * 40), TooLarge),
    ],
)
async def test_a_body_that_does_not_come_whole_leaves_nothing(spool, receive, error):
    with pytest.raises(error):
        await read_upload(receive, {}, (2 * MB, 5.0), spool)
    assert (files(spool), spool.used) == ([], 0)


async def test_a_body_that_finds_no_room_leaves_nothing(spool):
    held = spool.put(b"x" * (2 * MB), "a")
    with pytest.raises(Overloaded):
        await read_upload(body(*[b"x" * 65536] * 25), {}, (2 * MB, 5.0), spool)
    assert (files(spool), spool.used) == ([held.digest], 2 * MB)
