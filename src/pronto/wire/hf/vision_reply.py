"""Answers of tasks on images, as the clients of the Hugging Face routes read them. What is not there is left out."""

import array
import base64
from typing import Any

import msgspec

from pronto.core.events import Done
from pronto.core.labels import Labels
from pronto.core.vision_work import Captions, Depth, ImageAnswer, ImageAnswers, ImageVectors, Objects, Segments
from pronto.wire.output_reply import Written

JSON = b"application/json"
_encode = msgspec.json.Encoder().encode


def labels(value: Labels, done: Done) -> Written:
    """`[{"label", "score"}]`."""
    return JSON, _encode([{"label": each.label, "score": each.score} for each in value.rows[0]])


def objects(value: Objects, done: Done) -> Written:
    """`[{"label", "score", "box"}]`."""
    found = [{"label": each.label, "score": each.score, "box": _box(each.box)} for each in value.objects]
    return JSON, _encode(found)


def segments(value: Segments, done: Done) -> Written:
    """`[{"label", "mask", "score"}]`; a null score is refused by clients, so it is left out."""
    return JSON, _encode(
        [
            {"label": each.label, "mask": _base64(each.mask)} | ({} if each.score is None else {"score": each.score})
            for each in value.segments
        ]
    )


def captions(value: Captions, done: Done) -> Written:
    """`[{"generated_text"}]`."""
    return JSON, _encode([{"generated_text": text} for text in value.texts])


def caption(value: Captions, done: Done) -> Written:
    """The first one alone, as an object."""
    return JSON, _encode({"generated_text": value.texts[0]})


def answers(value: ImageAnswers, done: Done) -> Written:
    """`[{"answer", "score", "start", "end"}]`, of which only `answer` is always there."""
    return JSON, _encode([_answer(each) for each in value.answers])


def depth(value: Depth, done: Done) -> Written:
    """`{"predicted_depth", "depth"}`: rows of numbers in the model's resolution, and a PNG of the image's size."""
    numbers, (rows, columns) = _numbers(value.data), value.shape
    table = [numbers[at : at + columns] for at in range(0, rows * columns, columns)]
    return JSON, _encode({"predicted_depth": table, "depth": _base64(value.picture.data)})


def vectors(value: ImageVectors, done: Done) -> Written:
    """`[[[...]]]`: image, patch, dimension; or `[...]` for one vector."""
    numbers, shape = _numbers(value.data), value.shape
    if len(shape) == 1:
        return JSON, _encode(numbers)
    size = shape[1]
    return JSON, _encode([[numbers[at : at + size] for at in range(0, len(numbers), size)]])


def _answer(answer: ImageAnswer) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(answer).items() if value is not None}


def _box(box: Any) -> dict[str, int]:
    edges: dict[str, int] = msgspec.structs.asdict(box)
    return edges


def _numbers(data: bytes) -> list[float]:
    return array.array("f", data).tolist()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
