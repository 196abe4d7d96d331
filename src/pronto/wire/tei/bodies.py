"""The bodies of text-embeddings-inference, to work. Knows no answers."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.text_work import ClassifyText
from pronto.core.vector_work import Compare, Embed, Rank, Text
from pronto.wire.faults import HttpFault
from pronto.wire.json_body import decode_json
from pronto.wire.options import Flag, flag
from pronto.wire.vectors import check_dimensions, check_strings, check_texts, read_direction


class CutBody(msgspec.Struct, frozen=True, kw_only=True):
    """What all of them have. A text that is too long is refused unless `truncate` is true."""

    truncate: Flag = None
    truncation_direction: str | None = None


class EmbedBody(CutBody, frozen=True, kw_only=True):
    """The body of /embed and /embed_all."""

    inputs: str | list[str | int | list[int]]
    normalize: Flag = None
    prompt_name: str | None = None
    dimensions: int | None = None


class RankBody(CutBody, frozen=True, kw_only=True):
    """The body of /rerank."""

    query: str
    texts: list[str]
    raw_scores: Flag = None
    return_text: Flag = None


class SourceBody(msgspec.Struct, frozen=True, kw_only=True):
    """What /similarity has under `inputs`."""

    source_sentence: str
    sentences: list[str]


class CompareParameters(CutBody, frozen=True, kw_only=True):
    """The parameters of /similarity."""

    prompt_name: str | None = None


class CompareBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of /similarity."""

    inputs: SourceBody
    parameters: CompareParameters | None = None


class PredictBody(CutBody, frozen=True, kw_only=True):
    """The body of /predict: a text, or a list of lists that hold one each."""

    inputs: str | list[str | list[str]]
    raw_scores: Flag = None


_embed = msgspec.json.Decoder(EmbedBody)
_rank = msgspec.json.Decoder(RankBody)
_compare = msgspec.json.Decoder(CompareBody)
_predict = msgspec.json.Decoder(PredictBody)


def read_embed(body: bytes, *, per_token: bool) -> Embed:
    """Raises InvalidInput and HttpFault."""
    asked = decode_json(_embed, body)
    normalizes = flag(asked.normalize)
    return Embed(
        texts=check_texts(_texts(asked.inputs), "inputs"),
        # The vectors of tokens are never normalized.
        normalize=not per_token and (True if normalizes is None else normalizes),
        prompt_name=asked.prompt_name,
        dimensions=check_dimensions(asked.dimensions),
        per_token=per_token,
        **_cut(asked),
    )


def read_rank(body: bytes) -> tuple[Rank, bool]:
    """And whether the texts are repeated in the answer. Raises InvalidInput and HttpFault."""
    asked = decode_json(_rank, body)
    _fill(asked.texts, "texts")
    [query] = check_strings([asked.query], "query")
    texts = check_strings(asked.texts, "texts", may_be_empty=True)
    return Rank(query=query, texts=texts, raw=flag(asked.raw_scores) is True, **_cut(asked)), flag(
        asked.return_text
    ) is True


def read_compare(body: bytes) -> Compare:
    """Raises InvalidInput and HttpFault."""
    asked = decode_json(_compare, body)
    _fill(asked.inputs.sentences, "sentences")
    given = asked.parameters or CompareParameters()
    [source] = check_strings([asked.inputs.source_sentence], "source_sentence")
    sentences = check_strings(asked.inputs.sentences, "sentences")
    return Compare(source=source, sentences=sentences, prompt_name=given.prompt_name, **_cut(given))


def read_predict(body: bytes) -> tuple[ClassifyText, bool]:
    """And whether a list was asked for. Raises InvalidInput and HttpFault."""
    asked = decode_json(_predict, body)
    given = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    _fill(given, "inputs")
    # Here a list of two strings is one pair, and a list of lists is a batch.
    is_batch = all(isinstance(one, list) for one in given)
    rows = [[one] if isinstance(one, str) else one for one in given] if is_batch else [[str(one) for one in given]]
    if any(len(row) != 1 for row in rows):
        raise InvalidInput(
            "`inputs` with pairs of texts are not supported here. Please send a query to /rerank.", "inputs"
        )
    texts = check_strings([row[0] for row in rows], "inputs")
    return ClassifyText(texts=texts, function="none" if flag(asked.raw_scores) else None), is_batch


def _texts(given: str | list[str | int | list[int]]) -> list[Text]:
    if isinstance(given, str):
        return [given]
    _fill(given, "inputs")
    if all(isinstance(one, int) for one in given):
        return [tuple(one for one in given if isinstance(one, int))]
    if any(isinstance(one, int) for one in given):
        raise InvalidInput("`inputs` must be all texts, or all token ids", "inputs")
    return [tuple(one) if isinstance(one, list) else str(one) for one in given]


def _cut(asked: CutBody) -> dict[str, Any]:
    left = read_direction(asked.truncation_direction)
    return {"truncate": flag(asked.truncate) is True, "truncate_left": left}


def _fill(given: list[Any], name: str) -> None:
    if not given:
        raise HttpFault(f"`{name}` cannot be empty", status=400, error_type="Empty")
