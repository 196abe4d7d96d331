"""`/v1/embeddings`: texts or token ids to vectors, as numbers or as base64, which OpenAI's own clients ask for."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.events import Done
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.core.vector_work import Embed, Text
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.json_body import decode_json
from pronto.wire.model_name import asked_model
from pronto.wire.openai import errors
from pronto.wire.options import Flag, OptionsBody, flag, read_options
from pronto.wire.output_reply import OutputEncoder, Written
from pronto.wire.vectors import characters_of, check_dimensions, check_texts, is_base64, rows_of

_NAMES = errors.names_for("input")
_encode = msgspec.json.Encoder().encode


class EmbeddingBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body. Null counts as missing, and unknown keys are passed over.

    `truncate` false refuses a text that is too long; `prompt_name` and `normalize` are as on the other routes.
    """

    input: str | list[str | int | list[int]]
    model: str | None = None
    encoding_format: str | None = None
    dimensions: int | None = None
    truncate: Flag = None
    prompt_name: str | None = None
    normalize: Flag = None
    options: OptionsBody | None = None


class EmbeddingStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about the form of its answer."""

    model: str
    base64: bool
    characters: int


_decoder = msgspec.json.Decoder(EmbeddingBody)


class EmbeddingDialect:
    """OpenAI's embeddings."""

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        body = decode_json(_decoder, raw.body)
        texts = check_texts(_read_input(body.input), "input")
        model = asked_model(raw, body.model)
        normalizes = flag(body.normalize)
        work = Embed(
            texts=texts,
            normalize=True if normalizes is None else normalizes,  # as all of OpenAI's models do
            prompt_name=body.prompt_name,
            truncate=flag(body.truncate) is not False,
            dimensions=check_dimensions(body.dimensions),
            per_token=False,
        )
        request = InferenceRequest(
            id=raw.request_id,
            model=model,
            task=Task.FEATURE_EXTRACTION,
            work=work,
            options=read_options(raw.headers, body.options, cache_sampled=False),
        )
        style = EmbeddingStyle(model=model, base64=is_base64(body.encoding_format), characters=characters_of(texts))
        return Call(request, style)

    def encoder(self, call: Call) -> Encoder:
        style: EmbeddingStyle = call.reply

        def write(value: Any, done: Done) -> Written:
            rows = rows_of(value, as_base64=style.base64)
            data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
            tokens = done.usage.prompt_tokens
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            return b"application/json", _encode({"object": "list", "data": data, "model": style.model, "usage": usage})

        return OutputEncoder(write, style.characters)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers, _NAMES)


def _read_input(given: str | list[str | int | list[int]]) -> list[Text]:
    """A text, a list of texts, one text as token ids, or a list of those."""
    if isinstance(given, str):
        return [given]
    texts = [one for one in given if isinstance(one, str)]
    ids = [one for one in given if isinstance(one, int)]
    lists = [one for one in given if isinstance(one, list)]
    if len(given) not in (len(texts), len(ids), len(lists)):
        kinds = "a string, a list of strings, a list of token ids, or a list of such lists"
        raise InvalidInput(f"`input` must be {kinds}", "input")
    if ids:
        return [tuple(ids)]
    return [tuple(one) for one in lists] if lists else list(texts)
