"""Requests and answers of tasks on images, as each client sends and reads them."""

import array
import base64
import json
from typing import Any

import msgspec
import pytest

from pronto.core.errors import InvalidInput
from pronto.core.events import Done, Output, Usage
from pronto.core.labels import Label, Labels
from pronto.core.media import MadeMedia, Media, media_in, with_media
from pronto.core.request import ChatPrompt, Message, Picture, TextGeneration
from pronto.core.tasks import Task
from pronto.core.vision_work import (
    AskDocument,
    AskImage,
    Box,
    CaptionImage,
    Captions,
    ClassifyImage,
    Decoding,
    Depth,
    DescribeImage,
    DetectObjects,
    ImageAnswer,
    ImageAnswers,
    ImageVectors,
    MatchLabels,
    Objects,
    Seen,
    Segment,
    SegmentImage,
    Segments,
    Word,
)
from pronto.wire.base import Call
from pronto.wire.hf.dialect import HfDialect
from pronto.wire.media import is_one_file, media_of
from tests.unit.wire_cases import BOUNDS, HUB_OLD, JS, raw, started

DATA = b"\x89PNG, more or less"
TEXT = base64.b64encode(DATA).decode()
IMAGE = media_of(DATA)
HF = HfDialect(BOUNDS)


def decode(task: Task, body: object, agent: str = "", **headers: str) -> Call:
    asked = raw(body, headers={"user-agent": agent} | headers)
    return HF.decode(msgspec.structs.replace(asked, task=task))


def work(task: Task, body: object, agent: str = "", **headers: str) -> Any:
    """With the image named as if it had come as `inputs`, so that it can be compared."""
    asked = decode(task, body, agent, **headers).request.work
    return with_media(asked, lambda media: msgspec.structs.replace(media, name="inputs", type=""))


def written(task: Task, value: Any, body: object | None = None, agent: str = "") -> Any:
    encoder = HF.encoder(decode(task, DATA if body is None else body, agent))
    answer = b"".join(encoder.feed(event) for event in (started(), Output(value), Done(Usage(images=1))))
    assert (b"content-type", b"application/json") in encoder.headers
    return json.loads(answer)


@pytest.mark.parametrize(
    "body",
    [
        DATA,
        {"inputs": TEXT},
        {"inputs": TEXT, "parameters": {}, "options": {"wait_for_model": True}},
        {"inputs": {"image": TEXT}},
        {"image": TEXT, "parameters": None},
        {"inputs": f"data:image/png;base64,{TEXT}"},
        {"inputs": "\r\n".join(TEXT[at : at + 8] for at in range(0, len(TEXT), 8))},
    ],
)
def test_an_image_is_found_wherever_clients_put_it(body):
    assert work(Task.IMAGE_CLASSIFICATION, body) == ClassifyImage(image=IMAGE)


def test_parameters_of_each_task():
    def asked(task: Task, **parameters: object) -> Any:
        return work(task, {"inputs": TEXT, "parameters": parameters | {"unknown": 1, "subtask_x": None}})

    assert asked(Task.IMAGE_CLASSIFICATION, top_k=3, function_to_apply="sigmoid") == ClassifyImage(
        image=IMAGE, top_k=3, function="sigmoid"
    )
    assert asked(Task.OBJECT_DETECTION, threshold=0) == DetectObjects(image=IMAGE, threshold=0)
    given = {"threshold": 0.1, "mask_threshold": 0.2, "overlap_mask_area_threshold": 0, "subtask": "semantic"}
    assert asked(Task.IMAGE_SEGMENTATION, **given) == SegmentImage(
        image=IMAGE, threshold=0.1, mask_threshold=0.2, overlap_threshold=0, subtask="semantic"
    )
    assert asked(Task.IMAGE_TO_TEXT, max_new_tokens=5).decoding == Decoding(max_new_tokens=5)
    caption = asked(Task.IMAGE_TO_TEXT, generate_kwargs={"num_beams": 2, "max_length": 9}, prompt="a", seed=4)
    assert caption == CaptionImage(image=IMAGE, prompt="a", decoding=Decoding(num_beams=2), seed=4)
    assert asked(Task.IMAGE_FEATURE_EXTRACTION, pool=True) == DescribeImage(image=IMAGE, pooled=True)


@pytest.mark.parametrize(
    ("body", "agent"),
    [
        ({"image": TEXT, "parameters": {"candidate_labels": "cat, a dog"}}, HUB_OLD),
        ({"inputs": TEXT, "parameters": {"candidate_labels": ["cat", "a dog"]}}, "hf_hub/2.4.0"),
        ({"inputs": {"image": TEXT}, "parameters": {"candidate_labels": ["cat", "a dog"]}}, JS),
    ],
)
def test_labels_of_every_client(body, agent):
    expected = MatchLabels(image=IMAGE, labels=("cat", "a dog"))
    assert work(Task.ZERO_SHOT_IMAGE_CLASSIFICATION, body, agent) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"question": "what?", "image": TEXT},
        {"inputs": TEXT, "parameters": {}, "question": "what?", "image": TEXT},
        {"inputs": {"question": "what?", "image": TEXT}},
    ],
)
def test_questions_of_every_client(body):
    assert work(Task.VISUAL_QUESTION_ANSWERING, body) == AskImage(image=IMAGE, question="what?")
    assert work(Task.DOCUMENT_QUESTION_ANSWERING, body) == AskDocument(image=IMAGE, question="what?")


@pytest.mark.parametrize(
    "words", [[["a", [0, 1, 2, 3]], ["b", [4.0, 5, 1000, 6]]], ["a", [0, 1, 2, 3], "b", [4, 5, 1000, 6]]]
)
def test_words_of_a_page(words):
    body = {"inputs": {"question": "what?", "image": TEXT}, "parameters": {"word_boxes": words, "top_k": 2}}
    asked = work(Task.DOCUMENT_QUESTION_ANSWERING, body)
    assert asked.words == (Word("a", (0, 1, 2, 3)), Word("b", (4, 5, 1000, 6)))
    assert asked.top_k == 2


GOOD: dict[str, Any] = {"inputs": TEXT, "question": "what?"}
REFUSED: tuple[tuple[Task, dict[str, Any], str], ...] = (
    (Task.IMAGE_CLASSIFICATION, {"top_k": -1}, "top_k"),
    (Task.IMAGE_CLASSIFICATION, {"top_k": 10**6}, "top_k"),
    (Task.IMAGE_CLASSIFICATION, {"top_k": 1.5}, "parameters.top_k"),
    (Task.OBJECT_DETECTION, {"threshold": 1.1}, "threshold"),
    (Task.OBJECT_DETECTION, {"threshold": "high"}, "parameters.threshold"),
    (Task.IMAGE_SEGMENTATION, {"subtask": "some"}, "subtask"),
    (Task.IMAGE_SEGMENTATION, {"overlap_mask_area_threshold": -1}, "overlap_mask_area_threshold"),
    (Task.ZERO_SHOT_IMAGE_CLASSIFICATION, {}, "candidate_labels"),
    (Task.ZERO_SHOT_IMAGE_CLASSIFICATION, {"candidate_labels": []}, "candidate_labels"),
    (Task.ZERO_SHOT_IMAGE_CLASSIFICATION, {"candidate_labels": ["a", ""]}, "candidate_labels"),
    (Task.ZERO_SHOT_IMAGE_CLASSIFICATION, {"candidate_labels": ["a"] * 1000}, "candidate_labels"),
    (Task.ZERO_SHOT_IMAGE_CLASSIFICATION, {"candidate_labels": [1]}, "parameters.candidate_labels[0]"),
    (
        Task.ZERO_SHOT_IMAGE_CLASSIFICATION,
        {"candidate_labels": ["a"], "hypothesis_template": "x" * 9000},
        "hypothesis_template",
    ),
    (Task.IMAGE_TO_TEXT, {"max_new_tokens": 0}, "max_new_tokens"),
    (Task.IMAGE_TO_TEXT, {"max_new_tokens": 10**6}, "max_new_tokens"),
    (Task.IMAGE_TO_TEXT, {"generation_parameters": {"temperature": 0}}, "temperature"),
    (Task.IMAGE_TO_TEXT, {"generation_parameters": {"num_beams": 100}}, "num_beams"),
    (Task.IMAGE_TO_TEXT, {"seed": -1}, "seed"),
    (Task.DOCUMENT_QUESTION_ANSWERING, {"word_boxes": [["a", [0, 0, 2000, 1]]]}, "word_boxes"),
    (Task.DOCUMENT_QUESTION_ANSWERING, {"word_boxes": [["a", [9, 0, 1, 1]]]}, "word_boxes"),
    (Task.DOCUMENT_QUESTION_ANSWERING, {"word_boxes": ["a"] * 100_000}, "word_boxes"),
    (Task.DOCUMENT_QUESTION_ANSWERING, {"word_boxes": [["a"]]}, "word_boxes"),
    (Task.DOCUMENT_QUESTION_ANSWERING, {"max_answer_len": 0}, "max_answer_len"),
)


@pytest.mark.parametrize(("task", "parameters", "field"), REFUSED)
def test_a_refusal_names_the_field(task, parameters, field):
    with pytest.raises(InvalidInput) as caught:
        decode(task, GOOD | {"parameters": parameters})
    assert caught.value.param == field
    assert field.split(".")[-1].split("[")[0] in caught.value.message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "inputs"),
        ({}, "inputs"),
        ({"inputs": 3}, "inputs"),
        ({"inputs": {"image": "?"}}, "inputs.image"),
        ({"inputs": TEXT}, "question"),
        ({"inputs": {"image": TEXT, "question": 3}}, "question"),
        ({"inputs": TEXT, "question": " "}, "question"),
        ({"inputs": TEXT, "question": "x" * 10_000}, "question"),
    ],
)
def test_a_question_needs_an_image_and_words(body, field):
    with pytest.raises(InvalidInput) as caught:
        decode(Task.VISUAL_QUESTION_ANSWERING, body)
    assert caught.value.param == field


def test_a_url_is_handed_on_to_whoever_may_fetch_it():
    for body in (b"https://example.org/a.png", {"inputs": "https://example.org/a.png"}):
        (media,) = media_in(decode(Task.IMAGE_CLASSIFICATION, body).request.work)
        assert (media.url, media.data) == ("https://example.org/a.png", b"")


def test_a_form_has_its_file_and_its_fields():
    lines = (
        b'--X\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n',
        DATA + b'\r\n--X\r\nContent-Disposition: form-data; name="candidate_labels"\r\n\r\n',
        b'["cat", "dog"]\r\n--X--\r\n',
    )
    kind = {"content-type": "multipart/form-data; boundary=X"}
    asked = work(Task.ZERO_SHOT_IMAGE_CLASSIFICATION, b"".join(lines), **kind)
    assert asked == MatchLabels(image=IMAGE, labels=("cat", "dog"))
    assert not is_one_file(b"".join(lines), kind)


def test_which_bodies_are_files_as_they_are():
    assert is_one_file(DATA, {"content-type": "application/json"})
    assert not is_one_file(b'  {"inputs": 1}', {"content-type": "image/png"})


def test_answers():
    labels = Labels(((Label("cat", 0.75), Label("dog", 0.25)),))
    assert written(Task.IMAGE_CLASSIFICATION, labels) == [
        {"label": "cat", "score": 0.75},
        {"label": "dog", "score": 0.25},
    ]
    seen = Objects((Seen("cat", 0.5, Box(1, 2, 3, 4)),))
    box = {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}
    assert written(Task.OBJECT_DETECTION, seen) == [{"label": "cat", "score": 0.5, "box": box}]
    found = written(Task.IMAGE_SEGMENTATION, Segments((Segment("sky", b"png"), Segment("cat", b"png", 0.5))))
    mask = base64.b64encode(b"png").decode()
    assert found == [{"label": "sky", "mask": mask}, {"label": "cat", "mask": mask, "score": 0.5}]
    depth = Depth(MadeMedia(data=b"png", type="image/png"), array.array("f", [1, 2, 3, 4, 5, 6]).tobytes(), (2, 3))
    assert written(Task.DEPTH_ESTIMATION, depth) == {"predicted_depth": [[1, 2, 3], [4, 5, 6]], "depth": mask}
    vectors = ImageVectors(array.array("f", [1, 2, 3, 4]).tobytes(), (2, 2))
    assert written(Task.IMAGE_FEATURE_EXTRACTION, vectors) == [[[1, 2], [3, 4]]]
    pooled = ImageVectors(array.array("f", [1, 2]).tobytes(), (2,))
    assert written(Task.IMAGE_FEATURE_EXTRACTION, pooled) == [1, 2]


def test_answers_to_questions_leave_out_what_is_not_known():
    answers = ImageAnswers((ImageAnswer("a", 0.5, 3, 4), ImageAnswer("b")))
    body = {"inputs": TEXT, "question": "what?"}
    assert written(Task.DOCUMENT_QUESTION_ANSWERING, answers, body) == [
        {"answer": "a", "score": 0.5, "start": 3, "end": 4},
        {"answer": "b"},
    ]


def test_a_caption_is_a_list_but_for_the_client_that_takes_an_object():
    captions = Captions(("a cat",))
    assert written(Task.IMAGE_TO_TEXT, captions, agent=HUB_OLD) == [{"generated_text": "a cat"}]
    assert written(Task.IMAGE_TO_TEXT, captions, agent="node") == [{"generated_text": "a cat"}]
    assert written(Task.IMAGE_TO_TEXT, captions, agent=JS) == {"generated_text": "a cat"}


def test_media_of_a_conversation_are_found_and_changed_in_place():
    said = tuple(Message(role="user", content="hm", pictures=(Picture(media_of(bytes([at])), at),)) for at in (1, 2))
    asked = TextGeneration(prompt=ChatPrompt(messages=said))
    assert [media.data for media in media_in(asked)] == [b"\1", b"\2"]
    assert with_media(asked, lambda media: media) is asked
    changed = with_media(asked, lambda media: Media(digest=media.digest, size=0))
    assert [
        (picture.media.data, picture.at) for message in changed.prompt.messages for picture in message.pictures
    ] == [
        (b"", 1),
        (b"", 2),
    ]
