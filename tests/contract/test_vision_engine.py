"""The engine of images against the libraries' own results, alone and in a batch."""

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from PIL import Image

from pronto.core.events import Usage
from pronto.core.request import Work
from pronto.core.tasks import Task
from pronto.core.vision_work import (
    AskDocument,
    AskImage,
    CaptionImage,
    ClassifyImage,
    Decoding,
    DescribeImage,
    DetectObjects,
    EstimateDepth,
    MatchLabels,
    SegmentImage,
    Word,
)
from pronto.engines.base import Failed
from pronto.engines.vision import places
from tests.contract.vision_scenes import Bench, Zoo, media
from tests.tiny_vision import picture

PAGE = ("invoice", "date", "total", "name", "of", "cat")
WORDS = tuple(Word(text, (at * 60, 10, at * 60 + 50, 30)) for at, text in enumerate(PAGE))
LABELS = ("cat", "a dog", "bird house")
SHORT = Decoding(max_new_tokens=8)
Ask = Callable[[Any], Work]
CASES: tuple[tuple[str, Task, Ask], ...] = (
    ("vit", Task.IMAGE_CLASSIFICATION, lambda image: ClassifyImage(image=image)),
    ("clip", Task.ZERO_SHOT_IMAGE_CLASSIFICATION, lambda image: MatchLabels(image=image, labels=LABELS)),
    ("siglip", Task.ZERO_SHOT_IMAGE_CLASSIFICATION, lambda image: MatchLabels(image=image, labels=LABELS)),
    ("detr", Task.OBJECT_DETECTION, lambda image: DetectObjects(image=image, threshold=0.1)),
    ("yolos", Task.OBJECT_DETECTION, lambda image: DetectObjects(image=image, threshold=0.1)),
    ("segformer", Task.IMAGE_SEGMENTATION, lambda image: SegmentImage(image=image)),
    ("maskformer", Task.IMAGE_SEGMENTATION, lambda image: SegmentImage(image=image, threshold=0.3)),
    ("detr_panoptic", Task.IMAGE_SEGMENTATION, lambda image: SegmentImage(image=image, threshold=0.3)),
    ("blip", Task.IMAGE_TO_TEXT, lambda image: CaptionImage(image=image, decoding=SHORT)),
    ("blip", Task.IMAGE_TO_TEXT, lambda image: CaptionImage(image=image, prompt="a photo of", decoding=SHORT)),
    ("vit_gpt2", Task.IMAGE_TO_TEXT, lambda image: CaptionImage(image=image, decoding=SHORT)),
    ("vit_gpt2", Task.IMAGE_TO_TEXT, lambda image: CaptionImage(image=image, decoding=Decoding(num_beams=3))),
    ("vilt", Task.VISUAL_QUESTION_ANSWERING, lambda image: AskImage(image=image, question="what is this")),
    ("blip_vqa", Task.VISUAL_QUESTION_ANSWERING, lambda image: AskImage(image=image, question="what is this")),
    ("donut", Task.DOCUMENT_QUESTION_ANSWERING, lambda image: AskDocument(image=image, question="the total?")),
    (
        "layoutlm",
        Task.DOCUMENT_QUESTION_ANSWERING,
        lambda image: AskDocument(image=image, question="the total?", words=WORDS, top_k=3),
    ),
    ("dpt", Task.DEPTH_ESTIMATION, lambda image: EstimateDepth(image=image)),
    ("vit", Task.IMAGE_FEATURE_EXTRACTION, lambda image: DescribeImage(image=image)),
)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    return Zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture
def library(zoo):
    """transformers' own pipeline over the same folder."""
    from transformers import pipeline

    def call(name: str, task: Task, *inputs: Any, **parameters: Any) -> Any:
        return pipeline(task.value, model=str(zoo.folder(name)), device="cpu")(*inputs, **parameters)

    return call


def near(value: Any) -> Any:
    """To compare with: numbers within float error, bytes of numbers as numbers."""
    if isinstance(value, float):
        return pytest.approx(value, abs=2e-5, rel=2e-4)
    if isinstance(value, tuple):
        return tuple(near(each) for each in value)
    if isinstance(value, msgspec.Struct):
        return tuple(near(getattr(value, name)) for name in value.__struct_fields__)
    return value


def plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    if isinstance(value, msgspec.Struct):
        return tuple(plain(getattr(value, name)) for name in value.__struct_fields__)
    return value


def differing(one: bytes, other: bytes) -> float:
    """The share of pixels in which two masks differ."""
    pixels, others = (Image.open(io.BytesIO(mask)).tobytes() for mask in (one, other))
    return sum(a != b for a, b in zip(pixels, others, strict=True)) / len(pixels)


def opened(seed: int) -> Image.Image:
    return Image.open(io.BytesIO(picture(seed)))


@pytest.mark.parametrize(("name", "task", "ask"), CASES, ids=[f"{name}-{at}" for at, (name, *_) in enumerate(CASES)])
def test_an_answer_is_the_same_alone_and_in_a_batch(zoo, name, task, ask):
    bench = zoo.bench(name, task)
    works = [ask(media(seed)) for seed in range(4)]
    alone = [bench.run(work)[0] for work in works]
    together = bench.run(*works)
    assert not any(isinstance(value, Failed) for value in alone), alone
    if task in (Task.DEPTH_ESTIMATION, Task.IMAGE_FEATURE_EXTRACTION):
        for one, other in zip(alone, together, strict=True):
            assert one.shape == other.shape
            assert memoryview(one.data).cast("f").tolist() == pytest.approx(
                memoryview(other.data).cast("f").tolist(), abs=1e-5
            )
    elif task is Task.IMAGE_SEGMENTATION:
        for one, other in zip(alone, together, strict=True):
            assert [(each.label, each.score) for each in other.segments] == [
                (each.label, near(each.score)) for each in one.segments
            ]
            for mask, same in zip(one.segments, other.segments, strict=True):
                assert differing(mask.mask, same.mask) < 0.01  # a pixel just at the threshold may fall to either side
    else:
        assert [plain(value) for value in together] == [near(value) for value in alone]


def test_labels_are_those_of_the_library(zoo, library):
    bench = zoo.bench("vit", Task.IMAGE_CLASSIFICATION)
    for parameters in ({}, {"top_k": 2}, {"function_to_apply": "sigmoid"}, {"function_to_apply": "none"}):
        expected = library("vit", Task.IMAGE_CLASSIFICATION, opened(7), **parameters)
        work = ClassifyImage(
            image=media(7), top_k=parameters.get("top_k"), function=parameters.get("function_to_apply")
        )
        (row,) = bench.run(work)[0].rows
        assert [(each.label, each.score) for each in row] == [
            (each["label"], pytest.approx(each["score"], abs=1e-5)) for each in expected
        ]


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_given_labels_are_matched_as_by_the_library(zoo, library, name):
    task = Task.ZERO_SHOT_IMAGE_CLASSIFICATION
    expected = library(name, task, opened(7), candidate_labels=list(LABELS), hypothesis_template="look: {}")
    found = zoo.bench(name, task).run(MatchLabels(image=media(7), labels=LABELS, template="look: {}"))[0]
    assert {each.label: each.score for each in found.rows[0]} == {
        each["label"]: pytest.approx(each["score"], abs=1e-5) for each in expected
    }


@pytest.mark.parametrize("name", ["detr", "yolos"])
def test_objects_are_those_of_the_library(zoo, library, name):
    expected = library(name, Task.OBJECT_DETECTION, opened(7), threshold=0.15)
    found = zoo.bench(name, Task.OBJECT_DETECTION).run(DetectObjects(image=media(7), threshold=0.15))[0]
    assert expected
    assert [(each.label, each.score, msgspec.structs.asdict(each.box)) for each in found.objects] == [
        (each["label"], pytest.approx(each["score"], abs=1e-5), each["box"]) for each in expected
    ]
    assert zoo.bench(name, Task.OBJECT_DETECTION).run(DetectObjects(image=media(7), threshold=1.0))[0].objects == ()


@pytest.mark.parametrize(
    ("name", "subtask"),
    [
        ("segformer", None),
        ("maskformer", None),
        ("maskformer", "semantic"),
        ("maskformer", "instance"),
        ("detr_panoptic", None),
    ],
)
def test_segments_are_those_of_the_library(zoo, library, name, subtask):
    expected = library(name, Task.IMAGE_SEGMENTATION, opened(7), threshold=0.3, subtask=subtask)
    work = SegmentImage(image=media(7), threshold=0.3, subtask=subtask)
    found = zoo.bench(name, Task.IMAGE_SEGMENTATION).run(work)[0].segments
    assert expected
    assert [(each.label, each.score) for each in found] == [
        (each["label"], each["score"] and pytest.approx(each["score"], abs=1e-5)) for each in expected
    ]
    for each, other in zip(found, expected, strict=True):
        mask = Image.open(io.BytesIO(each.mask))
        assert (mask.mode, mask.size, mask.tobytes()) == ("L", (48, 40), other["mask"].tobytes())


def test_maps_of_a_large_image_are_made_small_and_scaled_up(zoo, monkeypatch):
    assert places.bounded((4000, 3000), 1) == (4000, 3000)
    height, width = places.bounded((8000, 5000), 150)
    assert 4 * 150 * height * width <= places.WORKING_BYTES
    assert height / width == pytest.approx(8 / 5, rel=0.01)
    monkeypatch.setattr(places, "WORKING_BYTES", 50_000)
    large = media(7, size=(640, 400))
    (found,) = zoo.bench("segformer", Task.IMAGE_SEGMENTATION).run(SegmentImage(image=large))
    masks = [Image.open(io.BytesIO(each.mask)) for each in found.segments]
    assert {mask.size for mask in masks} == {(640, 400)}
    assert sum(sum(1 for pixel in mask.tobytes() if pixel) for mask in masks) == 640 * 400  # each pixel is in one part
    (depth,) = zoo.bench("dpt", Task.DEPTH_ESTIMATION).run(EstimateDepth(image=large))
    assert Image.open(io.BytesIO(depth.picture.data)).size == (640, 400)


@pytest.mark.parametrize(
    ("name", "subtask", "maps"),
    [
        ("segformer", "semantic", 4),
        ("maskformer", "panoptic", 10),
        ("maskformer", "semantic", 10),
        ("detr_panoptic", "panoptic", 10),
    ],
)
def test_maps_are_counted_from_what_is_scaled_up(zoo, monkeypatch, name, subtask, maps):
    counted = []
    monkeypatch.setattr(places, "bounded", lambda size, count: counted.append(count) or size)
    zoo.bench(name, Task.IMAGE_SEGMENTATION).run(SegmentImage(image=media(7), subtask=subtask))
    assert counted == [maps]


def test_depth_is_that_of_the_library(zoo, library):
    expected = library("dpt", Task.DEPTH_ESTIMATION, opened(7))
    found = zoo.bench("dpt", Task.DEPTH_ESTIMATION).run(EstimateDepth(image=media(7)))[0]
    picture = Image.open(io.BytesIO(found.picture.data))
    assert (picture.size, found.shape) == ((48, 40), (64, 64))
    # A value on the edge between two of the 256 steps may fall to either side.
    difference = max(abs(a - b) for a, b in zip(picture.tobytes(), expected["depth"].tobytes(), strict=True))
    assert difference <= 1


def test_answers_from_words_are_those_of_the_library(zoo, library):
    words = [[word.text, list(word.box)] for word in WORDS * 20]  # more than one span
    task = Task.DOCUMENT_QUESTION_ANSWERING
    for maybe in (False, True):
        expected = library(
            "layoutlm",
            task,
            {"image": opened(7), "question": "what total?", "word_boxes": words},
            top_k=4,
            handle_impossible_answer=maybe,
        )
        work = AskDocument(image=media(7), question="what total?", words=WORDS * 20, top_k=4, may_be_unanswered=maybe)
        found = zoo.bench("layoutlm", task).run(work)[0].answers
        assert [(each.answer, each.start, each.end, each.score) for each in found] == [
            (each["answer"], each["start"], each["end"], pytest.approx(each["score"], abs=1e-6)) for each in expected
        ]


def test_a_caption_is_what_the_model_generates(zoo):
    import torch
    from transformers import AutoImageProcessor, AutoTokenizer, BlipForConditionalGeneration

    folder = zoo.folder("blip")
    model = BlipForConditionalGeneration.from_pretrained(folder).eval()
    image = AutoImageProcessor.from_pretrained(folder)(images=opened(7), return_tensors="pt")
    with torch.inference_mode():
        expected = model.generate(**image, max_new_tokens=8)
    text = AutoTokenizer.from_pretrained(folder).decode(expected[0], skip_special_tokens=True)
    bench = zoo.bench("blip", Task.IMAGE_TO_TEXT)
    assert bench.run(CaptionImage(image=media(7), decoding=SHORT))[0].texts == (text.strip(),)
    assert bench.done(CaptionImage(image=media(7), decoding=SHORT)).usage == Usage(0, 8, images=1)


@pytest.mark.parametrize(
    ("name", "task", "work"),
    [
        ("vit", Task.IMAGE_CLASSIFICATION, ClassifyImage(image=media(1))),
        ("detr", Task.OBJECT_DETECTION, DetectObjects(image=media(1))),
        ("clip", Task.ZERO_SHOT_IMAGE_CLASSIFICATION, MatchLabels(image=media(1), labels=("a", "b"))),
        ("dpt", Task.DEPTH_ESTIMATION, EstimateDepth(image=media(1))),
    ],
)
def test_an_answer_that_is_not_finite_is_a_failure(zoo, name, task, work):
    from safetensors.torch import load_file, save_file

    folder = zoo.copy(name)
    weights = {name: tensor * float("nan") for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (failed,) = Bench(folder, task).run(work)
    assert isinstance(failed, Failed)
    assert (failed.kind, "not finite" in failed.message) == ("generation", True)


def test_a_sampled_text_follows_its_seed(zoo):
    bench = zoo.bench("vit_gpt2", Task.IMAGE_TO_TEXT)
    decoding = Decoding(max_new_tokens=12, do_sample=True, temperature=1.5)

    def work(seed: int) -> Work:
        return CaptionImage(image=media(7), decoding=decoding, seed=seed)

    first, again, other = (value.texts for value in bench.run(work(1), work(1), work(2)))
    assert first == again != other


def test_a_long_text_asks_who_still_waits_at_each_token(zoo):
    bench = zoo.bench("vit_gpt2", Task.IMAGE_TO_TEXT)
    bench.ticks.clear()
    bench.run(CaptionImage(image=media(7), decoding=Decoding(max_new_tokens=20, num_beams=2)))
    assert len(bench.ticks) >= 5
    bench.ticks.clear()
    bench.cancelled = frozenset(range(1000))
    bench.run(CaptionImage(image=media(7), decoding=Decoding(max_new_tokens=20, num_beams=2)))
    bench.cancelled = frozenset()
    assert len(bench.ticks) <= 2


@pytest.mark.parametrize(
    ("name", "task", "work", "param"),
    [
        ("vilt", Task.VISUAL_QUESTION_ANSWERING, AskImage(image=media(1), question="cat " * 60), "question"),
        ("layoutlm", Task.DOCUMENT_QUESTION_ANSWERING, AskDocument(image=media(1), question="what?"), "word_boxes"),
        ("segformer", Task.IMAGE_SEGMENTATION, SegmentImage(image=media(1), subtask="panoptic"), "subtask"),
        (
            "clip",
            Task.ZERO_SHOT_IMAGE_CLASSIFICATION,
            MatchLabels(image=media(1), labels=("a",), template="x"),
            "hypothesis_template",
        ),
        (
            "blip",
            Task.IMAGE_TO_TEXT,
            CaptionImage(image=media(1), decoding=Decoding(max_new_tokens=99)),
            "max_new_tokens",
        ),
        ("donut", Task.DOCUMENT_QUESTION_ANSWERING, AskDocument(image=media(1), question="x" * 300), "max_new_tokens"),
    ],
)
def test_what_a_model_cannot_do_is_refused_by_name_and_hurts_nobody_else(zoo, name, task, work, param):
    bench = zoo.bench(name, task)
    good = next(ask for each, of, ask in CASES if (each, of) == (name, task))(media(3))
    refused, answered = bench.run(work, good)
    assert refused.kind in ("invalid_input", "unsupported")
    assert refused.param == param
    assert not isinstance(answered, Failed)
