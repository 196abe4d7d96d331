"""Tasks on images, on the Hugging Face routes: what each of them reads. How answers look is in vision_reply.py."""

from collections.abc import Callable

from pronto.core.request import Work
from pronto.core.tasks import Task
from pronto.core.vision_work import (
    AskDocument,
    AskImage,
    CaptionImage,
    ClassifyImage,
    DescribeImage,
    DetectObjects,
    EstimateDepth,
    MatchLabels,
    SegmentImage,
)
from pronto.wire.base import Encoder, Raw
from pronto.wire.hf import vision_reply as reply
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.vision_body import (
    MAX_QUESTION,
    MAX_TOP_K,
    ImageBody,
    one_of,
    read_image,
    read_labels,
    read_question,
    read_words,
    within,
)
from pronto.wire.output_reply import OutputEncoder, Write
from pronto.wire.text_request import Bounds

FUNCTIONS = ("sigmoid", "softmax", "none")
SUBTASKS = ("panoptic", "instance", "semantic")


def _classify(asked: ImageBody) -> Work:
    given = asked.parameters
    return ClassifyImage(
        image=asked.image,
        top_k=within("top_k", given.top_k, 1, MAX_TOP_K),
        function=one_of("function_to_apply", given.function_to_apply, FUNCTIONS),
    )


def _detect(asked: ImageBody) -> Work:
    threshold = within("threshold", asked.parameters.threshold, 0, 1)
    return DetectObjects(image=asked.image, threshold=0.5 if threshold is None else threshold)


def _segment(asked: ImageBody) -> Work:
    given = asked.parameters
    # The field's name in requests, ours, and the value where none is given.
    fields = (
        ("threshold", "threshold", 0.9),
        ("mask_threshold", "mask_threshold", 0.5),
        ("overlap_mask_area_threshold", "overlap_threshold", 0.5),
    )
    thresholds: dict[str, float] = {}
    for name, ours, default in fields:
        value = within(name, getattr(given, name), 0, 1)
        thresholds[ours] = default if value is None else value
    return SegmentImage(image=asked.image, subtask=one_of("subtask", given.subtask, SUBTASKS), **thresholds)


def _match(asked: ImageBody) -> Work:
    given = asked.parameters
    template = given.hypothesis_template
    within("hypothesis_template", len(template or ""), 0, MAX_QUESTION)
    labels = read_labels(given.candidate_labels)
    if template is None:
        return MatchLabels(image=asked.image, labels=labels)
    return MatchLabels(image=asked.image, labels=labels, template=template)


def _caption(asked: ImageBody) -> Work:
    prompt = asked.parameters.prompt or asked.question or ""
    if prompt:
        read_question(prompt)
    return CaptionImage(image=asked.image, prompt=prompt, decoding=asked.decoding, seed=asked.seed)


def _ask_image(asked: ImageBody) -> Work:
    return AskImage(
        image=asked.image,
        question=read_question(asked.question),
        top_k=within("top_k", asked.parameters.top_k, 1, MAX_TOP_K),
        decoding=asked.decoding,
        seed=asked.seed,
    )


def _ask_document(asked: ImageBody) -> Work:
    given = asked.parameters
    return AskDocument(
        image=asked.image,
        question=read_question(asked.question),
        words=read_words(given.word_boxes),
        top_k=within("top_k", given.top_k, 1, 100) or 1,
        max_answer_words=within("max_answer_len", given.max_answer_len, 1, 512) or 15,
        may_be_unanswered=bool(given.handle_impossible_answer),
        decoding=asked.decoding,
        seed=asked.seed,
    )


def _depth(asked: ImageBody) -> Work:
    return EstimateDepth(image=asked.image)


def _describe(asked: ImageBody) -> Work:
    return DescribeImage(image=asked.image, pooled=bool(asked.parameters.pool))


def _format(read: Callable[[ImageBody], Work], write: Write) -> TaskFormat:
    def asked(raw: Raw, bounds: Bounds) -> Asked:
        body = read_image(raw)
        return Asked(read(body), None, (), body.body.options)

    def encoder(style: None) -> Encoder:
        return OutputEncoder(write)

    return TaskFormat(asked, encoder)


def _read_caption(raw: Raw, bounds: Bounds) -> Asked:
    body = read_image(raw)
    # The newer JavaScript client takes an object, every other one a list (clients.md, R11).
    is_list = "@huggingface/inference/" not in raw.headers.get("user-agent", "")
    return Asked(_caption(body), is_list, (), body.body.options)


def _caption_encoder(is_list: bool) -> Encoder:
    return OutputEncoder(reply.captions if is_list else reply.caption)


FORMATS = {
    Task.IMAGE_CLASSIFICATION: _format(_classify, reply.labels),
    Task.OBJECT_DETECTION: _format(_detect, reply.objects),
    Task.IMAGE_SEGMENTATION: _format(_segment, reply.segments),
    Task.ZERO_SHOT_IMAGE_CLASSIFICATION: _format(_match, reply.labels),
    Task.IMAGE_TO_TEXT: TaskFormat(_read_caption, _caption_encoder),
    Task.VISUAL_QUESTION_ANSWERING: _format(_ask_image, reply.answers),
    Task.DOCUMENT_QUESTION_ANSWERING: _format(_ask_document, reply.answers),
    Task.DEPTH_ESTIMATION: _format(_depth, reply.depth),
    Task.IMAGE_FEATURE_EXTRACTION: _format(_describe, reply.vectors),
}
