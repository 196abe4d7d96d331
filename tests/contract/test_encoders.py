"""Embeddings, rankings and labels through OpenVINO against what sentence-transformers and transformers say."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pronto.catalog.detect import detect
from pronto.catalog.sources import describe_folder
from pronto.core.events import Done, Output
from pronto.core.labels import Labels
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.request import Export, InferenceRequest
from pronto.core.tasks import Task
from pronto.core.text_work import ClassifyText
from pronto.core.vector_work import Compare, Embed, Rank, Scores, Vectors
from pronto.engines import cross_encoder, registry, sentence_embedding
from pronto.engines.base import Device, Failed
from pronto.engines.batched import BatchedEngine
from pronto.engines.openvino_export import ENCODER, export
from tests.tiny_encoders import LONGEST, PAIRS, TEXTS, build_all, expected

NEAR = {"rtol": 1e-3, "atol": 2e-5}
pytestmark = pytest.mark.timeout(400)  # the models are built and exported first
SENTENCE_MODELS = ("bert", "roberta", "distilbert", "xlm-roberta", "mpnet", "bfloat16", "qwen3")


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_all(tmp_path_factory.getbasetemp())


def load(folder: Path, engine: BatchedEngine | None = None, **settings: Any) -> BatchedEngine:
    engine = engine or sentence_embedding.engine()
    model = Model(
        id="tiny/encoder",
        task=Task.SENTENCE_SIMILARITY,
        engine="sentence-embedding",
        source=Source(folder=str(folder)),
        revision="r",
        exported=str(folder / "exported"),
        settings=EngineSettings(**{"precision": "exact", **settings}),
    )
    engine.load(model, Device(threads=1), lambda _: frozenset())
    return engine


def ask(work: Any) -> InferenceRequest:
    return InferenceRequest(id="r", model="tiny/encoder", task=Task.FEATURE_EXTRACTION, work=work)


def answers(engine: BatchedEngine, *works: Any) -> list[Any]:
    """The value of each work, all of them in the engine at once; or how it failed."""
    for id, work in enumerate(works, 1):
        engine.add(id, ask(work))
    found: dict[int, Any] = {}
    while engine.stats().running:
        for id, event in engine.step():
            if isinstance(event, Output):
                found[id] = event.value
            elif isinstance(event, Failed):
                found[id] = event
    return [found[id] for id in range(1, len(works) + 1)]


def array(vectors: Vectors) -> np.ndarray:
    assert isinstance(vectors, Vectors), vectors
    return np.frombuffer(vectors.data, "<f4").reshape(-1, vectors.dimensions)


def vectors(engine: BatchedEngine, texts: Sequence[Any], **more: Any) -> np.ndarray:
    [value] = answers(engine, Embed(texts=tuple(texts), **more))
    return array(value)


@pytest.mark.parametrize("name", SENTENCE_MODELS)
def test_vectors_are_those_of_sentence_transformers(encoders: Path, name: str) -> None:
    engine = load(encoders / name)
    texts = [text for text in TEXTS if text or name != "qwen3"]
    wanted = [row for text, row in zip(TEXTS, expected(encoders / name)["plain"], strict=True) if text in texts]
    # A model in bfloat16 is computed by the library in the precision that was asked of it, here float32.
    np.testing.assert_allclose(vectors(engine, texts), wanted, **NEAR)


@pytest.mark.parametrize("name", ["bert", "xlm-roberta"])
def test_a_prompt_is_put_before_each_text(encoders: Path, name: str) -> None:
    made = vectors(load(encoders / name), TEXTS, prompt_name="query")
    np.testing.assert_allclose(made, expected(encoders / name)["query"], **NEAR)


@pytest.mark.parametrize("name", ["bert", "roberta", "xlm-roberta"])
def test_a_text_has_the_same_vector_alone_and_in_a_batch(encoders: Path, name: str) -> None:
    engine = load(encoders / name)
    together = answers(engine, *(Embed(texts=(text,)) for text in TEXTS))
    for text, value in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(array(value), vectors(engine, [text]), rtol=1e-4, atol=1e-6)


def test_a_bare_encoder_has_a_vector_for_each_token(encoders: Path) -> None:
    engine = load(encoders / "plain")
    [value] = answers(engine, Embed(texts=TEXTS))
    wanted = [np.array(tokens[0]) for tokens in expected(encoders / "plain")["tokens"]]
    assert value.rows == tuple(map(len, wanted))
    np.testing.assert_allclose(array(value), np.concatenate(wanted), **NEAR)
    # And one for each text, the mean, where that is asked for.
    np.testing.assert_allclose(vectors(engine, TEXTS, per_token=False), [tokens.mean(0) for tokens in wanted], **NEAR)


def test_a_ranker_says_what_transformers_says(encoders: Path) -> None:
    engine = load(encoders / "ranker", cross_encoder.engine())
    logits = [row[0] for row in expected(encoders / "ranker")["pairs"]]
    found = answers(engine, *(Rank(query=query, texts=(text,), raw=True) for query, text in PAIRS))
    np.testing.assert_allclose([score.values[0] for score in found], logits, **NEAR)
    [shown] = answers(engine, Rank(query=PAIRS[0][0], texts=(PAIRS[0][1],)))
    assert shown.values[0] == pytest.approx(1 / (1 + np.exp(-logits[0])), rel=1e-3)


def test_a_head_with_several_labels_classifies_and_does_not_rank(encoders: Path) -> None:
    engine = load(encoders / "labels", cross_encoder.engine())
    logits = np.array(expected(encoders / "labels")["singles"])
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found, best, ranked = answers(
        engine,
        ClassifyText(texts=TEXTS),
        ClassifyText(texts=TEXTS[:1], top_k=1),
        Rank(query="a", texts=("b",)),
    )
    assert isinstance(found, Labels)
    for row, wanted in zip(found.rows, chances, strict=True):
        assert [label.label for label in row] == [f"LABEL_{index}" for index in np.argsort(-wanted)]
        np.testing.assert_allclose([label.score for label in row], np.sort(wanted)[::-1], **NEAR)
    assert best.rows == (found.rows[0][:1],)
    assert ranked.kind == "unsupported"


def test_similarities_are_cosines(encoders: Path) -> None:
    engine = load(encoders / "roberta")  # whose vectors are not of length 1
    raw = vectors(engine, TEXTS[:3])
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    [value] = answers(engine, Compare(source=TEXTS[0], sentences=(TEXTS[0], *TEXTS[1:3])))
    assert isinstance(value, Scores)
    np.testing.assert_allclose(value.values, unit @ unit[0], **NEAR)
    assert value.values[0] == pytest.approx(1.0, abs=1e-6)


def test_an_embedding_model_ranks_by_its_own_prompts(encoders: Path) -> None:
    engine = load(encoders / "bert")
    query = vectors(engine, ["animal"], prompt_name="query")
    texts = vectors(engine, TEXTS[:3], prompt_name="document")
    [value] = answers(engine, Rank(query="animal", texts=TEXTS[:3]))
    np.testing.assert_allclose(value.values, (texts @ query[0]), **NEAR)


def test_fewer_dimensions_are_normalized_again(encoders: Path) -> None:
    engine = load(encoders / "bert")
    whole = vectors(engine, TEXTS[:2], normalize=False)
    short = vectors(engine, TEXTS[:2], dimensions=5)
    np.testing.assert_allclose(short, whole[:, :5] / np.linalg.norm(whole[:, :5], axis=1, keepdims=True), **NEAR)
    assert np.linalg.norm(whole, axis=1) != pytest.approx([1.0, 1.0])


def test_token_ids_get_the_special_tokens_that_a_text_gets(encoders: Path) -> None:
    engine = load(encoders / "bert")
    model = engine._model
    ids = model._tokenizing.read(TEXTS[0], sentence_embedding.Cut()).ids
    made = vectors(engine, [tuple(ids[1:-1]), tuple(ids)])
    np.testing.assert_allclose(made, np.repeat(vectors(engine, TEXTS[:1]), 2, axis=0), **NEAR)


def test_either_end_of_a_long_text_can_be_cut(encoders: Path) -> None:
    engine = load(encoders / "bert")
    text = " ".join(["cat"] * LONGEST + ["dog"] * LONGEST)
    right, left = vectors(engine, [text]), vectors(engine, [text], truncate_left=True)
    np.testing.assert_allclose(right, vectors(engine, [" ".join(["cat"] * LONGEST)]), **NEAR)
    np.testing.assert_allclose(left, vectors(engine, [" ".join(["dog"] * LONGEST)]), **NEAR)


@pytest.mark.parametrize(
    ("work", "param"),
    [
        (Embed(texts=("word " * 100,), truncate=False), "inputs"),
        (Embed(texts=("a",), prompt_name="nobody's"), "prompt_name"),
        (Embed(texts=("a",), dimensions=33), "dimensions"),
        (Embed(texts=((1, 2, 10_000),)), "inputs"),
        (Embed(texts=("word " * 100,) * 2000, per_token=True), "inputs"),
        (Embed(texts=((1,) * 100,), truncate=False), "inputs"),
    ],
)
def test_what_cannot_be_is_that_requests_own_fault(encoders: Path, work: Embed, param: str) -> None:
    failed, fine = answers(load(encoders / "bert"), work, Embed(texts=TEXTS[:1]))
    assert (failed.kind, failed.param) == ("invalid_input", param)
    assert isinstance(fine, Vectors)


def test_what_is_not_finite_is_never_sent(encoders: Path) -> None:
    engine = load(encoders / "bert")
    run = engine._model._graph.run

    def broken(batch: Any) -> Any:
        hidden, mask = run(batch)
        hidden = hidden.copy()
        hidden[0, 0, 0] = np.inf  # of the longest text
        return hidden, mask

    engine._model._graph.run = broken
    long, short = answers(engine, Embed(texts=TEXTS[1:2]), Embed(texts=TEXTS[:1]))
    assert long.kind == "generation"
    assert "not finite" in long.message
    assert np.isfinite(array(short)).all()


def test_usage_counts_the_tokens_that_were_read(encoders: Path) -> None:
    engine = load(encoders / "bert")
    engine.add(1, ask(Embed(texts=(TEXTS[0], TEXTS[5]))))
    events = [event for _ in range(3) for _, event in engine.step()]
    [done] = [event for event in events if isinstance(event, Done)]
    short = len(engine._model._tokenizing.read(TEXTS[0], sentence_embedding.Cut()).ids)
    assert done.usage.prompt_tokens == short + LONGEST


@pytest.mark.parametrize("settings", [{"precision": "fast"}])
def test_the_fast_precision_is_near_enough_for_a_search(encoders: Path, settings: dict[str, Any]) -> None:
    exact = vectors(load(encoders / "bert"), TEXTS)
    fast = vectors(load(encoders / "bert", **settings), TEXTS)
    assert (exact * fast).sum(1).min() > 0.999


def test_a_graph_that_comes_with_the_model_is_used_as_it_is(encoders: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(encoders / "roberta" / "source", source)
    (source / "model.safetensors").unlink()
    (source / "openvino").mkdir()
    for name in ("openvino_model.xml", "openvino_model.bin"):
        shutil.copyfile(encoders / "roberta" / "exported" / name, source / "openvino" / name)
    assert detect(describe_folder(source)).engine == "sentence-embedding"
    work = Export(folder=str(source), target=str(tmp_path / "exported"), weights="fp16")
    export(work, lambda _: None, ENCODER)
    np.testing.assert_allclose(vectors(load(tmp_path), TEXTS), expected(encoders / "roberta")["plain"], **NEAR)


@pytest.mark.parametrize(
    ("weights", "change", "words"),
    [
        ("int4", None, "no weights 'int4'"),
        ("fp16", {"auto_map": {"AutoModel": "code.Model"}}, "own Python code"),
        ("fp16", {}, "config.json"),
    ],
)
def test_what_cannot_be_exported_is_named(
    encoders: Path, tmp_path: Path, weights: str, change: dict[str, Any] | None, words: str
) -> None:
    source = tmp_path / "source"
    shutil.copytree(encoders / "plain" / "source", source)
    if change is not None:
        (source / "config.json").write_text(json.dumps(change))
    with pytest.raises(ValueError, match=words):
        export(Export(folder=str(source), target=str(tmp_path / "out"), weights=weights), lambda _: None, ENCODER)
    assert not (tmp_path / "out").exists()


def test_an_altered_export_is_refused(encoders: Path, tmp_path: Path) -> None:
    shutil.copytree(encoders / "bert" / "exported", tmp_path / "exported")
    (tmp_path / "exported" / "modules.json").write_text("[]")
    with pytest.raises(ValueError, match="altered"):
        load(tmp_path)


def test_a_worker_needs_neither_torch_nor_sentence_transformers(encoders: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.contract.test_encoders import load, vectors\n"
        "vectors(load(Path(sys.argv[1])), ['a'])\n"
        "print([name for name in ('torch', 'transformers', 'sentence_transformers', 'scipy') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(encoders / "bert")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_registry_makes_the_engines() -> None:
    for name in ("sentence-embedding", "cross-encoder"):
        assert isinstance(registry.make(name), BatchedEngine)
        assert registry.entry(name).exporter == "encoder-export"
