"""Files of requests on their way to a worker: read into the spool, decoded one at a time, fetched where a URL is named.

Knows no format. Large files never travel in a message: the request names them by digest and path.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.media import INLINE, Media, media_in, with_media
from pronto.core.request import InferenceRequest
from pronto.edge.body import Receive, read_upload
from pronto.edge.fetch import Fetcher
from pronto.edge.spool import Kept, Spool, Uploads
from pronto.settings import Settings
from pronto.wire.base import Call, Raw
from pronto.wire.media import is_one_file, media_of, media_type

MAX_FILES = 32  # of one request
MAX_FETCHED = 8  # of those, by URL
DECODERS = 2  # large documents that are taken apart at once: each is whole in memory then


def uploads_folder(settings: Settings) -> Path:
    return settings.data_dir / "run" / "uploads"


class MediaInput:
    """One for the server. `seconds` is what a body may take to come in."""

    def __init__(self, settings: Settings, fetcher: Fetcher | None = None) -> None:
        self.spool = Spool(uploads_folder(settings), settings.uploads_mb * 1_000_000)
        self._most = settings.max_media_mb * 1_000_000
        self._seconds = settings.body_timeout
        self._fetcher = fetcher or Fetcher(settings.fetch_hosts, most_bytes=self._most, seconds=settings.fetch_timeout)
        self._decoding = asyncio.Semaphore(DECODERS)

    async def read(self, receive: Receive, headers: Mapping[str, str], limit: int, uploads: Uploads) -> bytes | Kept:
        """The body, in memory or as a file that `uploads` holds."""
        body = await read_upload(receive, headers, (limit, self._seconds), self.spool)
        return uploads.hold(body) if isinstance(body, Kept) else body

    async def decode(self, decode: Callable[[Raw], Call], raw: Raw, kept: Kept | None, uploads: Uploads) -> Call:
        """The call, with its large files in the spool; nothing is fetched yet.

        Raises what `decode` does, Overloaded, StorageFailed and InvalidInput.
        """
        if kept is None:
            call = self._stowed(decode(raw), uploads)
        elif is_one_file(kept.head, raw.headers):
            media = Media(digest=kept.digest, size=kept.size, type=media_type(raw.headers), name="inputs")
            call = decode(msgspec.structs.replace(raw, upload=media))
        else:
            async with self._decoding:
                call = await asyncio.to_thread(self._decode_file, decode, raw, kept.path, uploads)
        return _with_files(call, uploads.files)

    def _decode_file(self, decode: Callable[[Raw], Call], raw: Raw, path: str, uploads: Uploads) -> Call:
        return self._stowed(decode(msgspec.structs.replace(raw, body=Path(path).read_bytes())), uploads)

    def _stowed(self, call: Call, uploads: Uploads) -> Call:
        """Raises InvalidInput for too many files."""
        media = media_in(call.request.work)
        if not media:
            return call
        if len(media) > MAX_FILES:
            raise InvalidInput(f"At most {MAX_FILES} files can come with one request.", media[MAX_FILES].name)
        return _changed(call, lambda each: self._stow(each, uploads))

    def _stow(self, media: Media, uploads: Uploads) -> Media:
        if len(media.data) <= INLINE:
            return media
        uploads.hold(self.spool.put(media.data, media.digest))
        return msgspec.structs.replace(media, data=b"")

    def _taken(self, data: bytes, name: str, uploads: Uploads) -> Media:
        return self._stow(media_of(data, name=name), uploads)

    async def fetched(self, call: Call, uploads: Uploads) -> Call:
        """The call, with what its URLs name in their place. Raises as `decode`."""
        named = [media for media in media_in(call.request.work) if media.url]
        if len(named) > MAX_FETCHED:
            raise InvalidInput(f"At most {MAX_FETCHED} files can be named by URL.", named[0].name)
        here: dict[str, Media] = {}
        left = self._most
        for media in named:
            if media.url in here:
                continue
            data = await self._fetcher.fetch(media.url, media.name)
            left -= len(data)
            if left < 0:
                raise InvalidInput(f"The files of this request have more than {self._most} bytes together.", media.name)
            # Hashing and writing many megabytes would hold up everybody's streams.
            here[media.url] = await asyncio.to_thread(self._taken, data, media.name, uploads)
        return _with_files(_changed(call, lambda each: here.get(each.url, each) if each.url else each), uploads.files)


def names_urls(call: Call) -> bool:
    """Whether something is to be fetched for it."""
    return any(media.url for media in media_in(call.request.work))


def _changed(call: Call, change: Callable[[Media], Media]) -> Call:
    request = call.request
    work = with_media(request.work, change)
    if work is request.work:
        return call
    return msgspec.structs.replace(call, request=msgspec.structs.replace(request, work=work))


def _with_files(call: Call, files: dict[str, str]) -> Call:
    if not files:
        return call

    def told(request: InferenceRequest) -> InferenceRequest:
        return msgspec.structs.replace(request, files=files)

    return msgspec.structs.replace(call, request=told(call.request), more=tuple(map(told, call.more)))
