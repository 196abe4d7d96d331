"""Server-sent events as bytes: framing, comments, and the escapes that line-splitting clients need."""

MEDIA_TYPE = b"text/event-stream"
KEEP_ALIVE = b":\n\n"


def escape(document: bytes) -> bytes:
    """JSON whose strings hold no raw U+0085, U+2028 or U+2029: Python's `splitlines` would cut the frame there."""
    if document.isascii():
        return document
    return (
        document.replace(b"\xc2\x85", b"\\u0085")
        .replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
    )


def data(document: bytes) -> bytes:
    """One frame that carries a JSON document."""
    return b"data: " + escape(document) + b"\n\n"


def comment(text: str) -> bytes:
    """A comment: every client skips it. Line breaks in `text` become spaces."""
    return b": " + " ".join(text.split()).encode() + b"\n\n"


def waiting(stage: str, position: int | None, seconds: float | None) -> bytes:
    """A comment that tells a waiting client why nothing comes yet."""
    words = {"queue": "waiting for a free place"}.get(stage, f"waiting for the model ({stage})")
    if position is not None:
        words += f", position {position}"
    if seconds is not None:
        words += f", about {max(1, round(seconds))} s"
    return comment(words)
