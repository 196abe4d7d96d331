"""Questions about texts on the Hugging Face routes; older clients send question and context without `inputs`."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.tasks import Task
from pronto.core.text_work import AnswerQuestions, Answers, Question
from pronto.wire.base import Raw
from pronto.wire.faults import Malformed
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.hf.text_body import MAX_TEXTS, Shape, check_range, json_encoder, read_body
from pronto.wire.options import OptionsBody
from pronto.wire.text_request import Bounds

MAX_ANSWERS = 100
MAX_TOKENS = 10_000
USUAL_LENGTH = 15  # tokens of an answer


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    question: str
    context: str


class _Parameters(msgspec.Struct, frozen=True, kw_only=True):
    top_k: int | None = None
    topk: int | None = None  # its older name
    doc_stride: int | None = None
    max_answer_len: int | None = None
    max_seq_len: int | None = None
    max_question_len: int | None = None
    handle_impossible_answer: bool | None = None
    align_to_words: bool | None = None


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    inputs: _Asked | list[_Asked] | None = None
    question: str | None = None
    context: str | None = None
    parameters: _Parameters | None = None
    options: OptionsBody | None = None


_decoder = msgspec.json.Decoder(_Body)


def read(raw: Raw, bounds: Bounds) -> Asked:
    """Raises InvalidInput."""
    body = read_body(raw, _decoder)
    given = body.parameters or _Parameters()
    questions = _questions(body)
    top_k = given.topk if given.top_k is None else given.top_k
    check_range("top_k", top_k, 1, MAX_ANSWERS)
    check_range("doc_stride", given.doc_stride, 0, MAX_TOKENS)
    for name in ("max_answer_len", "max_seq_len", "max_question_len"):
        check_range(name, getattr(given, name), 1, MAX_TOKENS)
    work = AnswerQuestions(
        questions=questions,
        top_k=top_k or 1,
        stride=given.doc_stride,
        max_answer=given.max_answer_len or USUAL_LENGTH,
        max_window=given.max_seq_len,
        max_question=given.max_question_len,
        may_be_impossible=bool(given.handle_impossible_answer),
        whole_words=given.align_to_words is not False,
    )
    characters = sum(len(asked.question) + len(asked.context) for asked in questions)
    shape = Shape(characters=characters, is_list=isinstance(body.inputs, list), more=work.top_k > 1)
    return Asked(work, shape, options=body.options)


def _questions(body: _Body) -> tuple[Question, ...]:
    if isinstance(body.inputs, list):
        asked = tuple(Question(each.question, each.context) for each in body.inputs)
    elif body.inputs is not None:
        asked = (Question(body.inputs.question, body.inputs.context),)
    else:
        asked = (Question(_given(body.question, "question"), _given(body.context, "context")),)
    if not asked or len(asked) > MAX_TEXTS:
        raise InvalidInput(f"`inputs` must have 1 to {MAX_TEXTS} questions. Given: {len(asked)}", "inputs")
    for each in asked:
        for name in ("question", "context"):
            if not getattr(each, name).strip():
                raise InvalidInput(f"`{name}` cannot be empty", name)
    return asked


def _given(value: str | None, name: str) -> str:
    if value is None:
        raise Malformed(f"missing field `{name}`: a question needs `question` and `context`", name)
    return value


def write(value: Answers, shape: Shape) -> Any:
    """One object; a list where several answers were asked for; a list of either for a list of questions."""
    rows = []
    for answers in value.rows:
        shown = [{"answer": a.answer, "score": a.score, "start": a.start, "end": a.end} for a in answers]
        # A context without a single word has no answer, and this shape has no other word for that.
        first = shown[0] if shown else {"answer": "", "score": 0.0, "start": 0, "end": 0}
        rows.append(shown if shape.more else first)
    return rows if shape.is_list else rows[0]


FORMATS = {Task.QUESTION_ANSWERING: TaskFormat(read, json_encoder(write))}
