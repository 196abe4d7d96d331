"""Which wire format a body is written in, for paths that take more than one."""

import msgspec

_NOTHING = msgspec.Raw()


class _Keys(msgspec.Struct, frozen=True):
    messages: msgspec.Raw = _NOTHING
    inputs: msgspec.Raw = _NOTHING


_decoder = msgspec.json.Decoder(_Keys)


def is_chat(body: bytes) -> bool:
    """Whether it is a conversation rather than an input: clients post one to the address that they were given."""
    if b'"messages"' not in body:
        return False
    try:
        keys = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return bytes(keys.messages) not in (b"", b"null") and not bytes(keys.inputs)
