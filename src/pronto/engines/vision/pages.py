"""Questions about a page whose words the request brings with their boxes: LayoutLM. Long pages are read in spans."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.request import InferenceRequest
from pronto.core.vision_work import AskDocument, ImageAnswer, ImageAnswers
from pronto.engines.base import Tick
from pronto.engines.batched import Item
from pronto.engines.media.image import open_image
from pronto.engines.vision.base import NOT_FINITE, apart, is_finite, load_model, load_part, shapes, stacked

MAX_SPANS = 64


class Span(msgspec.Struct, kw_only=True):
    """A part of the page, as the model takes it. `words` says of each token which word it is of; None: of none."""

    inputs: dict[str, Any]
    words: list[int | None]
    no_answer: list[bool]  # tokens of the question, and those that mark


class ReadingWords:
    """document-question-answering with LayoutLM."""

    def load(self, folder: Path) -> None:
        self.model = load_model("AutoModelForDocumentQuestionAnswering", folder)
        if self.model.config.model_type != "layoutlm":
            raise ValueError("of the models that are given a page's words, only LayoutLM is served for now")
        self.tokenizer = load_part("AutoTokenizer", folder, add_prefix_space=True)
        self._length = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)

    def split(self, request: InferenceRequest) -> Sequence[Item]:
        work = request.work
        if not isinstance(work, AskDocument):
            raise InvalidInput(f"This model does not take requests for {request.task}.")
        if not work.words:
            raise InvalidInput(
                "`word_boxes` is missing. This model does not read the picture itself: please send the words that "
                'stand on it, each with its box from 0 to 1000, as [["word", [left, top, right, bottom]], ...].',
                "word_boxes",
            )
        open_image(request, work.image)  # it must be one, though the words say all that the model needs
        return [Item(value=span, kind=shapes(span.inputs)) for span in self._spans(work)]

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any]:
        import torch

        spans: list[Span] = [item.value for item in items]
        with torch.inference_mode():
            outputs = self.model(**stacked([span.inputs for span in spans]))
        return [
            (span, row.start_logits[0].numpy(), row.end_logits[0].numpy()) if is_finite(row) else NOT_FINITE
            for span, row in zip(spans, apart(outputs, len(spans)), strict=True)
        ]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        work = request.work
        assert isinstance(work, AskDocument)  # as split has seen
        found: list[ImageAnswer] = []
        least_null = 1e6
        for span, start, end in values:
            answers, least_null = _best(work, span, start, end, least_null)
            found += answers
        if work.may_be_unanswered:
            found.append(ImageAnswer("", float(least_null), 0, 0))
        found.sort(key=lambda answer: -(answer.score or 0.0))
        tokens = sum(len(span.words) for span, _, _ in values)
        return ImageAnswers(tuple(found[: work.top_k])), Usage(prompt_tokens=tokens, images=1)

    def _spans(self, work: AskDocument) -> list[Span]:
        encoded = self.tokenizer(
            text=work.question.split(),
            text_pair=[word.text for word in work.words],
            is_split_into_words=True,
            max_length=self._length,
            stride=min(self._length // 2, 256),
            truncation="only_second",
            return_token_type_ids=True,
            return_overflowing_tokens=True,
        )
        count = len(encoded["input_ids"])
        if count > MAX_SPANS:
            raise InvalidInput(
                f"`word_boxes` has too many words. Please send fewer than {len(work.words)}.", "word_boxes"
            )
        return [self._span(work, encoded, at) for at in range(count)]

    def _span(self, work: AskDocument, encoded: Any, at: int) -> Span:
        import torch

        ids, sequences, words = encoded["input_ids"][at], encoded.sequence_ids(at), encoded.word_ids(at)
        boxes = []
        for id, sequence, word in zip(ids, sequences, words, strict=True):
            if sequence == 1:
                boxes.append(list(work.words[word].box))
            else:
                boxes.append([1000 if id == self.tokenizer.sep_token_id else 0] * 4)
        names = ("input_ids", "attention_mask", "token_type_ids")
        inputs = {name: torch.tensor([encoded[name][at]]) for name in names if name in encoded}
        inputs["bbox"] = torch.tensor([boxes])
        # The first token stands for "there is no answer", so it stays among those that may be one.
        no_answer = [
            sequence != 1 and id != self.tokenizer.cls_token_id for id, sequence in zip(ids, sequences, strict=True)
        ]
        return Span(inputs=inputs, words=words, no_answer=no_answer)


def _best(work: AskDocument, span: Span, start: Any, end: Any, null: float) -> tuple[list[ImageAnswer], float]:
    """The best answers of one span, and the least probability of "no answer" so far."""
    import numpy as np

    blocked = np.array(span.no_answer)
    starts, ends = (_probabilities(np.where(blocked, -1e4, logits)) for logits in (start, end))
    if work.may_be_unanswered:
        null = min(null, float(starts[0] * ends[0]))
    starts[0] = ends[0] = 0.0
    # A pair's score is the product; an answer has at most so many tokens, and does not end before it begins.
    pairs = np.tril(np.triu(np.outer(starts, ends)), work.max_answer_words - 1)
    order = np.argsort(-pairs, axis=None)[: 4 * work.top_k]
    answers = []
    for first, last in zip(*np.unravel_index(order, pairs.shape), strict=True):
        begin, stop = span.words[int(first)], span.words[int(last)]
        if begin is not None and stop is not None and pairs[first, last] > 0:
            text = " ".join(word.text for word in work.words[begin : stop + 1])
            answers.append(ImageAnswer(text, float(pairs[first, last]), begin, stop))
    return answers[: work.top_k], null


def _probabilities(logits: Any) -> Any:
    import numpy as np

    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
