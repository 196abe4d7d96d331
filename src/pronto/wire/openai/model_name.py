"""Which model a body means: many clients write a name there that is none."""

from pronto.core.errors import InvalidInput
from pronto.wire.base import Raw

# huggingface_hub and text-generation write these when their user has named no model.
_JUNK = ("", "tgi", "dummy")


def model_of(raw: Raw, named: str | None) -> str:
    """The path's model, else the body's, else the server's default. Raises InvalidInput when there is none."""
    if not raw.is_named and not _is_junk(named or ""):
        return named or ""
    if not raw.model:
        raise InvalidInput("Please name a model in `model`: this server has no default model.", "model")
    return raw.model


def _is_junk(name: str) -> bool:
    return name in _JUNK or name.startswith(("http://", "https://"))
