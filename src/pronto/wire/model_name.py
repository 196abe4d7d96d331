"""Which model a request means when its body may name one. Shared by the dialects; knows no catalog."""

from pronto.core.errors import InvalidInput
from pronto.wire.base import Raw

# Clients that were given an address instead of a model send these.
_PLACEHOLDERS = frozenset({"", "tgi", "dummy"})
MAX_CHARACTERS = 200


def asked_model(raw: Raw, named: str | None) -> str:
    """The path wins over the body, and the body over the server's default. Raises InvalidInput for no model at all."""
    if raw.is_named or named is None or named in _PLACEHOLDERS or named.startswith(("http://", "https://")):
        if not raw.model:
            raise InvalidInput(
                "Please name a model in `model`: this server has no default model. GET /models lists what it has.",
                "model",
            )
        return raw.model
    if len(named) > MAX_CHARACTERS:
        raise InvalidInput(f"`model` may have up to {MAX_CHARACTERS} characters.", "model")
    return named
