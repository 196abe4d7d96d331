"""Bodies of requests with an image: image and question at all places where clients put them. Knows no task."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.media import Media
from pronto.core.vision_work import Decoding, Word
from pronto.wire.base import Raw
from pronto.wire.json_body import convert
from pronto.wire.media import MediaBody, media_from_text, read_media

_Number = TypeVar("_Number", int, float)

MAX_LABELS = 256
MAX_LABEL = 512  # characters
MAX_QUESTION = 4096  # characters
MAX_WORDS = 10_000
MAX_TOKENS = 1024  # of a text about an image
MAX_TOP_K = 10_000


class DecodingBody(msgspec.Struct, frozen=True, kw_only=True):
    """What clients say under `generation_parameters` or, older ones, `generate_kwargs`."""

    max_new_tokens: int | None = None
    num_beams: int | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None


class VisionParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of all tasks on images; a task reads its own. Unknown keys and nulls are passed over."""

    top_k: int | None = None
    function_to_apply: str | None = None
    threshold: float | None = None
    mask_threshold: float | None = None
    overlap_mask_area_threshold: float | None = None
    subtask: str | None = None
    candidate_labels: list[str] | str | None = None
    hypothesis_template: str | None = None
    prompt: str | None = None
    max_new_tokens: int | None = None
    seed: int | None = None
    word_boxes: list[Any] | None = None
    max_answer_len: int | None = None
    handle_impossible_answer: bool | None = None
    pool: bool | None = None
    generation_parameters: DecodingBody | None = None
    generate_kwargs: DecodingBody | None = None


class ImageBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body, taken apart."""

    image: Media
    question: str | None
    parameters: VisionParameters
    body: MediaBody

    @property
    def decoding(self) -> Decoding:
        """Raises InvalidInput."""
        given = self.parameters
        own = given.generation_parameters or given.generate_kwargs or DecodingBody()
        tokens = given.max_new_tokens if own.max_new_tokens is None else own.max_new_tokens
        return Decoding(
            max_new_tokens=within("max_new_tokens", tokens, 1, MAX_TOKENS),
            num_beams=within("num_beams", own.num_beams, 1, 8),
            do_sample=own.do_sample,
            temperature=within("temperature", own.temperature, 0.01, 100),
            top_k=within("top_k", own.top_k, 1, MAX_TOP_K),
            top_p=within("top_p", own.top_p, 0.001, 1),
        )

    @property
    def seed(self) -> int | None:
        """Raises InvalidInput."""
        own = self.parameters.generation_parameters or self.parameters.generate_kwargs
        seed = own.seed if own is not None and own.seed is not None else self.parameters.seed
        return within("seed", seed, 0, 2**63 - 1)


def read_image(raw: Raw) -> ImageBody:
    """Raises InvalidInput naming the field."""
    media, body = read_media(raw)
    question = body.question
    inputs = body.inputs
    if isinstance(inputs, dict):
        image = inputs.get("image")
        if isinstance(image, str):
            media = media_from_text(image, "inputs.image")
        question = question or inputs.get("question") or inputs.get("text")
    elif inputs is not None and not isinstance(inputs, str):
        raise InvalidInput("`inputs` must be an image in base64, or an object with `image`.", "inputs")
    if media is None:
        raise InvalidInput("There is no image. Please send it in base64 as `inputs`, or as the body itself.", "inputs")
    if question is not None and not isinstance(question, str):
        raise InvalidInput("`question` must be a string.", "question")
    parameters = convert(body.parameters or {}, VisionParameters, "parameters")
    return ImageBody(image=media, question=question, parameters=parameters, body=body)


def within(name: str, value: _Number | None, least: float, most: float) -> _Number | None:
    """The value where it is between the bounds, or None. Raises InvalidInput."""
    if value is not None and not least <= value <= most:
        raise InvalidInput(f"`{name}` must be between {least} and {most}. Given: {value}", name)
    return value


def one_of(name: str, value: str | None, known: Iterable[str]) -> str | None:
    """As `within`, for words."""
    if value is not None and value not in known:
        raise InvalidInput(f"`{name}` must be one of {', '.join(known)}. Given: {value[:40]!r}", name)
    return value


def read_labels(given: list[str] | str | None) -> tuple[str, ...]:
    """Candidate labels as a list, or as text with commas, which older clients send. Raises InvalidInput."""
    labels = given.split(",") if isinstance(given, str) else given or []
    labels = [label.strip() for label in labels]
    if not any(labels):
        raise InvalidInput("`candidate_labels` is missing: please send at least one label.", "candidate_labels")
    if len(labels) > MAX_LABELS or max(map(len, labels)) > MAX_LABEL:
        raise InvalidInput(
            f"`candidate_labels`: at most {MAX_LABELS} labels of {MAX_LABEL} characters can be given.",
            "candidate_labels",
        )
    if not all(labels):
        raise InvalidInput("`candidate_labels` has an empty label.", "candidate_labels")
    return tuple(labels)


def read_question(question: str | None) -> str:
    """Raises InvalidInput."""
    if question is None or not question.strip():
        raise InvalidInput("`question` is missing: please ask something about the image.", "question")
    if len(question) > MAX_QUESTION:
        raise InvalidInput(f"`question` must have at most {MAX_QUESTION} characters.", "question")
    return question


def read_words(given: list[Any] | None) -> tuple[Word, ...]:
    """Words with boxes: in pairs, or one after the other. Raises InvalidInput."""
    given = given or []
    if len(given) > 2 * MAX_WORDS:
        raise InvalidInput(f"`word_boxes`: at most {MAX_WORDS} words can be given.", "word_boxes")
    if given and isinstance(given[0], str):
        given = [list(pair) for pair in zip(given[::2], given[1::2], strict=False)]
    return tuple(_word(pair, f"word_boxes[{at}]") for at, pair in enumerate(given))


def _word(pair: Any, place: str) -> Word:
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], list)):
        raise InvalidInput(f'`{place}` must be a word and its box, like ["word", [0, 0, 100, 20]].', "word_boxes")
    text, box = pair
    numbers = [edge for edge in box if isinstance(edge, int | float) and 0 <= edge <= 1000]
    if len(box) != 4 or len(numbers) != 4:
        raise InvalidInput(f"`{place}`: a box is [left, top, right, bottom], each between 0 and 1000.", "word_boxes")
    left, top, right, bottom = (int(edge) for edge in numbers)
    if right < left or bottom < top:
        raise InvalidInput(f"`{place}`: the box ends before it begins.", "word_boxes")
    return Word(text[:MAX_LABEL], (left, top, right, bottom))
