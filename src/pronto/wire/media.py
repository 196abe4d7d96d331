"""Files in request bodies: raw bytes whatever their content type, base64, data URIs. Knows no codec."""

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.media import Media
from pronto.wire.base import Raw
from pronto.wire.json_body import decode_json
from pronto.wire.options import OptionsBody

_SPACE = b" \t\r\n"


class MediaBody(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON body around a file. Clients put the file under `inputs` or, older ones, under `image`."""

    inputs: Any = None
    image: str | None = None
    question: str | None = None
    parameters: dict[str, Any] | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(MediaBody)


def media_of(data: bytes, *, type: str = "", name: str = "inputs") -> Media:
    """Media from bytes. Raises InvalidInput when there are none."""
    if not data:
        raise InvalidInput(f"`{name}` is empty: please send a file.", name)
    return Media(digest=hashlib.sha256(data).hexdigest(), size=len(data), data=data, type=type, name=name)


def media_from_text(text: str, name: str = "inputs") -> Media:
    """Media from base64 or a `data:` URI. Raises InvalidInput."""
    if text.startswith(("http://", "https://")):
        raise InvalidInput(f"`{name}`: this server does not fetch URLs. Please send the file itself.", name)
    kind = ""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        kind = head[5:].removesuffix(";base64")
        if not head.endswith(";base64"):
            raise InvalidInput(f"`{name}`: a data URI must be in base64, like `data:image/png;base64,...`.", name)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"`{name}` is not a file in base64.", name) from None
    return media_of(data, type=kind, name=name)


def read_media(raw: Raw) -> tuple[Media | None, MediaBody]:
    """The file of the body, or None where JSON has none at the usual places; and what else JSON says.

    A content type may be missing or wrong, so bytes that begin as a JSON object are one. Raises InvalidInput.
    """
    if not raw.body.lstrip(_SPACE).startswith(b"{"):
        return media_of(raw.body, type=raw.headers.get("content-type", "")), MediaBody()
    body = decode_json(_decoder, raw.body)
    text = body.inputs if isinstance(body.inputs, str) else body.image
    return (media_from_text(text) if text is not None else None), body
