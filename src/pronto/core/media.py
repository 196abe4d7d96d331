"""Files that come with a request or leave with an answer: images, sound, documents. Knows no format and no codec."""

from collections.abc import Callable
from typing import Any

import msgspec

INLINE = 256 * 1024  # bytes; what is larger travels to the worker as a file


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a request. Its bytes are here, or (`data` empty) in the file that `InferenceRequest.files` names.

    `digest` is the SHA-256 of the bytes in hex: with it the same file has the same cache key, wherever it lies.
    """

    digest: str
    size: int  # bytes
    data: bytes = b""
    type: str = ""  # media type as the client gave it; empty: find out from the bytes
    name: str = ""  # of the field that it came in, for messages
    url: str = ""  # where it is to be fetched from, by the gateway; empty once it is here


class MadeMedia(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was made for an answer, whole and in the format that was asked for."""

    data: bytes
    type: str  # media type


def with_media(value: Any, change: Callable[[Media], Media]) -> Any:
    """A piece of work with all its media changed; the very same object where nothing is."""
    if isinstance(value, Media):
        return change(value)
    if isinstance(value, tuple):
        changed = tuple(with_media(each, change) for each in value)
        return value if all(a is b for a, b in zip(changed, value, strict=True)) else changed
    if isinstance(value, msgspec.Struct):
        fields = {
            name: (old, with_media(old, change)) for name in value.__struct_fields__ if (old := getattr(value, name))
        }
        changes = {name: new for name, (old, new) in fields.items() if new is not old}
        return msgspec.structs.replace(value, **changes) if changes else value
    return value


def media_in(value: Any) -> list[Media]:
    """All media of a piece of work, in their order."""
    found: list[Media] = []

    def see(media: Media) -> Media:
        found.append(media)
        return media

    with_media(value, see)
    return found
