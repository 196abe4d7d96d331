"""Models that find the answer to a question in a text. Long texts are read in windows that overlap."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.tasks import Task
from pronto.core.text_work import Answer, AnswerQuestions, Answers, Question
from pronto.engines.base import Failed
from pronto.engines.batched import Item
from pronto.engines.pipelines_text.head import MAX_WINDOWS, NOT_FINITE
from pronto.engines.pipelines_text.loading import Loaded, padded

# transformers' own defaults, in tokens.
USUAL_WINDOW = 384
USUAL_STRIDE = 128
USUAL_QUESTION = 64


class _Window(msgspec.Struct, frozen=True):
    """`places` are the characters of each token, `words` the widest place of its word; None outside of the context."""

    lists: dict[str, list[int]]
    places: list[tuple[int, int] | None]
    words: list[tuple[int, int] | None]


class SpanHead:
    """See Head. The score of an answer is the product of its two ends' probabilities in their window."""

    works = (AnswerQuestions,)

    def __init__(self, loaded: Loaded, task: Task) -> None:
        self._loaded = loaded
        self._special = loaded.tokenizer.num_special_tokens_to_add(pair=True)

    def split(self, work: AnswerQuestions) -> Sequence[Item]:
        items = []
        for number, asked in enumerate(work.questions):
            for window in self._windows(asked, work):
                items.append(Item(value=(number, window), cost=len(window.lists["input_ids"]), kind="question"))
                if len(items) > MAX_WINDOWS:
                    raise InvalidInput(
                        f"`context` is too long: it takes more than {MAX_WINDOWS} windows. Please send less.", "context"
                    )
        return items

    def _windows(self, asked: Question, work: AnswerQuestions) -> Iterator[_Window]:
        window = min(work.max_window or min(USUAL_WINDOW, self._loaded.window), self._loaded.window)
        question, tokens = self._shortened(asked.question, work.max_question or USUAL_QUESTION)
        room = window - self._special - tokens
        if room < 1:
            raise InvalidInput(f"`question` leaves no room for the context in {window} tokens.", "question")
        stride = min(USUAL_STRIDE, window // 2, room // 2) if work.stride is None else work.stride
        if stride >= room:
            raise InvalidInput(f"`doc_stride` must be < {room} here. Given: {stride}", "doc_stride")
        said = self._loaded.tokenizer(
            question,
            asked.context,
            truncation="only_second",
            max_length=window,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        for index, encoding in enumerate(said.encodings):
            yield self._window(said, index, encoding, whole_words=work.whole_words)

    def _shortened(self, question: str, most: int) -> tuple[str, int]:
        said = self._loaded.tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
        count = len(said["input_ids"])
        if count <= most:
            return question, count
        return question[: said["offset_mapping"][most - 1][1]], most

    def _window(self, said: Any, index: int, encoding: Any, *, whole_words: bool) -> _Window:
        names = [name for name in self._loaded.tokenizer.model_input_names if name in said]
        places = [
            tuple(place) if sequence == 1 else None
            for place, sequence in zip(encoding.offsets, encoding.sequence_ids, strict=True)
        ]
        words = list(places)
        if whole_words:
            around: dict[int, tuple[int, int]] = {}
            for place, word in zip(places, encoding.word_ids, strict=True):
                if place is not None and word is not None:
                    start, end = around.get(word, place)
                    around[word] = (min(start, place[0]), max(end, place[1]))
            words = [
                around.get(word, place) if place is not None and word is not None else place
                for place, word in zip(places, encoding.word_ids, strict=True)
            ]
        return _Window({name: list(said[name][index]) for name in names}, places, words)

    def predict(self, items: Sequence[Item]) -> Sequence[tuple[int, _Window, Any, Any] | Failed]:
        import numpy as np

        said = self._loaded.model(**padded(self._loaded, [item.value[1].lists for item in items]))
        starts, ends = (logits.float().cpu().numpy() for logits in (said.start_logits, said.end_logits))
        found: list[Any] = []
        for item, start, end in zip(items, starts, ends, strict=True):
            start, end = start[: item.cost].astype(np.float64), end[: item.cost].astype(np.float64)
            finite = np.isfinite(start).all() and np.isfinite(end).all()
            found.append((*item.value, start, end) if finite else NOT_FINITE)
        return found

    def join(self, work: AnswerQuestions, values: Sequence[Any]) -> tuple[Value, Usage]:
        rows = []
        for number, asked in enumerate(work.questions):
            windows = [value[1:] for value in values if value[0] == number]
            rows.append(_best(asked.context, windows, work, self._loaded.tokenizer.cls_token_id))
        return Answers(tuple(rows)), Usage(prompt_tokens=sum(len(value[1].lists["input_ids"]) for value in values))


def _best(context: str, windows: Sequence[Any], work: AnswerQuestions, none_id: int | None) -> tuple[Answer, ...]:
    """Of all windows; an answer that stands in two of them is one."""
    found: dict[tuple[int, int], float] = {}
    impossible = 1.0
    for window, start, end in windows:
        nothing, spans = _spans(window, start, end, work, none_id)
        impossible = min(impossible, nothing)
        for place, score in spans:
            found[place] = max(score, found.get(place, 0.0))
    answers = [Answer(context[start:end], score, start, end) for (start, end), score in found.items()]
    if work.may_be_impossible:
        answers.append(Answer("", impossible, 0, 0))
    return tuple(sorted(answers, key=lambda answer: -answer.score)[: work.top_k])


def _spans(
    window: _Window, start: Any, end: Any, work: AnswerQuestions, none_id: int | None
) -> tuple[float, list[tuple[tuple[int, int], float]]]:
    """The probability that there is no answer here, and the best places with theirs."""
    import numpy as np

    inside = np.array([place is not None for place in window.places])
    none = window.lists["input_ids"].index(none_id) if none_id in window.lists["input_ids"] else None
    counted = inside.copy()
    if none is not None:
        counted[none] = True  # its two logits stand for "no answer"
    start, end = (_probabilities(np.where(counted, logits, -np.inf)) for logits in (start, end))
    nothing = 0.0 if none is None else float(start[none] * end[none])
    pairs = np.triu(np.outer(np.where(inside, start, 0.0), np.where(inside, end, 0.0)))
    pairs = np.tril(pairs, work.max_answer - 1)
    order = np.argsort(pairs, axis=None)[::-1][: 4 * work.top_k]
    spans = []
    for first, last in zip(*np.unravel_index(order, pairs.shape), strict=True):
        begin, finish = window.words[first], window.words[last]
        if begin is not None and finish is not None and pairs[first, last] > 0:
            spans.append(((begin[0], finish[1]), float(pairs[first, last])))
    return nothing, spans


def _probabilities(logits: Any) -> Any:
    import numpy as np

    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
