"""The official clients' methods for texts and tables, unmodified: what they return, or raise, of our answers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.clients.conftest import Clients
from tests.e2e.http import post
from tests.e2e.server import Server, make_account
from tests.text_models import ROWS, write_catalog

AT_ONCE = 2  # loads; each imports torch
FIRST = {
    "tiny/nli": {"inputs": "a", "parameters": {"candidate_labels": ["b", "c"]}},
    "tiny/ranking": {"query": "a", "texts": ["b"]},
    "tiny/questions": {"question": "a", "context": "b"},
    "tiny/masks": {"inputs": "[MASK]"},
    "tiny/translation": {"inputs": "a", "parameters": {"tgt_lang": "fr", "max_new_tokens": 1}},
    "tiny/talk": {"inputs": {"text": "a"}, "parameters": {"max_new_tokens": 1}},
    "tiny/tables": {"query": "a", "table": {"b": ["c"]}},
    "tiny/classes": {"table": ROWS},
    "tiny/numbers": {"table": ROWS},
}


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    data = tmp_path_factory.mktemp("text-data")
    token = make_account(data, "alice")
    folders = write_catalog(data, tmp_path_factory.mktemp("text-models"))
    running = Server(data, env={"PRONTO_LOAD_TIMEOUT": "300"})
    running.token = token

    def load(model):
        body = FIRST.get(model, {"inputs": "a"})
        return post(running.url, f"/models/{model}", body, token, timeout=300, x_wait_for_model="1")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for status, _, body in pool.map(load, folders):
            assert status == 200, body
    yield Clients(running, tmp_path_factory.mktemp("text-home"))
    running.stop()


@pytest.fixture(scope="module", params=["0.24.7", "2.4.0"])
def hub(request, clients):
    variables = {"HF_ENDPOINT": clients.server.url, "HF_INFERENCE_ENDPOINT": clients.server.url}
    return clients.report(f"hub-{request.param}", "ask_text_tasks.py", **variables)


@pytest.fixture(scope="module", params=["2.7.0", "4.13.30"])
def javascript(request, clients):
    return clients.report(f"js-{request.param}", "ask_text_tasks.mjs", version=request.param)


pytestmark = pytest.mark.timeout(600)


def is_old(report):
    return report["version"].startswith(("0.", "2.7"))


def test_labels(hub):
    labels = hub["text_classification"]
    assert {each["label"] for each in labels} == {"POSITIVE", "NEUTRAL", "NEGATIVE"}
    assert sum(each["score"] for each in labels) == pytest.approx(1)
    assert hub["async"] == labels
    assert len(hub["text_classification_top"]) == (3 if is_old(hub) else 1)


def test_entities(hub):
    assert hub["token_classification"]
    for each in hub["token_classification"]:
        assert each["entity_group"] in ("PER", "LOC")
        assert each["word"]
        assert 0 <= each["start"] < each["end"] <= 37
    if not is_old(hub):
        assert {each["entity"] for each in hub["token_classification_none"]} <= {
            "O",
            "B-PER",
            "I-PER",
            "B-LOC",
            "I-LOC",
        }


def test_answers(hub):
    found = hub["question_answering"]
    assert found["answer"] == "My name is Anna and I am from Berlin."[found["start"] : found["end"]]
    if not is_old(hub):
        assert len(hub["question_answering_several"]) == 2


def test_answers_from_tables(hub):
    found = hub["table_question_answering"]
    assert {"answer", "coordinates", "cells", "aggregator"} <= found.keys()


@pytest.mark.parametrize("name", ["zero_shot_classification", "zero_shot_classification_multi"])
def test_labels_by_name(hub, name):
    found = hub[name]
    assert {each["label"] for each in found} == {"a city", "food"}
    assert found[0]["score"] >= found[1]["score"]
    if name == "zero_shot_classification":
        assert sum(each["score"] for each in found) == pytest.approx(1)


def test_masks(hub):
    assert len(hub["fill_mask"]) == 5
    assert hub["fill_mask"][0].keys() >= {"score", "token", "token_str", "sequence"}
    if not is_old(hub):
        assert [each["token_str"] for each in hub["fill_mask_targets"]] == ["dog"]


def test_texts(hub):
    for name, field in (
        ("summarization", "summary_text"),
        ("summarization_parameters", "summary_text"),
        ("translation", "translation_text"),
    ):
        assert isinstance(hub[name][field], str)
    # With random weights a translation may be empty; that it is the model's own is shown in tests/contract.
    assert hub["text_generation"]
    assert "tgt_lang" in hub.raised("translation_without")["message"]


def test_rows(hub):
    assert list(map(int, hub["tabular_classification"])) == [0, 1]
    if is_old(hub):
        assert hub["tabular_regression"] == pytest.approx([7.0, 19.0])


def test_the_old_conversation(hub):
    if is_old(hub):
        first, second = hub["conversational"], hub["conversational_more"]
        assert first["conversation"]["past_user_inputs"] == ["Hello"]
        assert second["conversation"]["generated_responses"] == ["b", second["generated_text"]]


@pytest.mark.parametrize(
    ("name", "words"), [("wrong_task", "inputs"), ("no_mask", "[MASK]"), ("too_long", "64 tokens")]
)
def test_errors(hub, name, words):
    error = hub.raised(name)
    assert error["status"] == 422
    assert words in error["message"]


def test_javascript_labels(javascript):
    assert {each["label"] for each in javascript["textClassification"]} == {"POSITIVE", "NEUTRAL", "NEGATIVE"}
    assert javascript["tokenClassification"]
    assert all(each["entity_group"] in ("PER", "LOC") for each in javascript["tokenClassification"])
    by_name = javascript["zeroShotClassification"]
    if is_old(javascript):
        assert set(by_name[0]["labels"]) == {"a city", "food"}
    else:
        assert {each["label"] for each in by_name} == {"a city", "food"}


def test_javascript_answers(javascript):
    assert javascript["questionAnswering"].keys() >= {"answer", "score", "start", "end"}
    assert isinstance(javascript["tableQuestionAnswering"]["aggregator"], str)
    assert len(javascript["fillMask"]) == 5


def test_javascript_texts(javascript):
    assert isinstance(javascript["summarization"]["summary_text"], str)
    assert isinstance(javascript["translation"]["translation_text"], str)
    assert len(javascript["translationOfTwo"]) == 2


def test_javascript_rows(javascript):
    assert javascript["tabularClassification"] == [0, 1]
    assert javascript["tabularRegression"] == pytest.approx([7.0, 19.0])


def test_javascript_errors(javascript):
    for name, words in (("noMask", "[MASK]"), ("noLabels", "candidate_labels")):
        error = javascript.raised(name)
        assert words in error["message"]
        assert error["status"] in (422, None)
