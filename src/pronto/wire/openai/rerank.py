"""`/v1/rerank`: which documents answer a query, in the form of Cohere and Jina."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.events import Done
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.core.vector_work import Rank
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.json_body import decode_json
from pronto.wire.model_name import asked_model
from pronto.wire.openai import errors
from pronto.wire.options import OptionsBody, read_options
from pronto.wire.output_reply import OutputEncoder, Written
from pronto.wire.vectors import characters_of, check_strings

_NAMES = errors.names_for("documents") | {"texts": "documents"}
_encode = msgspec.json.Encoder().encode


class DocumentBody(msgspec.Struct, frozen=True):
    """A document as an object."""

    text: str


class RerankBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body. Null counts as missing, and unknown keys are passed over."""

    query: str
    documents: list[str | DocumentBody]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None
    options: OptionsBody | None = None


class RerankStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about the form of its answer."""

    id: str
    model: str
    top: int | None
    documents: tuple[str, ...]  # empty: they are not repeated
    characters: int


_decoder = msgspec.json.Decoder(RerankBody)


class RerankDialect:
    """Cohere's and Jina's rerank."""

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        body = decode_json(_decoder, raw.body)
        given = [one if isinstance(one, str) else one.text for one in body.documents]
        documents = check_strings(given, "documents", may_be_empty=True)
        [query] = check_strings([body.query], "query")
        if body.top_n is not None and body.top_n < 1:
            raise InvalidInput(f"`top_n` must be >= 1. Given: {body.top_n}", "top_n")
        model = asked_model(raw, body.model)
        request = InferenceRequest(
            id=raw.request_id,
            model=model,
            task=Task.TEXT_RANKING,
            work=Rank(query=query, texts=documents),
            options=read_options(raw.headers, body.options, cache_sampled=False),
        )
        style = RerankStyle(
            id=f"rerank-{raw.request_id}",
            model=model,
            top=body.top_n,
            documents=documents if body.return_documents else (),
            characters=characters_of((query, *documents)),
        )
        return Call(request, style)

    def encoder(self, call: Call) -> Encoder:
        style: RerankStyle = call.reply

        def write(value: Any, done: Done) -> Written:
            tokens = done.usage.prompt_tokens
            document = {
                "id": style.id,
                "model": style.model,
                "results": _results(value.values, style),
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
                "meta": {"billed_units": {"search_units": 1}},
            }
            return b"application/json", _encode(document)

        return OutputEncoder(write, style.characters)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers, _NAMES)


def _results(scores: tuple[float, ...], style: RerankStyle) -> list[dict[str, Any]]:
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: style.top]
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": scores[index]} for index in order]
    for result in results if style.documents else ():
        result["document"] = {"text": style.documents[result["index"]]}
    return results
