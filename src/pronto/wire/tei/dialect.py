"""The routes of text-embeddings-inference: /embed, /embed_all, /rerank, /similarity, /predict. Knows no HTTP."""

from collections.abc import Callable
from typing import Any

import msgspec

from pronto.core.errors import ProntoError, Unsupported
from pronto.core.events import Done
from pronto.core.labels import Label
from pronto.core.request import InferenceRequest, TaskWork
from pronto.core.vector_work import Embed
from pronto.wire import faults
from pronto.wire.base import Call, Encoder, Headers, Raw, Response
from pronto.wire.options import read_options
from pronto.wire.output_reply import OutputEncoder, Written
from pronto.wire.tei.bodies import read_compare, read_embed, read_predict, read_rank
from pronto.wire.vectors import by_text, characters_of

_encode = msgspec.json.Encoder().encode
_TYPES = {"validation": "Validation", "generation": "Backend", "overloaded": "Overloaded"}

Show = Callable[[Any], Any]


class TeiStyle(msgspec.Struct, frozen=True, kw_only=True):
    """What the request says about the form of its answer."""

    show: Show  # of the value, as JSON shall have it
    characters: int


class TeiDialect:
    """Answers are bare lists; errors name their type in one word, like `Validation`."""

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        work, show = _READERS[raw.route](raw.body)
        request = InferenceRequest(
            id=raw.request_id,
            model=raw.model,
            task=raw.task,
            work=work,
            options=read_options(raw.headers, None, cache_sampled=True),
        )
        return Call(request, TeiStyle(show=show, characters=_characters(work)))

    def encoder(self, call: Call) -> Encoder:
        return TeiAnswer(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        shown = faults.fault(error)
        name = _TYPES.get(shown.error_type) or "".join(word.capitalize() for word in shown.error_type.split("_"))
        body = faults.hf_document(msgspec.structs.replace(shown, error_type=name))
        status = 429 if shown.status == 503 and faults.is_impatient(headers) else shown.status
        return Response(status, [(b"content-type", b"application/json"), *shown.headers], body)


class TeiAnswer(OutputEncoder):
    """With the headers that are TEI's own: milliseconds, and the tokens that were read."""

    def __init__(self, style: TeiStyle) -> None:
        def write(value: Any, done: Done) -> Written:
            return b"application/json", _encode(style.show(value))

        super().__init__(write, style.characters)

    @property
    def headers(self) -> Headers:
        done = self._done
        assert done is not None  # asked for when the answer is whole
        times = done.times
        total = times.validation_ms + times.queue_ms + times.inference_ms
        others = [pair for pair in super().headers if pair[0] != b"x-compute-time"]
        return [
            *others,
            (b"x-compute-time", b"%d" % total),
            (b"x-compute-tokens", b"%d" % done.usage.prompt_tokens),
            (b"x-tokenization-time", b"0"),  # it is done within the inference here
        ]


def _embed(body: bytes) -> tuple[TaskWork, Show]:
    return read_embed(body, per_token=False), by_text


def _embed_all(body: bytes) -> tuple[TaskWork, Show]:
    return read_embed(body, per_token=True), by_text


def _embed_sparse(_: bytes) -> tuple[TaskWork, Show]:
    raise Unsupported("Sparse vectors (SPLADE) are not made by this server. /embed makes dense ones.")


def _rerank(body: bytes) -> tuple[TaskWork, Show]:
    work, returns_text = read_rank(body)

    def show(value: Any) -> Any:
        order = sorted(range(len(value.values)), key=lambda index: -value.values[index])
        texts = [{"text": text} if returns_text else {} for text in work.texts]
        return [{"index": index, **texts[index], "score": value.values[index]} for index in order]

    return work, show


def _similarity(body: bytes) -> tuple[TaskWork, Show]:
    return read_compare(body), lambda value: value.values


def _predict(body: bytes) -> tuple[TaskWork, Show]:
    work, is_batch = read_predict(body)

    def show(value: Any) -> Any:
        rows = [[_shown(label) for label in row] for row in value.rows]
        return rows if is_batch else rows[0]

    return work, show


def _shown(label: Label) -> dict[str, Any]:
    return {"score": label.score, "label": label.label}


_READERS: dict[str, Callable[[bytes], tuple[TaskWork, Show]]] = {
    "tei-embed": _embed,
    "tei-embed-all": _embed_all,
    "tei-embed-sparse": _embed_sparse,
    "tei-rerank": _rerank,
    "tei-similarity": _similarity,
    "tei-predict": _predict,
}


def _characters(work: TaskWork) -> int:
    if isinstance(work, Embed):
        return characters_of(work.texts)
    names = ("query", "source", "texts", "sentences")
    given = [getattr(work, name) for name in names if hasattr(work, name)]
    return sum(characters_of([one] if isinstance(one, str) else one) for one in given)
