"""Forms with files: what clients send is read, and what nobody sends is refused with a sentence."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pronto.core.errors import InvalidInput
from pronto.wire.faults import Malformed
from pronto.wire.multipart import MAX_PARTS, MAX_TEXT, Form, is_form, read_form

HEADERS = {"content-type": "multipart/form-data; boundary=xyz"}


def part(head: str, data: bytes = b"v") -> bytes:
    return b"--xyz\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"


def field(name: str, data: bytes = b"v") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', data)


def read(body: bytes) -> Form:
    return read_form(HEADERS, body)


def test_what_a_real_client_sends_is_read() -> None:
    files = [("image[]", ("a.png", b"\x89PNG\r\n--x", "image/png")), ("image[]", ("ü.png", b"", "image/png"))]
    request = httpx.Request("POST", "http://x", data={"prompt": "Grüße", "n": "2"}, files=files)
    form = read_form(dict(request.headers), request.read())
    assert (form.text("prompt"), form.text("n"), form.text("size")) == ("Grüße", "2", None)
    first, second = form.files("image")
    assert (first.data, first.type, first.filename) == (b"\x89PNG\r\n--x", "image/png", "a.png")
    assert second.data == b""
    assert form.files("prompt") == ()


def test_a_quoted_boundary_a_preamble_and_an_epilogue_are_fine() -> None:
    body = b"hello\r\n--a b\r\nContent-Disposition: form-data; name=n\r\n\r\nv\r\n--a b--\r\nbye"
    form = read_form({"content-type": 'Multipart/Form-Data; charset=utf-8; boundary="a b"'}, body)
    assert form.text("n") == "v"


def test_an_empty_form_is_a_form() -> None:
    assert read(b"--xyz--\r\n").parts == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--xy--",
        field("a"),  # no end
        b"--xyz\n" + field("a")[7:] + b"--xyz--",
        b"--xyzContent\r\n--xyz--",
        b"--xyz\r\nno head\r\n--xyz--",
        part("Content-Disposition: form-data") + b"--xyz--",
        part('Content-Disposition: attachment; name="a"') + b"--xyz--",
        part('Content-Disposition: form-data; name=""') + b"--xyz--",
        part("broken") + b"--xyz--",
        part("X: " + "a" * 3000) + b"--xyz--",
        part('Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64') + b"--xyz--",
        part('Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="b"') + b"--xyz--",
        field("a" * 200) + b"--xyz--",
        field("a\x00") + b"--xyz--",
        field("a") * (MAX_PARTS + 1) + b"--xyz--",
    ],
)
def test_what_is_no_whole_form_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


def test_fields_have_bounds_and_are_text() -> None:
    with pytest.raises(InvalidInput, match="`a`"):
        read(field("a", b"x" * (MAX_TEXT + 1)) + b"--xyz--")
    form = read(field("a", b"\xff") + field("b") + field("b") + b"--xyz--")
    for name in "ab":
        with pytest.raises(InvalidInput, match=f"`{name}`"):
            form.text(name)


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary="])
def test_the_content_type_must_name_a_boundary(kind: str) -> None:
    with pytest.raises(Malformed):
        read_form({"content-type": kind}, b"--xyz--")
    assert is_form({"content-type": kind}) == kind.startswith("multipart")


@given(st.binary(max_size=300))
def test_any_bytes_give_a_form_or_a_sentence(body: bytes) -> None:
    for data in (body, b"--xyz\r\n" + body + b"\r\n--xyz--"):
        try:
            form = read(data)
        except InvalidInput:
            continue
        assert len(form.parts) <= MAX_PARTS


@given(st.binary(max_size=200).filter(lambda data: b"\r\n--xyz" not in b"\r\n" + data))
def test_the_bytes_of_a_file_come_through_as_they_are(data: bytes) -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="a"'
    (found,) = read(part(head, data) + b"--xyz--").files("file")
    assert found.data == data
