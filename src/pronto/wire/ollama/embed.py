"""Ollama's /api/embed and its older /api/embeddings: texts to vectors."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Done
from pronto.core.vector_work import Embed
from pronto.wire.json_body import decode_json
from pronto.wire.output_reply import Written
from pronto.wire.vectors import characters_of, check_dimensions, check_strings, rows_of

EMBED_ROUTE, OLD_ROUTE = "ollama-embed", "ollama-embeddings"
_NANOSECONDS = 1_000_000  # in a millisecond
_encode = msgspec.json.Encoder().encode


class OllamaEmbedBody(msgspec.Struct, frozen=True, kw_only=True):
    """Both bodies: `input` is of the newer one, `prompt` of the older. Unknown keys are passed over."""

    model: str | None = None
    input: str | list[str] | None = None
    prompt: str | None = None
    truncate: bool | None = None
    dimensions: int | None = None


class OllamaEmbedStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about the form of its answer."""

    model: str  # as the client wrote it
    is_old: bool
    characters: int


_decoder = msgspec.json.Decoder(OllamaEmbedBody)


def read_embed(body: bytes, route: str) -> tuple[Embed, OllamaEmbedBody, OllamaEmbedStyle]:
    """Raises InvalidInput."""
    asked = decode_json(_decoder, body)
    is_old, name = route == OLD_ROUTE, "prompt" if route == OLD_ROUTE else "input"
    given = asked.prompt if is_old else asked.input
    if given is None:
        raise InvalidInput(f"Please send a text in `{name}`.", name)
    texts = check_strings([given] if isinstance(given, str) else given, name, may_be_empty=True)
    work = Embed(
        texts=texts,
        normalize=not is_old or None,  # the older route gives vectors as the model makes them
        truncate=asked.truncate is not False,
        dimensions=check_dimensions(asked.dimensions),
        per_token=False,
    )
    return work, asked, OllamaEmbedStyle(model=asked.model or "", is_old=is_old, characters=characters_of(texts))


def written(value: Any, done: Done, style: OllamaEmbedStyle) -> Written:
    """The answer. Raises nothing."""
    rows = rows_of(value)
    if style.is_old:
        return b"application/json", _encode({"embedding": rows[0]})
    times = done.times
    total, queue = times.validation_ms + times.queue_ms + times.inference_ms, times.queue_ms
    document = {
        "model": style.model,
        "embeddings": rows,
        "total_duration": int(total * _NANOSECONDS),
        "load_duration": int(queue * _NANOSECONDS),
        "prompt_eval_count": done.usage.prompt_tokens,
    }
    return b"application/json", _encode(document)
