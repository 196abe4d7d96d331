"""Files that come with a request or leave with an answer: images, sound, documents. Knows no format and no codec."""

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


class MadeMedia(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was made for an answer, whole and in the format that was asked for."""

    data: bytes
    type: str  # media type
