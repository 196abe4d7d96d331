"""Bodies of multipart/form-data (RFC 7578): fields and files, strictly and within bounds. Knows no route and no field.

What no client sends is refused rather than guessed at: bare line ends, nested parts, transfer encodings.
"""

import re
from collections.abc import Mapping

import msgspec

from pronto.core.errors import InvalidInput
from pronto.wire.faults import Malformed

MAX_PARTS = 64
MAX_HEAD = 2048  # bytes of one part's head
MAX_NAME = 128  # characters of a field's name, and of a file's
MAX_TEXT = 256 * 1024  # bytes of a field that is no file

_BOUNDARY = re.compile(r'(?:^|;)\s*boundary=(?:"([^"\r\n]{1,70})"|([!#-+\--:<-~]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([\w*-]{1,32})=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]*))', re.ASCII)
_HEADER = re.compile(r"([A-Za-z-]{1,64}):[ \t]*(.*)")
_ENCODINGS = ("", "7bit", "8bit", "binary")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One field. `filename` is None for a field that is no file; it is a label and never a path."""

    name: str
    data: bytes
    filename: str | None = None
    type: str = ""


class Form(msgspec.Struct, frozen=True):
    """All parts in the order in which they came. `image[]` counts as `image`, as clients write lists."""

    parts: tuple[Part, ...]

    def files(self, name: str) -> tuple[Part, ...]:
        """The files of a field, empty ones included."""
        return tuple(part for part in self.parts if part.filename is not None and _plain(part.name) == name)

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a field that is no file. Raises InvalidInput for what is no text."""
        return tuple(_text(part) for part in self.parts if part.filename is None and _plain(part.name) == name)

    def text(self, name: str) -> str | None:
        """The only value of a field; None when it is missing or empty. Raises InvalidInput for several."""
        values = self.texts(name)
        if len(values) > 1:
            raise InvalidInput(f"`{name}` is there {len(values)} times. Please send it once.", name)
        return (values[0] or None) if values else None


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether the body says that it is one."""
    return headers.get("content-type", "").lower().lstrip().startswith("multipart/form-data")


def read_form(headers: Mapping[str, str], body: bytes) -> Form:
    """Raises Malformed for what is no whole form, and InvalidInput for a field over its bound."""
    if not is_form(headers):
        raise Malformed("This route takes a form with files: please send it as multipart/form-data.")
    found = _BOUNDARY.search(headers["content-type"])
    if found is None:
        raise Malformed("The content type multipart/form-data has no valid `boundary`.")
    boundary = (found[1] or found[2]).encode("latin-1", "replace")
    return Form(tuple(_part(chunk) for chunk in _chunks(body, b"--" + boundary)))


def _chunks(body: bytes, mark: bytes) -> list[bytes]:
    """What stands between the marks. Bytes before the first and behind the last mark are nobody's."""
    if not body.startswith(mark):
        start = body.find(b"\r\n" + mark)
        if start < 0:
            raise Malformed("The form does not hold the `boundary` that its content type names.")
        body = body[start + 2 :]
    chunks: list[bytes] = []
    at, line = len(mark), b"\r\n" + mark
    while body[at : at + 2] != b"--":
        if body[at : at + 2] != b"\r\n":
            raise Malformed("The form is broken: something other than a line end follows a boundary.")
        end = body.find(line, at)
        if end < 0:
            raise Malformed("The form is not whole: its last boundary is missing.")
        if len(chunks) == MAX_PARTS:
            raise Malformed(f"The form has more than {MAX_PARTS} parts.")
        chunks.append(body[at + 2 : end] if end >= at + 2 else b"")
        at = end + len(line)
    return chunks


def _part(chunk: bytes) -> Part:
    end = chunk.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
    if end < 0:
        raise Malformed(f"A part of the form has no head, or one of more than {MAX_HEAD} bytes.")
    headers = _headers(chunk[:end])
    if headers.get("content-transfer-encoding", "").lower() not in _ENCODINGS:
        raise Malformed("A part of the form has a transfer encoding. Please send its bytes as they are.")
    name, filename = _disposition(headers.get("content-disposition", ""))
    data = chunk[end + 4 :]
    if filename is None and len(data) > MAX_TEXT:
        raise InvalidInput(f"`{name}` has {len(data)} bytes; a field that is no file may have {MAX_TEXT}.", name)
    return Part(name=name, data=data, filename=filename, type=headers.get("content-type", ""))


def _headers(head: bytes) -> dict[str, str]:
    try:
        lines = head.decode("utf-8").split("\r\n")
    except UnicodeDecodeError:
        raise Malformed("The head of a part of the form is not UTF-8.") from None
    headers: dict[str, str] = {}
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None or match[1].lower() in headers:
            raise Malformed("The head of a part of the form is broken.")
        headers[match[1].lower()] = match[2].strip()
    return headers


def _disposition(value: str) -> tuple[str, str | None]:
    """(name of the field, name of the file or None)."""
    kind, _, rest = value.partition(";")
    fields: dict[str, str] = {}
    for key, quoted, plain in _PARAMETER.findall(";" + rest):
        fields.setdefault(key.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    name, filename = fields.get("name", ""), fields.get("filename")
    if filename is None and "filename*" in fields:
        filename = "file"
    if kind.strip().lower() != "form-data" or not name:
        raise Malformed("A part of the form has no `name`: each needs `Content-Disposition: form-data; name=...`.")
    if not name.isprintable() or len(name) > MAX_NAME:
        raise Malformed(f"A part of the form has a name that is not printable, or longer than {MAX_NAME} characters.")
    return name, None if filename is None else filename[:MAX_NAME]


def _plain(name: str) -> str:
    return name.removesuffix("[]")


def _text(part: Part) -> str:
    try:
        return part.data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"`{part.name}` is not UTF-8 text.", part.name) from None
