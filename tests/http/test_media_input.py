"""What becomes of the files of a request before it goes down the line: in messages, in the spool, or fetched."""

import asyncio
import base64
from pathlib import Path

import msgspec
import pytest

from pronto.core.errors import InvalidInput
from pronto.core.media import INLINE, media_in
from pronto.core.request import ChatPrompt, TextGeneration
from pronto.core.tasks import Task
from pronto.core.vision_work import ClassifyImage
from pronto.edge.fetch import Fetcher
from pronto.edge.media_input import MediaInput, names_urls
from pronto.edge.spool import Uploads
from pronto.settings import Settings
from pronto.wire.base import Call
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.openai.chat import ChatDialect
from tests.http.test_fetch import OK, answering
from tests.unit.wire_cases import BOUNDS, raw

SMALL, LARGE = b"\x89PNG small", b"\x89PNG" + b"x" * INLINE
HF, CHAT = HfDialect(BOUNDS), ChatDialect(BOUNDS)


class Scene:
    """One server's way in, and what one request holds of it."""

    def __init__(self, folder, fetcher: Fetcher | None = None) -> None:
        self.input = MediaInput(Settings(data_dir=folder, max_media_mb=1), fetcher)
        self.uploads = Uploads(self.input.spool)
        self.folder = folder / "run" / "uploads"

    async def take(self, body: object, dialect=HF, **headers: str) -> Call:
        asked = raw(body, headers=headers)
        task = Task.IMAGE_CLASSIFICATION if dialect is HF else Task.TEXT_GENERATION
        asked = msgspec.structs.replace(asked, task=task)
        sent = [asked.body[at : at + 65536] for at in range(0, len(asked.body), 65536)] or [b""]
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in sent]
        messages[-1]["more_body"] = False

        async def receive():
            return messages.pop(0)

        read = await self.input.read(receive, headers, 2_000_000, self.uploads)
        kept = None if isinstance(read, bytes) else read
        asked = msgspec.structs.replace(asked, body=read if kept is None else b"")
        call = await self.input.decode(dialect.decode, asked, kept, self.uploads)
        return await self.input.fetched(call, self.uploads) if names_urls(call) else call


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def form(data: bytes) -> bytes:
    head = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head + data + b"\r\n--X--\r\n"


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_a_small_file_travels_in_the_message(scene):
    call = await scene.take(SMALL)
    assert call.request.files == {}
    assert call.request.work.image.data == SMALL
    assert not scene.folder.exists()


@pytest.mark.parametrize("body", [LARGE, {"inputs": text(LARGE)}, form(LARGE)], ids=["raw", "json", "form"])
async def test_a_large_file_travels_by_digest_and_path(scene, body):
    headers = {"content-type": "multipart/form-data; boundary=X"} if body == form(LARGE) else {}
    call = await scene.take(body, **headers)
    work = call.request.work
    assert isinstance(work, ClassifyImage)
    assert (work.image.data, work.image.size) == (b"", len(LARGE))
    assert await asyncio.to_thread(Path(call.request.files[work.image.digest]).read_bytes) == LARGE
    assert len(msgspec.msgpack.encode(call.request)) < 2000
    scene.uploads.close()
    assert list(scene.folder.iterdir()) == []


async def test_images_of_a_conversation_travel_so_too(scene):
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:;base64,{text(data)}"}} for data in (SMALL, LARGE, LARGE)
    ]
    call = await scene.take({"messages": [{"role": "user", "content": parts}]}, CHAT)
    assert isinstance(call.request.work, TextGeneration)
    assert isinstance(call.request.work.prompt, ChatPrompt)
    assert [len(media.data) for media in media_in(call.request.work)] == [len(SMALL), 0, 0]
    assert [media.digest for media in media_in(call.request.work)][2] in call.request.files
    scene.uploads.close()
    assert list(scene.folder.iterdir()) == []


async def test_too_many_files_are_refused(scene):
    part = {"type": "image_url", "image_url": {"url": f"data:;base64,{text(SMALL)}"}}
    with pytest.raises(InvalidInput, match="At most 32 files"):
        await scene.take({"messages": [{"role": "user", "content": [part] * 33}]}, CHAT)


async def test_a_decoder_that_raises_leaves_nothing(scene):
    with pytest.raises(InvalidInput):
        await scene.take({"inputs": "?" * 400_000})
    scene.uploads.close()
    assert list(scene.folder.iterdir()) == []


def fetching(folder, answer: bytes, **bounds: object):
    return answering(answer, lambda fetcher: Scene(folder, fetcher), most_bytes=1_000_000, **bounds)


async def test_a_url_of_an_allowed_host_is_the_file_itself(tmp_path):
    answer = OK + f"Content-Length: {len(LARGE)}\r\n\r\n".encode() + LARGE
    async with fetching(tmp_path, answer) as (scene, asked):
        call = await scene.take({"inputs": "http://good.example/a.png"})
        work = call.request.work
        assert (work.image.data, work.image.url, work.image.size) == (b"", "", len(LARGE))
        assert work.image.digest in call.request.files
        there = {"type": "image_url", "image_url": {"url": "http://good.example/b.png"}}
        call = await scene.take({"messages": [{"role": "user", "content": [there, there]}]}, CHAT)
        assert len({media.digest for media in media_in(call.request.work)}) == 1
        assert len(asked) == 2  # the same address twice in one request is fetched once


async def test_files_by_url_are_bounded_together(tmp_path):
    answer = OK + b"Content-Length: 400000\r\n\r\n" + b"x" * 400_000
    async with fetching(tmp_path, answer) as (scene, _):
        parts = [{"type": "image_url", "image_url": {"url": f"http://good.example/{at}"}} for at in range(3)]
        with pytest.raises(InvalidInput, match="more than 1000000 bytes together"):
            await scene.take({"messages": [{"role": "user", "content": parts}]}, CHAT)
        with pytest.raises(InvalidInput, match="At most 8 files"):
            await scene.take({"messages": [{"role": "user", "content": parts * 3}]}, CHAT)


async def test_a_url_goes_nowhere_unless_a_host_is_allowed(scene):
    for body in ({"inputs": "http://good.example/a.png"}, b"http://good.example/a.png"):
        with pytest.raises(InvalidInput, match="does not fetch URLs") as caught:
            await scene.take(body)
        assert caught.value.param == "inputs"
