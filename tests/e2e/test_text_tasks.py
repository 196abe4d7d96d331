"""Text and table tasks over a real server: workers of transformers and scikit-learn, bodies as clients send them."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.http import eventually, ledger, post
from tests.e2e.server import Server, make_account
from tests.text_models import ROWS, write_catalog

SENTIMENT, WRITER, CLASSES = "tiny/sentiment", "tiny/text2text", "tiny/classes"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    data = tmp_path_factory.mktemp("text-data")
    token = make_account(data, "alice")
    folders = write_catalog(data, tmp_path_factory.mktemp("text-models"), SENTIMENT, WRITER, CLASSES)
    running = Server(data)
    running.token, running.folders = token, folders
    with ThreadPoolExecutor(3) as pool:  # they load together
        asked = [(SENTIMENT, {"inputs": "a"}), (WRITER, WRITE), (CLASSES, {"table": ROWS})]
        for status, _, body in pool.map(lambda each: ask(running, *each), asked):
            assert status == 200, body
    yield running
    assert running.stop() == 0


WRITE = {"inputs": "Once upon a time", "parameters": {"max_new_tokens": 6, "min_new_tokens": 6}}


def ask(server: Server, model: str, body: object, path: str = "/models/{}", **headers: str):
    sent = {"x_wait_for_model": "1"} | headers
    return post(server.url, path.format(model), body, server.token, timeout=110, **sent)


def library(folder: Path, text: str) -> dict[str, float]:
    from transformers import pipeline

    said = pipeline("text-classification", model=str(folder), device="cpu")(text, top_k=None)
    return {each["label"]: each["score"] for each in said}


def test_labels_are_the_library_s_and_tokens_are_counted(server: Server) -> None:
    status, headers, body = ask(server, SENTIMENT, {"inputs": "The dog does not mind."})
    assert status == 200
    [row] = json.loads(body)
    wanted = library(server.folders[SENTIMENT], "The dog does not mind.")
    assert {label["label"]: label["score"] for label in row} == pytest.approx(wanted, abs=1e-4)
    assert headers["content-type"] == "application/json"
    assert headers["x-compute-characters"] == "22"
    assert int(headers["x-prompt-tokens"]) > 6
    row = eventually(
        lambda: next((r for r in ledger(server.data_dir) if r["request_id"] == headers["x-request-id"]), 0)
    )
    assert row["prompt_tokens"] == int(headers["x-prompt-tokens"])


def test_many_clients_share_batches_and_get_their_own_answers(server: Server) -> None:
    texts = [f"The model says {n} times {n % 7}" + " and no" * (n % 5) for n in range(40)]
    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda text: ask(server, SENTIMENT, {"inputs": text}, x_use_cache="0"), texts))
    for text, (status, _, body) in zip(texts, said, strict=True):
        assert status == 200, body
        if text.endswith("no"):
            continue
        alone = json.loads(ask(server, SENTIMENT, {"inputs": text}, x_use_cache="0")[2])[0]
        assert [label["score"] for label in json.loads(body)[0]] == pytest.approx([e["score"] for e in alone], abs=1e-4)


def test_the_same_question_is_answered_from_the_cache(server: Server) -> None:
    _, first, one = ask(server, SENTIMENT, {"inputs": "once more"})
    _, second, two = ask(server, SENTIMENT, {"inputs": "once more"})
    assert one == two
    assert (first["x-compute-type"], second["x-compute-type"]) == ("cpu", "cache")


def test_texts_and_conversations_of_a_text_to_text_model(server: Server) -> None:
    status, headers, body = ask(server, WRITER, WRITE, x_use_cache="0")
    assert status == 200, body
    assert list(json.loads(body)[0]) == ["generated_text"]
    assert headers["x-generated-tokens"] == "6"
    turn = {"inputs": {"text": "Hi", "past_user_inputs": ["a"], "generated_responses": ["b"]}, "parameters": {}}
    for path in ("/models/{}", "/pipeline/conversational/{}"):
        said = json.loads(ask(server, WRITER, turn, path)[2])
        assert said["conversation"]["past_user_inputs"] == ["a", "Hi"]
        assert said["conversation"]["generated_responses"] == ["b", said["generated_text"]]
    short = {"inputs": "Hello", "parameters": {"max_length": 4}}
    [summary] = json.loads(ask(server, WRITER, short, "/pipeline/summarization/{}")[2])
    assert list(summary) == ["summary_text"]


def test_rows_of_a_table(server: Server) -> None:
    for body in ({"table": ROWS}, {"inputs": {"data": {name: list(map(str, cells)) for name, cells in ROWS.items()}}}):
        status, _, said = ask(server, CLASSES, body)
        assert (status, json.loads(said)) == (200, [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (SENTIMENT, {"inputs": "a " * 500}, ("`inputs`", "64 tokens")),
        (SENTIMENT, {"inputs": []}, ("`inputs`", "empty")),
        (SENTIMENT, {}, ("inputs",)),
        (WRITER, {"inputs": "a", "parameters": {"num_beams": 99}}, ("`num_beams`", "16")),
        (WRITER, {"inputs": "a", "parameters": {"tgt_lang": "fr"}}, ("`tgt_lang`", "en_to_de")),
        (WRITER, {"inputs": "a", "stream": True}, ("`stream`",)),
        (CLASSES, {"table": {"length": [1]}}, ("`width`", "missing")),
        (CLASSES, {"table": {"length": ["long"], "width": [1]}}, ("length", "float")),
    ],
)
def test_bad_input_is_told_what_is_wrong_and_harms_nobody(server: Server, model: str, body: dict, words: tuple) -> None:
    status, _, said = ask(server, model, body)
    error = json.loads(said)
    assert status == 422
    assert error["error_type"] == "validation"
    assert all(word in error["error"] for word in words), error


def test_a_task_that_the_model_does_not_do(server: Server) -> None:
    status, _, said = ask(server, SENTIMENT, {"inputs": "a"}, "/pipeline/fill-mask/{}")
    assert status == 422
    assert "text-classification" in json.loads(said)["error"]
    body = {"inputs": "a", "parameters": {"candidate_labels": ["b", "c"]}}
    status, _, said = ask(server, SENTIMENT, body, "/pipeline/zero-shot-classification/{}")
    assert (status, "entailment" in said) == (422, True)


def test_nothing_of_a_request_is_in_the_log(server: Server) -> None:
    ask(server, SENTIMENT, {"inputs": "sesame " * 200})
    ask(server, CLASSES, {"table": {"length": ["sesame"], "width": [1]}})
    assert "sesame" not in server.log.read_text()
    assert server.token not in server.log.read_text()
