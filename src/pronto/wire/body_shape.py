"""Which wire format a body is written in, for paths that take more than one."""

import msgspec
from msgspec import UNSET, UnsetType


class _Keys(msgspec.Struct, frozen=True):
    messages: msgspec.Raw | None = None
    inputs: msgspec.Raw | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Keys)


def is_chat(body: bytes) -> bool:
    """Whether it is a conversation rather than an input: clients post one to the address that they were given."""
    if b'"messages"' not in body:
        return False
    try:
        keys = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return keys.messages is not None and keys.inputs is UNSET
