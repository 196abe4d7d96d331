"""Files in request bodies: raw bytes whatever their content type, base64, data URIs, forms, URLs. Knows no codec."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.media import Media
from pronto.wire.base import Raw
from pronto.wire.json_body import decode_json
from pronto.wire.multipart import is_form, read_form
from pronto.wire.options import OptionsBody

MAX_TYPE = 128  # characters of a media type
MAX_URL = 2048  # characters
_SPACE = b" \t\r\n"
_WEB = ("http://", "https://")
_FILES = ("inputs", "file", "image", "data")  # fields of a form in which clients put the file


class MediaBody(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON body around a file. Clients put the file under `inputs` or, older ones, under `image`."""

    inputs: Any = None
    image: str | None = None
    question: str | None = None
    parameters: dict[str, Any] | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(MediaBody)
_parameters = msgspec.json.Decoder(dict[str, Any])


def media_of(data: bytes, *, type: str = "", name: str = "inputs") -> Media:
    """Media from bytes. Raises InvalidInput when there are none."""
    if not data:
        raise InvalidInput(f"`{name}` is empty: please send a file.", name)
    return Media(digest=hashlib.sha256(data).hexdigest(), size=len(data), data=data, type=type, name=name)


def media_from_text(text: str, name: str = "inputs") -> Media:
    """Media from base64, a `data:` URI, or the URL of a file that is still to be fetched. Raises InvalidInput."""
    if text.startswith(_WEB):
        return media_at(text, name)
    kind = ""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        kind = head[5:].removesuffix(";base64")
        if not head.endswith(";base64"):
            raise InvalidInput(f"`{name}`: a data URI must be in base64, like `data:image/png;base64,...`.", name)
    return media_of(_decoded(text, name), type=kind[:MAX_TYPE], name=name)


def _decoded(text: str, name: str) -> bytes:
    """Base64, which some clients break into lines. Raises InvalidInput."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"`{name}` is not a file in base64.", name) from None


def media_at(url: str, name: str = "inputs") -> Media:
    """Media that the gateway fetches, where its settings allow it. Raises InvalidInput."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput(f"`{name}` is not a URL that can be fetched.", name)
    return Media(digest="", size=0, name=name, url=url)


def read_media(raw: Raw) -> tuple[Media | None, MediaBody]:
    """The file of the body, or None where JSON or a form has none at the usual places; and what else they say.

    A content type may be missing or wrong, so bytes that begin as a JSON object are one. Raises InvalidInput.
    """
    if raw.upload is not None:
        return raw.upload, MediaBody()
    if is_form(raw.headers):
        return _read_form(raw)
    if raw.body.lstrip(_SPACE).startswith(b"{"):
        body = decode_json(_decoder, raw.body)
        text = body.inputs if isinstance(body.inputs, str) else body.image
        return (media_from_text(text) if text is not None else None), body
    if raw.body.startswith((b"http://", b"https://")) and len(raw.body) <= MAX_URL:
        # Older clients of the Hub send the URL itself where they are given one.
        return media_at(raw.body.decode("latin-1").strip()), MediaBody()
    return media_of(raw.body, type=media_type(raw.headers)), MediaBody()


def media_type(headers: Mapping[str, str]) -> str:
    """What the client says that its body is; empty where that is no kind of file, as with many clients' default."""
    kind = headers.get("content-type", "").lower()[:MAX_TYPE]
    return kind if kind.startswith(("image/", "audio/", "video/")) else ""


def is_one_file(head: bytes, headers: Mapping[str, str]) -> bool:
    """Whether a body that begins like this is a file as it is, rather than a document around one."""
    return not (is_form(headers) or head.lstrip(_SPACE).startswith(b"{"))


def _read_form(raw: Raw) -> tuple[Media | None, MediaBody]:
    """The first file under one of the usual names; `parameters` is JSON, every other field a parameter of its own."""
    form = read_form(raw.headers, raw.body)
    file = next((part for name in _FILES for part in form.files(name)), None)
    media = media_of(file.data, type=file.type[:MAX_TYPE], name=file.name) if file is not None else None
    if media is None and (text := next((text for name in _FILES if (text := form.text(name))), None)):
        media = media_from_text(text)
    given = form.text("parameters")
    parameters = decode_json(_parameters, given.encode()) if given else {}
    for part in form.parts:
        if part.filename is None and part.name not in (*_FILES, "parameters", "question"):
            parameters.setdefault(part.name, _value(form.text(part.name) or ""))
    return media, MediaBody(question=form.text("question"), parameters=parameters)


def _value(text: str) -> Any:
    """A form knows text only: what reads as a number, a boolean or a list of JSON is one."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
