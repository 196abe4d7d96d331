"""The heads that read a text, through the engine: what they say is what transformers says, alone and in a batch."""

import functools
from typing import Any

import numpy as np
import pytest

from pronto.core.tasks import Task
from pronto.core.text_work import (
    AnswerQuestions,
    ClassifyByName,
    ClassifyText,
    ClassifyTokens,
    FillMasks,
    Question,
)
from pronto.core.vector_work import Rank
from tests.contract.text_scene import Asker, folder_of, model_of

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Paris",
    "A model reads the text one token at a time and says which token it thinks comes next, and then it ends.",
)
# No two of its windows are the same, so that none ties with another.
LONG = " ".join(f"My name is Anna {n}, I am from Berlin." for n in range(30))


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory):
    base = tmp_path_factory.getbasetemp() / "tiny-text"

    @functools.cache
    def make(kind: str, task: Task) -> Asker:
        return Asker(model_of(folder_of(base, kind), task))

    return make


def library(asker: Asker, task: str, **options: Any) -> Any:
    from transformers import pipeline

    return pipeline(task, model=asker.model.folder, device="cpu", **options)


def pairs(labels: Any) -> list[list[tuple[str, float]]]:
    return [[(label.label, label.score) for label in row] for row in labels.rows]


def same(found: list[tuple[str, float]], wanted: list[tuple[str, float]]) -> None:
    assert [name for name, _ in found] == [name for name, _ in wanted]
    np.testing.assert_allclose([score for _, score in found], [score for _, score in wanted], atol=2e-5)


@pytest.mark.parametrize("function", [None, "sigmoid", "softmax", "none"])
def test_classification_is_the_library_s(ask, function: str | None) -> None:
    asker = ask("sentiment", Task.TEXT_CLASSIFICATION)
    options = {} if function is None else {"function_to_apply": function}
    wanted = library(asker, "text-classification")(list(TEXTS), top_k=None, **options)
    found = pairs(asker.one(ClassifyText(texts=TEXTS, function=function)))
    for row, expected in zip(found, wanted, strict=True):
        same(row, [(each["label"], each["score"]) for each in expected])


def test_a_batch_of_several_requests_says_what_each_says_alone(ask) -> None:
    asker = ask("sentiment", Task.TEXT_CLASSIFICATION)
    works = [ClassifyText(texts=(text,), top_k=2) for text in TEXTS]
    for alone, together in zip([asker.one(work) for work in works], asker.ask(*works), strict=True):
        same(pairs(alone)[0], pairs(together)[0])
        assert len(alone.rows[0]) == 2


@pytest.mark.parametrize("multi_label", [False, True])
def test_labels_by_name_are_the_library_s(ask, multi_label: bool) -> None:
    asker = ask("nli", Task.ZERO_SHOT_CLASSIFICATION)
    labels, template = ("a city", "food", "a machine"), "This text is about {}."
    work = ClassifyByName(texts=TEXTS, labels=labels, multi_label=multi_label, template=template)
    wanted = library(asker, "zero-shot-classification")(
        list(TEXTS), list(labels), multi_label=multi_label, hypothesis_template=template
    )
    for row, expected in zip(pairs(asker.one(work)), wanted, strict=True):
        same(row, list(zip(expected["labels"], expected["scores"], strict=True)))


def test_one_name_is_judged_against_its_contradiction(ask) -> None:
    asker = ask("nli", Task.ZERO_SHOT_CLASSIFICATION)
    wanted = library(asker, "zero-shot-classification")(TEXTS[0], ["food"])
    same(pairs(asker.one(ClassifyByName(texts=TEXTS[:1], labels=("food",))))[0], [("food", wanted["scores"][0])])


def test_a_classifier_without_entailment_is_not_asked_for_names(ask) -> None:
    failed = ask("sentiment", Task.TEXT_CLASSIFICATION).failure(ClassifyByName(texts=("a",), labels=("b", "c")))
    assert failed.kind == "unsupported"
    assert "entailment" in failed.message


def test_a_name_that_is_longer_than_the_model_is_refused(ask) -> None:
    asker = ask("nli", Task.ZERO_SHOT_CLASSIFICATION)
    failed = asker.failure(ClassifyByName(texts=("a",), labels=("fox " * 70,)))
    assert (failed.kind, failed.param) == ("invalid_input", "candidate_labels")
    assert len(asker.one(ClassifyByName(texts=(LONG,), labels=("fox", "dog"))).rows[0]) == 2  # the text is cut


def test_ranking_is_the_head_s_logit_of_each_pair(ask) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    asker = ask("ranking", Task.TEXT_RANKING)
    tokenizer = AutoTokenizer.from_pretrained(asker.model.folder)
    model = AutoModelForSequenceClassification.from_pretrained(asker.model.folder)
    query = "What is the capital of France?"
    with torch.no_grad():
        logits = [model(**tokenizer(query, text, return_tensors="pt")).logits.item() for text in TEXTS]
    raw, scored = asker.ask(Rank(query=query, texts=TEXTS, raw=True), Rank(query=query, texts=TEXTS))
    np.testing.assert_allclose(raw.values, logits, atol=2e-5)
    np.testing.assert_allclose(scored.values, 1 / (1 + np.exp(-np.array(logits))), atol=2e-5)


def test_ranking_needs_one_label_and_cuts_when_told(ask) -> None:
    failed = ask("sentiment", Task.TEXT_CLASSIFICATION).failure(Rank(query="a", texts=("b",)))
    assert failed.kind == "unsupported"
    asker = ask("ranking", Task.TEXT_RANKING)
    assert asker.failure(Rank(query="a", texts=(LONG,), truncate=False)).param == "texts"
    right, left = (
        asker.one(Rank(query="a", texts=("dog " + LONG + " fox",), truncate=True, truncate_left=left))
        for left in (False, True)
    )
    assert right.values != left.values


@pytest.mark.parametrize("aggregation", ["none", "simple", "first", "average", "max"])
def test_entities_are_the_library_s(ask, aggregation: str) -> None:
    asker = ask("names", Task.TOKEN_CLASSIFICATION)
    wanted = library(asker, "token-classification", aggregation_strategy=aggregation, ignore_labels=["B-LOC"])
    found = asker.one(ClassifyTokens(texts=TEXTS, aggregation=aggregation, ignored=("B-LOC",)))
    for text, row in zip(TEXTS, found.rows, strict=True):
        check_entities(row, wanted(text))


def check_entities(row: Any, wanted: list[dict[str, Any]]) -> None:
    assert len(row) == len(wanted)
    for entity, expected in zip(row, wanted, strict=True):
        assert entity.label == expected.get("entity_group", expected.get("entity"))
        assert (entity.word, entity.start, entity.end) == (expected["word"], expected["start"], expected["end"])
        assert entity.index == expected.get("index")
        assert entity.score == pytest.approx(float(expected["score"]), abs=2e-5)


def test_a_long_text_is_read_in_windows(ask) -> None:
    asker = ask("names", Task.TOKEN_CLASSIFICATION)
    wanted = library(asker, "token-classification", aggregation_strategy="simple", stride=20)(LONG)
    found, unasked = asker.ask(
        ClassifyTokens(texts=(LONG, "Paris"), stride=20), ClassifyTokens(texts=(LONG,), ignored=())
    )
    check_entities(found.rows[0], wanted)
    # Nothing is left out where nobody names a stride.
    assert unasked.rows[0][-1].end > len(LONG) - 60


@pytest.mark.parametrize(
    ("work", "param"),
    [
        (ClassifyTokens(texts=("a",), stride=62), "stride"),
        (ClassifyTokens(texts=("a",), stride=3, aggregation="none"), "stride"),
        (ClassifyTokens(texts=(LONG,), aggregation="none"), "inputs"),
        (ClassifyTokens(texts=(LONG * 20,), stride=61), "inputs"),
        (ClassifyTokens(texts=("",)), "inputs"),
    ],
)
def test_windows_that_cannot_be_are_refused(ask, work: ClassifyTokens, param: str) -> None:
    failed = ask("names", Task.TOKEN_CLASSIFICATION).failure(work)
    assert (failed.kind, failed.param) == ("invalid_input", param)


@pytest.mark.parametrize("kind", ["masks", "roberta"])
@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"targets": ["fox", "dog", "Paris"]}])
def test_masks_are_filled_as_by_the_library(ask, kind: str, options: dict[str, Any]) -> None:
    asker = ask(kind, Task.FILL_MASK)
    fill = library(asker, "fill-mask")
    mask = fill.tokenizer.mask_token
    texts = (f"The quick brown {mask} jumps.", f"The {mask} of France is {mask}, says the machine.")
    work = FillMasks(texts=texts, **{name: tuple(v) if isinstance(v, list) else v for name, v in options.items()})
    found = asker.one(work)
    for text, masks in zip(texts, found.rows, strict=True):
        wanted = fill(text, **options)
        wanted = [wanted] if isinstance(wanted[0], dict) else wanted
        assert len(masks) == len(wanted)
        for fillings, expected in zip(masks, wanted, strict=True):
            check_fillings(fillings, expected)


def check_fillings(fillings: Any, wanted: list[dict[str, Any]]) -> None:
    shown = [(each.token, each.text, each.sequence) for each in fillings]
    assert shown == [(each["token"], each["token_str"], each["sequence"]) for each in wanted]
    np.testing.assert_allclose([each.score for each in fillings], [each["score"] for each in wanted], atol=2e-5)


def test_a_text_without_a_mask_is_told_how_the_mask_looks(ask) -> None:
    failed = ask("roberta", Task.FILL_MASK).failure(FillMasks(texts=("no mask",)))
    assert (failed.kind, failed.param) == ("invalid_input", "inputs")
    assert "<mask>" in failed.message


def brute_force(asker: Asker, question: str, context: str, most: int = 15) -> list[tuple[float, int, int]]:
    """Every span of a context that fits one window, straight from the Auto class."""
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asker.model.folder)
    model = AutoModelForQuestionAnswering.from_pretrained(asker.model.folder)
    said = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    offsets, sequence = said.pop("offset_mapping")[0].tolist(), said.sequence_ids(0)
    with torch.no_grad():
        out = model(**said)
    inside = torch.tensor([each == 1 or place == 0 for place, each in enumerate(sequence)])
    start, end = (
        torch.softmax(logits[0].double().masked_fill(~inside, -1e9), 0).tolist()
        for logits in (out.start_logits, out.end_logits)
    )
    spans = [
        (start[i] * end[j], offsets[i][0], offsets[j][1])
        for i in range(len(sequence))
        for j in range(i, min(i + most, len(sequence)))
        if sequence[i] == 1 and sequence[j] == 1
    ]
    return sorted(spans, reverse=True)


def test_answers_are_the_best_spans_of_the_model(ask) -> None:
    asker = ask("questions", Task.QUESTION_ANSWERING)
    context = "The capital of France is Paris, and a spider has eight legs."
    asked = Question("What is the capital of France?", context)
    work = AnswerQuestions(questions=(asked, Question("Who?", "Anna")), top_k=5, whole_words=False, max_answer=6)
    found = asker.one(work).rows[0]
    wanted = brute_force(asker, asked.question, context, 6)[:5]
    assert [(answer.start, answer.end) for answer in found] == [(start, end) for _, start, end in wanted]
    np.testing.assert_allclose([answer.score for answer in found], [score for score, _, _ in wanted], atol=1e-5)
    assert all(answer.answer == context[answer.start : answer.end] for answer in found)


def test_an_answer_is_of_whole_words_unless_told_otherwise(ask) -> None:
    asker = ask("questions", Task.QUESTION_ANSWERING)
    context = "incomprehensibilities unquestionableness Zweibruecken"
    [rows] = [asker.one(AnswerQuestions(questions=(Question("What?", context),), top_k=10)).rows]
    words = {0, *[place + 1 for place, letter in enumerate(context) if letter == " "]}
    assert {answer.start for answer in rows[0]} <= words
    assert len({(answer.start, answer.end) for answer in rows[0]}) == len(rows[0])


def test_the_answer_in_a_long_context_is_that_of_the_best_window(ask) -> None:
    asker = ask("questions", Task.QUESTION_ANSWERING)
    question, window, stride = "Where are you from?", 32, 8
    best = asker.one(
        AnswerQuestions(
            questions=(Question(question, LONG),), max_window=window, stride=stride, whole_words=False, top_k=3
        )
    ).rows[0]
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asker.model.folder)
    said = tokenizer(
        question,
        LONG,
        truncation="only_second",
        max_length=window,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    candidates: dict[tuple[int, int], float] = {}
    for index in range(len(said["input_ids"])):
        places = [p for p, s in zip(said["offset_mapping"][index], said.sequence_ids(index), strict=True) if s == 1]
        begin, end = places[0][0], places[-1][1]
        for score, start, stop in brute_force(asker, question, LONG[begin:end])[:3]:
            place = (begin + start, begin + stop)
            candidates[place] = max(score, candidates.get(place, 0))
    wanted = sorted(((score, place) for place, score in candidates.items()), reverse=True)[:3]
    assert [(answer.start, answer.end) for answer in best] == [place for _, place in wanted]
    np.testing.assert_allclose([answer.score for answer in best], [score for score, _ in wanted], atol=1e-5)


def test_no_answer_is_one_of_them_where_it_may_be(ask) -> None:
    asker = ask("questions", Task.QUESTION_ANSWERING)
    asked = (Question("Who?", "My name is Anna."),)
    with_none, without = (
        asker.one(AnswerQuestions(questions=asked, top_k=50, may_be_impossible=may)).rows[0] for may in (True, False)
    )
    assert sum(answer.answer == "" for answer in with_none) == 1
    assert all(answer.answer for answer in without)


@pytest.mark.parametrize(("options", "param"), [({"stride": 60}, "doc_stride"), ({"max_window": 5}, "question")])
def test_windows_of_a_context_that_cannot_be_are_refused(ask, options: dict[str, Any], param: str) -> None:
    work = AnswerQuestions(questions=(Question("What is it?", LONG),), **options)
    assert ask("questions", Task.QUESTION_ANSWERING).failure(work).param == param


def test_a_context_of_too_many_windows_is_refused(ask) -> None:
    work = AnswerQuestions(questions=(Question("What?", LONG * 10),), stride=50, max_window=60)
    assert ask("questions", Task.QUESTION_ANSWERING).failure(work).param == "context"


def test_a_text_that_is_too_long_is_refused_or_cut(ask) -> None:
    asker = ask("sentiment", Task.TEXT_CLASSIFICATION)
    failed = asker.failure(ClassifyText(texts=(LONG,)))
    assert (failed.kind, failed.param) == ("invalid_input", "inputs")
    assert "64 tokens" in failed.message
    assert asker.usage(ClassifyText(texts=(LONG,), truncate=True)).prompt_tokens == 64


def test_what_was_read_is_counted_in_tokens(ask) -> None:
    from transformers import AutoTokenizer

    asker = ask("sentiment", Task.TEXT_CLASSIFICATION)
    tokens = sum(map(len, AutoTokenizer.from_pretrained(asker.model.folder)(list(TEXTS))["input_ids"]))
    assert asker.usage(ClassifyText(texts=TEXTS)).prompt_tokens == tokens


def test_a_model_is_not_asked_for_what_it_cannot(ask) -> None:
    assert ask("masks", Task.FILL_MASK).failure(ClassifyText(texts=("a",))).kind == "unsupported"
