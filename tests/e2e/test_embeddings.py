"""Embeddings as users meet them: the MiniLM that is installed with Pronto, and rankers, over every route there is."""

import base64
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pronto.core.model import PACKAGE
from tests.e2e.http import eventually, get, ledger, post
from tests.e2e.server import Server, make_account, run_cli
from tests.tiny_encoders import build_all, expected

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SOURCE = "That is a happy person"
OTHERS = ["That is a happy dog", "That is a very happy person", "Today is a sunny day"]
SIMILARITIES = [0.69457, 0.94292, 0.25688]  # as the model's card has them
PASSAGES = [
    "The giant panda is a bear that lives in the mountains of China and eats bamboo.",
    "A compiler turns the source code of a program into instructions for a machine.",
    "Bread is baked from flour, water, salt and yeast.",
    "The treaty ended the war between the two kingdoms.",
]
pytestmark = pytest.mark.timeout(400)  # the models are built and exported first
PLANS = "[pro]\nrequests = { hour = 100000, day = 100000 }\n"


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return build_all(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def server(tmp_path_factory, encoders):
    data = tmp_path_factory.mktemp("embeddings")
    entries = [f'default = "{MINILM}"\n', f'[[models]]\nid = "{MINILM}"\npreload = true\n']
    for name, engine, task in (
        ("ranker", "cross-encoder", "text-ranking"),
        ("labels", "cross-encoder", "text-classification"),
        ("plain", "sentence-embedding", "feature-extraction"),
    ):
        folder = encoders / name / "exported"
        table = {"id": f"tiny/{name}", "engine": engine, "task": task, "folder": str(folder), "precision": "exact"}
        entries.append("[[models]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items()))
    (data / "catalog.toml").write_text("\n".join(entries))
    (data / "plans.toml").write_text(PLANS)
    token = make_account(data, "alice")
    run_cli(data, "models", "pull", MINILM)
    running = Server(data)
    running.token = token
    eventually(lambda: json.loads(get(running.url, f"/status/{MINILM}")[1])["loaded"], 60)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def ask(server):
    def ask(path: str, body: object, status: int = 200, **headers: str):
        headers = {"x_use_cache": "0", "x_wait_for_model": "1"} | headers
        found, sent, text = post(server.url, path, body, server.token, **headers)
        assert found == status, text
        assert sent["content-type"] == "application/json"
        return json.loads(text)

    return ask


def near(values: object, abs: float = 2e-5):
    return pytest.approx(values, abs=abs)


def test_real_similarities(ask) -> None:
    inputs = {"source_sentence": SOURCE, "sentences": OTHERS}
    for path in (f"/models/{MINILM}", f"/pipeline/sentence-similarity/{MINILM}", "/similarity"):
        assert ask(path, {"inputs": inputs}) == near(SIMILARITIES, abs=4e-3)
    assert ask(f"/models/{MINILM}", inputs) == near(SIMILARITIES, abs=4e-3)


def test_a_question_finds_its_answer(ask) -> None:
    for query, best in (
        ("Where do pandas live?", 0),
        ("How does software become machine code?", 1),
        ("What is in bread?", 2),
    ):
        ranked = ask("/rerank", {"query": query, "texts": PASSAGES, "return_text": True})
        assert (ranked[0]["index"], ranked[0]["text"]) == (best, PASSAGES[best])
        assert ranked[0]["score"] > 2 * ranked[1]["score"]
        cohere = ask("/v1/rerank", {"query": query, "documents": PASSAGES, "top_n": 1, "return_documents": True})
        assert cohere["results"] == [
            {"index": best, "relevance_score": near(ranked[0]["score"]), "document": {"text": PASSAGES[best]}}
        ]


def test_every_route_has_the_same_vectors(ask) -> None:
    text = "Deep in the forest a fox was asleep."
    vector = ask(f"/pipeline/feature-extraction/{MINILM}", {"inputs": text})
    assert len(vector) == 384
    assert sum(value * value for value in vector) == near(1.0)
    for path in (f"/models/{MINILM}", f"/hf-inference/models/{MINILM}/pipeline/feature-extraction"):
        assert ask(path, {"inputs": [text], "parameters": {}}) == [near(vector)]
    assert ask("/embed", {"inputs": text}) == [near(vector)]
    assert ask(f"/models/{MINILM}/embed", {"inputs": [text, text]}) == [near(vector)] * 2
    assert ask("/api/embed", {"model": "all-minilm:latest", "input": text})["embeddings"] == [near(vector)]
    assert ask("/api/embeddings", {"model": "all-minilm", "prompt": text}) == {"embedding": near(vector)}
    for model in (MINILM, "text-embedding-3-small", "tgi"):
        answer = ask("/v1/embeddings", {"model": model, "input": text})
        [row] = answer["data"]
        assert (answer["object"], row["object"], row["index"]) == ("list", "embedding", 0)
        assert row["embedding"] == near(vector)
        assert answer["usage"] == {"prompt_tokens": 11, "total_tokens": 11}
    coded = ask("/v1/embeddings", {"model": MINILM, "input": [text], "encoding_format": "base64"})["data"][0][
        "embedding"
    ]
    assert struct.unpack("<384f", base64.b64decode(coded)) == near(tuple(vector))
    tokens = ask("/embed_all", {"inputs": text})[0]
    assert (len(tokens), len(tokens[0])) == (11, 384)


def test_parameters_at_the_top_and_below(ask) -> None:
    whole = ask(f"/pipeline/feature-extraction/{MINILM}", {"inputs": "rain"})
    for body in (
        {"inputs": "rain", "dimensions": 8, "normalize": None, "truncation_direction": "Left", "prompt_name": None},
        {"inputs": "rain", "parameters": {"dimensions": 8, "truncate": True, "unheard_of": 1}},
    ):
        short = ask(f"/pipeline/feature-extraction/{MINILM}", body)
        scale = sum(value * value for value in whole[:8]) ** 0.5
        assert short == near([value / scale for value in whole[:8]])
    coded = ask(f"/models/{MINILM}", {"inputs": "rain", "encoding_format": "base64"})
    assert struct.unpack("<384f", base64.b64decode(coded)) == near(tuple(whole))


def test_long_texts_are_cut_where_a_route_says_so(ask) -> None:
    long = "word " * 400
    assert ask("/v1/embeddings", {"input": long})["usage"]["prompt_tokens"] == 256
    assert len(ask(f"/models/{MINILM}", {"inputs": long})) == 384
    assert len(ask("/embed", {"inputs": long, "truncate": True})[0]) == 384
    said = ask("/embed", {"inputs": long}, 422)
    assert said["error_type"] == "Validation"
    assert "must have less than 256 tokens. Given: 402" in said["error"]
    assert ask("/v1/embeddings", {"input": long, "truncate": False}, 400)["error"]["param"] == "input"


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        (f"/models/{MINILM}", {"inputs": []}, 422, "`inputs` cannot be empty"),
        (f"/models/{MINILM}", {"inputs": 3}, 422, "inputs: expected"),
        (f"/models/{MINILM}", {}, 422, "missing field `inputs`"),
        (f"/models/{MINILM}", {"inputs": {"source_sentence": "a"}}, 422, "missing field `sentences`"),
        (
            f"/models/{MINILM}",
            {"inputs": {"source_sentence": "a", "sentences": []}},
            422,
            "`sentences` cannot be empty",
        ),
        (f"/models/{MINILM}", {"inputs": "a", "dimensions": 385}, 422, "`dimensions` must be >= 1 and <= 384"),
        (f"/models/{MINILM}", {"inputs": "a", "dimensions": -1}, 422, "`dimensions` must be >= 1"),
        (f"/models/{MINILM}", {"inputs": "a", "prompt_name": "query"}, 422, "this model has no prompts"),
        (f"/models/{MINILM}", {"inputs": "a", "truncation_direction": "up"}, 422, "must be left or right"),
        (f"/models/{MINILM}", {"inputs": ["a"] * 2049}, 422, "up to 2048 texts"),
        (f"/models/{MINILM}", {"inputs": "a" * 200_001}, 422, "200000 characters"),
        ("/embed", {"inputs": []}, 400, "`inputs` cannot be empty"),
        ("/embed_sparse", {"inputs": "a"}, 422, "Sparse vectors"),
        ("/predict", {"inputs": ["a", "b"]}, 422, "/rerank"),
        ("/api/embed", {"model": "all-minilm"}, 400, "`input`"),
        ("/v1/embeddings", {"input": [1, "a"]}, 400, "`input` must be a string"),
        ("/v1/embeddings", {"input": [1, 99_999_999]}, 400, "token ids"),
        ("/v1/embeddings", {"input": [[]]}, 400, "`input` cannot have an empty text"),
        ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, 400, "`encoding_format` must be"),
        ("/v1/rerank", {"query": "a", "documents": []}, 400, "`documents` cannot be empty"),
        ("/v1/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, 400, "`top_n` must be"),
        (
            "/v1/chat/completions",
            {"model": MINILM, "messages": [{"role": "user", "content": "a"}]},
            400,
            "has the task",
        ),
    ],
)
def test_bad_input(ask, path, body, status, words) -> None:
    said = ask(path, body, status)["error"]
    assert words in (said if isinstance(said, str) else said["message"])


def test_many_clients_get_what_one_gets(ask) -> None:
    texts = [f"Sentence number {index} " + "and more of it " * (index % 7) for index in range(48)]
    body = {"input": texts}
    wanted = [row["embedding"] for row in ask("/v1/embeddings", body)["data"]]
    with ThreadPoolExecutor(24) as clients:
        found = list(clients.map(lambda text: ask("/embed", {"inputs": text})[0], texts))
    for one, other in zip(found, wanted, strict=True):
        assert sum(a * b for a, b in zip(one, other, strict=True)) > 0.9999


def test_kept_answers_and_the_ledger(server: Server, ask) -> None:
    asked = {"inputs": "kept for later"}
    for compute in ("cpu", "cache"):
        status, headers, _ = post(server.url, "/embed", asked, server.token)
        assert (status, headers["x-compute-type"]) == (200, compute)
    assert headers["x-sha"]
    rows = [row for row in ledger(server.data_dir) if row["task"] == "feature-extraction"][-2:]
    assert [(row["model"], row["prompt_tokens"]) for row in rows] == [(MINILM, 5), (MINILM, 0)]


def test_a_cross_encoder(ask, encoders: Path) -> None:
    from tests.tiny_encoders import PAIRS

    logits = [row[0] for row in expected(encoders / "ranker")["pairs"]]
    for (query, text), logit in zip(PAIRS, logits, strict=True):
        asked = {"query": query, "texts": [text], "raw_scores": True, "truncate": True}
        assert ask("/models/tiny/ranker/rerank", asked) == [{"index": 0, "score": near(logit, abs=1e-3)}]
    ranked = ask("/models/tiny/ranker", {"inputs": {"query": PAIRS[0][0], "texts": [text for _, text in PAIRS]}})
    assert [one["score"] for one in ranked] == sorted((one["score"] for one in ranked), reverse=True)
    assert (
        "makes no vectors"
        in ask("/models/tiny/ranker/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, 422)["error"]
    )


def test_the_pages_of_a_model(server: Server) -> None:
    info = json.loads(get(server.url, f"/models/{MINILM}/info")[1])
    assert info["model_type"] == {"embedding": {}}
    assert (info["max_input_length"], info["max_client_batch_size"]) == (256, 2048)
    assert MINILM in [model["name"] for model in json.loads(get(server.url, "/api/tags")[1])["models"]]
    shown = json.loads(post(server.url, "/api/show", {"model": "all-minilm"}, server.token)[2])
    assert shown["capabilities"] == ["embedding"]
    hub = json.loads(get(server.url, f"/api/models/{MINILM}")[1])
    assert hub["pipeline_tag"] == "sentence-similarity"
    assert "feature-extraction" in hub["tags"]
    assert json.loads(get(server.url, "/framework/sentence-transformers")[1])


def test_labels(ask) -> None:
    labels = ask("/models/tiny/labels/predict", {"inputs": "The dog sits."})
    assert sorted(one["label"] for one in labels) == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert sum(one["score"] for one in labels) == near(1.0)
    assert ask("/models/tiny/labels/predict", {"inputs": [["The dog sits."], ["Rain"]]})[0] == labels


def test_a_bare_encoder_has_vectors_of_tokens(ask) -> None:
    one = ask("/models/tiny/plain", {"inputs": "The dog sits."})
    assert (len(one), len(one[0][0])) == (1, 32)
    assert ask("/models/tiny/plain", {"inputs": ["The dog sits."]}) == [near_nested(one)]
    pooled = ask("/models/tiny/plain/v1/embeddings", {"input": "The dog sits.", "normalize": False})["data"][0][
        "embedding"
    ]
    assert pooled == near([sum(column) / len(one[0]) for column in zip(*one[0], strict=True)])


def near_nested(tokens: list) -> list:
    return [[near(row) for row in text] for text in tokens]


def test_the_entry_names_a_package() -> None:
    from pronto.catalog.entries import curated

    [entry] = [table for table in curated().tables if table["id"] == MINILM]
    assert entry["folder"].startswith(PACKAGE)
