"""Embeddings on the wire: what each format reads, what it writes, and how long the largest usual answer takes."""

import array
import base64
import json
import struct
import time
from typing import Any

import msgspec
import pytest

from pronto.core.errors import GenerationFailed, InvalidInput, Overloaded
from pronto.core.events import Done, Output, Started, Times, Usage
from pronto.core.labels import Label, Labels
from pronto.core.tasks import Task
from pronto.core.text_work import ClassifyText
from pronto.core.vector_work import Compare, Embed, Rank, Scores, Vectors
from pronto.wire.base import Call, Dialect
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.ollama.dialect import OllamaDialect
from pronto.wire.openai.embeddings import EmbeddingDialect
from pronto.wire.openai.rerank import RerankDialect
from pronto.wire.tei.dialect import TeiDialect
from pronto.wire.vectors import MAX_CHARACTERS, MAX_TEXTS
from tests.unit.wire_cases import BOUNDS, raw

HF, OPENAI, RERANK = HfDialect(BOUNDS), EmbeddingDialect(), RerankDialect()
TEI, OLLAMA = TeiDialect(), OllamaDialect(BOUNDS)
TWO = Vectors(array.array("f", [1.0, 0.5, -2.0, 0.25]).tobytes(), 2)
MANY = Vectors(array.array("f", [0.1234567] * 32 * 384).tobytes(), 384)


def decode(dialect: Dialect, body: object, route: str = "hf", task: Task = Task.FEATURE_EXTRACTION) -> Call:
    return dialect.decode(msgspec.structs.replace(raw(body, route), task=task))


def written(dialect: Dialect, call: Call, value: Any) -> tuple[Any, dict[str, str]]:
    encoder = dialect.encoder(call)
    done = Done(Usage(prompt_tokens=7), Times(1.0, 2.0, 30.0))
    parts = [encoder.feed(event) for event in (Started("sha", "sentence-embedding", "cpu"), Output(value), done)]
    headers = {name.decode(): text.decode() for name, text in encoder.headers}
    return json.loads(b"".join(parts)), headers


def test_huggingface_reads_texts_and_their_parameters() -> None:
    call = decode(HF, {"inputs": ["a", "b"], "normalize": True, "truncate": False, "truncation_direction": "Left"})
    assert call.request.work == Embed(texts=("a", "b"), normalize=True, truncate=False, truncate_left=True)
    nulls = {"normalize": None, "prompt_name": None, "truncate": None, "truncation_direction": None, "dimensions": None}
    assert decode(HF, {"inputs": "a", **nulls}).request.work == Embed(texts=("a",))
    below = {"inputs": "a", "normalize": False, "parameters": {"normalize": True, "prompt_name": "query"}}
    assert decode(HF, below).request.work == Embed(texts=("a",), normalize=True, prompt_name="query")


def test_huggingface_reads_sentences_and_queries() -> None:
    pair = {"source_sentence": "a", "sentences": ["b", ""]}
    for body in ({"inputs": pair, "parameters": {}}, pair):
        assert decode(HF, body).request.work == Compare(source="a", sentences=("b", ""))
    for body in ({"query": "q", "texts": ["t"]}, {"inputs": {"query": "q", "texts": ["t"]}, "raw_scores": None}):
        assert decode(HF, body).request.work == Rank(query="q", texts=("t",))


def test_huggingface_writes_a_vector_for_a_text_and_a_list_for_a_list() -> None:
    one = Vectors(TWO.data[:8], 2)
    body, headers = written(HF, decode(HF, {"inputs": "abc"}), one)
    assert body == [1.0, 0.5]
    assert headers["content-type"] == "application/json"
    assert headers["x-compute-characters"] == "3"
    assert written(HF, decode(HF, {"inputs": ["abc", "d"]}), TWO)[0] == [[1.0, 0.5], [-2.0, 0.25]]
    tokens = Vectors(TWO.data, 2, (2,))
    assert written(HF, decode(HF, {"inputs": "abc"}), tokens)[0] == [[[1.0, 0.5], [-2.0, 0.25]]]
    each = Vectors(TWO.data, 2, (1, 1))
    assert written(HF, decode(HF, {"inputs": ["a", "b"]}), each)[0] == [[[[1.0, 0.5]]], [[[-2.0, 0.25]]]]


def test_huggingface_writes_scores() -> None:
    pair = {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}
    assert written(HF, decode(HF, pair), Scores((0.25, 0.5)))[0] == [0.25, 0.5]
    ranked = written(HF, decode(HF, {"query": "q", "texts": ["t", "u"]}), Scores((0.25, 0.5)))[0]
    assert ranked == [{"index": 1, "score": 0.5}, {"index": 0, "score": 0.25}]


def test_plain_text_is_an_input() -> None:
    asked = msgspec.structs.replace(raw(b"hello", headers={"content-type": "text/plain"}), task=Task.FEATURE_EXTRACTION)
    assert HF.decode(asked).request.work == Embed(texts=("hello",))


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_openai_reads_every_kind_of_input(given: object, texts: tuple[object, ...]) -> None:
    call = decode(OPENAI, {"input": given, "model": "m", "user": "me"})
    assert call.request.model == "m"
    assert call.request.work == Embed(texts=texts, normalize=True, per_token=False)


def test_openai_writes_numbers_or_base64() -> None:
    body, _ = written(OPENAI, decode(OPENAI, {"input": ["a", "b"], "model": "m"}), TWO)
    assert body == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0, 0.5]},
            {"object": "embedding", "index": 1, "embedding": [-2.0, 0.25]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    coded, _ = written(OPENAI, decode(OPENAI, {"input": ["a", "b"], "encoding_format": "base64"}), TWO)
    assert struct.unpack("<2f", base64.b64decode(coded["data"][1]["embedding"])) == (-2.0, 0.25)


def test_openai_errors_name_the_field() -> None:
    shown = OPENAI.encode_error(InvalidInput("`inputs` must have less than 9 tokens. Given: 10", "inputs"), {})
    error = json.loads(shown.body)["error"]
    assert (shown.status, error["param"], error["message"][:7]) == (400, "input", "`input`")


def test_cohere() -> None:
    asked = {"query": "q", "documents": ["t", {"text": "u"}], "top_n": 1, "return_documents": True, "model": "m"}
    call = decode(RERANK, asked)
    assert call.request.work == Rank(query="q", texts=("t", "u"))
    body, _ = written(RERANK, call, Scores((0.25, 0.5)))
    assert body["results"] == [{"index": 1, "relevance_score": 0.5, "document": {"text": "u"}}]
    assert body["usage"]["total_tokens"] == 7


def test_tei_reads_and_writes() -> None:
    call = decode(TEI, {"inputs": ["a", "b"]}, "tei-embed")
    assert call.request.work == Embed(texts=("a", "b"), normalize=True, truncate=False, per_token=False)
    body, headers = written(TEI, call, TWO)
    assert body == [[1.0, 0.5], [-2.0, 0.25]]
    assert (headers["x-compute-time"], headers["x-compute-tokens"], headers["x-compute-characters"]) == ("33", "7", "2")
    tokens = decode(TEI, {"inputs": "a", "normalize": True}, "tei-embed-all")
    assert tokens.request.work == Embed(texts=("a",), normalize=False, truncate=False, per_token=True)
    assert decode(TEI, {"inputs": [1, 2]}, "tei-embed").request.work.texts == ((1, 2),)
    ranked = decode(TEI, {"query": "q", "texts": ["t", "u"], "return_text": True, "raw_scores": True}, "tei-rerank")
    assert ranked.request.work == Rank(query="q", texts=("t", "u"), raw=True, truncate=False)
    assert written(TEI, ranked, Scores((0.5, 0.75)))[0] == [
        {"index": 1, "text": "u", "score": 0.75},
        {"index": 0, "text": "t", "score": 0.5},
    ]
    labels = Labels(((Label("a", 0.5),), (Label("b", 0.25),)))
    several = decode(TEI, {"inputs": [["x"], ["y"]], "raw_scores": True}, "tei-predict")
    assert several.request.work == ClassifyText(texts=("x", "y"), function="none")
    assert written(TEI, several, labels)[0] == [[{"score": 0.5, "label": "a"}], [{"score": 0.25, "label": "b"}]]
    assert written(TEI, decode(TEI, {"inputs": "x"}, "tei-predict"), labels)[0] == [{"score": 0.5, "label": "a"}]


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (InvalidInput("no", "inputs"), 422, "Validation"),
        (GenerationFailed("no"), 424, "Backend"),
        (Overloaded("full", retry_after=1.0), 429, "Overloaded"),
    ],
)
def test_tei_names_its_errors(error: Any, status: int, name: str) -> None:
    shown = TEI.encode_error(error, {})
    assert (shown.status, json.loads(shown.body)["error_type"]) == (status, name)


def test_ollama() -> None:
    call = decode(OLLAMA, {"model": "all-minilm:latest", "input": ["a", "b"]}, "ollama-embed")
    assert call.request.work == Embed(texts=("a", "b"), normalize=True, per_token=False)
    assert (call.request.model, call.request.options.wait_for_model) == ("all-minilm", True)
    body, _ = written(OLLAMA, call, TWO)
    assert body["embeddings"] == [[1.0, 0.5], [-2.0, 0.25]]
    assert (body["model"], body["prompt_eval_count"], body["total_duration"]) == ("all-minilm:latest", 7, 33_000_000)
    old = decode(OLLAMA, {"model": "m", "prompt": "a"}, "ollama-embeddings")
    assert written(OLLAMA, old, Vectors(TWO.data[:8], 2))[0] == {"embedding": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("dialect", "route", "body", "param"),
    [
        (HF, "hf", {"inputs": []}, "inputs"),
        (HF, "hf", {"inputs": ["a"] * (MAX_TEXTS + 1)}, "inputs"),
        (HF, "hf", {"inputs": "a" * (MAX_CHARACTERS + 1)}, "inputs"),
        (HF, "hf", {"inputs": {"source_sentence": "a", "sentences": []}}, "sentences"),
        (HF, "hf", {"inputs": {"sentences": ["a"]}}, "source_sentence"),
        (HF, "hf", {"inputs": [["a"]]}, None),
        (HF, "hf", {"inputs": "a", "encoding_format": "hex"}, "encoding_format"),
        (HF, "hf", {"inputs": "a", "dimensions": 0}, "dimensions"),
        (HF, "hf", {}, "inputs"),
        (OPENAI, "openai-embeddings", {"input": ""}, "input"),
        (OPENAI, "openai-embeddings", {"input": ["a", 1]}, "input"),
        (OPENAI, "openai-embeddings", {"input": [-1]}, "input"),
        (RERANK, "openai-rerank", {"query": "", "documents": ["a"]}, "query"),
        (TEI, "tei-rerank", {"query": "q", "texts": ["a"] * (MAX_TEXTS + 1)}, "texts"),
        (TEI, "tei-embed", {"inputs": [1, "a"]}, "inputs"),
        (TEI, "tei-predict", {"inputs": ["a", "b"]}, "inputs"),
        (TEI, "tei-embed-sparse", {"inputs": "a"}, None),
        (OLLAMA, "ollama-embed", {"prompt": "a"}, "input"),
    ],
)
def test_bad_input_names_its_field(dialect: Dialect, route: str, body: object, param: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode(dialect, body, route)
    assert param is None or refused.value.param == param


def test_a_large_answer_holds_nobody_up() -> None:
    texts = {"input": ["a"] * 32}
    for more, most in (({}, 0.02), ({"encoding_format": "base64"}, 0.005)):  # usually 1 ms and 0.1 ms
        call = decode(OPENAI, texts | more)
        best = min(_seconds(call) for _ in range(5))
        assert best < most


def _seconds(call: Call) -> float:
    encoder = OPENAI.encoder(call)
    encoder.feed(Started("sha", "e", "cpu"))
    encoder.feed(Output(MANY))
    began = time.perf_counter()
    encoder.feed(Done())
    return time.perf_counter() - began
