"""Models that label a whole text, or a pair of texts: classification, labels by name through entailment, ranking."""

from collections.abc import Sequence
from typing import Any

from pronto.core.errors import Unsupported
from pronto.core.events import Usage, Value
from pronto.core.labels import Label, Labels
from pronto.core.tasks import Task
from pronto.core.text_work import ClassifyByName, ClassifyText
from pronto.core.vector_work import Rank, Scores
from pronto.engines.base import Failed
from pronto.engines.batched import Item
from pronto.engines.pipelines_text.head import NOT_FINITE
from pronto.engines.pipelines_text.loading import Loaded, padded, read_text

_Row = tuple[Any, int]  # logits of one text (float64), tokens of it


class SequenceHead:
    """See Head. Items of all three kinds of work run together: the model computes the same for each."""

    works = (ClassifyText, ClassifyByName, Rank)

    def __init__(self, loaded: Loaded, task: Task) -> None:
        self._loaded, self._task = loaded, task
        config = loaded.config
        self._names = [str(config.id2label[index]) for index in range(config.num_labels)]

    def split(self, work: Any) -> Sequence[Item]:
        match work:
            case ClassifyText():
                return [self._item(text, None, work.truncate, "inputs") for text in work.texts]
            case ClassifyByName():
                self._entailment()
                named = [work.template.replace("{}", label) for label in work.labels]
                return [
                    self._item(text, name, "only_first", "candidate_labels") for text in work.texts for name in named
                ]
            case _:
                return self._pairs(work)

    def _pairs(self, work: Rank) -> list[Item]:
        if len(self._names) != 1:
            raise Unsupported(
                f"{self._loaded.name} cannot rank texts: its head has {len(self._names)} labels, and ranking needs one."
            )
        tokenizer = self._loaded.tokenizer
        side, tokenizer.truncation_side = tokenizer.truncation_side, "left" if work.truncate_left else "right"
        try:
            cut = "longest_first" if work.truncate else False
            return [self._item(work.query, text, cut, "texts") for text in work.texts]
        finally:
            tokenizer.truncation_side = side

    def _item(self, text: str, pair: str | None, cut: str | bool, name: str) -> Item:
        said = read_text(self._loaded, text, pair, cut=cut, name=name)
        return Item(value=said, cost=len(said["input_ids"]), kind="text")

    def predict(self, items: Sequence[Item]) -> Sequence[_Row | Failed]:
        import numpy as np

        batch = padded(self._loaded, [item.value for item in items])
        if self._loaded.config.is_encoder_decoder or hasattr(self._loaded.config, "use_cache"):
            batch["use_cache"] = False
        logits = self._loaded.model(**batch).logits.float().cpu().numpy().astype(np.float64)
        return [
            (row, item.cost) if np.isfinite(row).all() else NOT_FINITE for row, item in zip(logits, items, strict=True)
        ]

    def join(self, work: Any, values: Sequence[_Row]) -> tuple[Value, Usage]:
        import numpy as np

        logits, usage = np.stack([row for row, _ in values]), Usage(prompt_tokens=sum(tokens for _, tokens in values))
        match work:
            case ClassifyText():
                scores = self._apply(logits, work.function)
                return Labels(tuple(_sorted(self._names, row)[: work.top_k] for row in scores)), usage
            case ClassifyByName():
                scores = self._judge(logits.reshape(len(work.texts), len(work.labels), -1), work.multi_label)
                return Labels(tuple(_sorted(work.labels, row) for row in scores)), usage
            case _:
                scores = logits[:, 0] if work.raw else sigmoid(logits[:, 0])
                return Scores(tuple(map(float, scores))), usage

    def _apply(self, logits: Any, function: str | None) -> Any:
        """As transformers' pipeline chooses where nothing is asked."""
        config = self._loaded.config
        if function is None:
            if config.problem_type == "regression":
                function = "none"
            elif config.problem_type == "multi_label_classification" or len(self._names) == 1:
                function = "sigmoid"
            else:
                function = "softmax"
        return {"none": lambda x: x, "sigmoid": sigmoid, "softmax": softmax}[function](logits)

    def _entailment(self) -> int:
        """Which label says that the second text follows from the first. Raises Unsupported."""
        for index, name in enumerate(self._names):
            if name.lower().startswith("entail"):
                return index
        if self._task is Task.ZERO_SHOT_CLASSIFICATION and len(self._names) > 1:
            return len(self._names) - 1  # as transformers takes it for models that name no labels
        raise Unsupported(
            f"{self._loaded.name} cannot classify by names: none of its labels is `entailment` "
            f"({', '.join(self._names[:5])})."
        )

    def _judge(self, logits: Any, multi_label: bool) -> Any:
        """`logits` of (texts, names, labels); the scores of (texts, names)."""
        entailment = self._entailment()
        if not multi_label and logits.shape[1] > 1:
            return softmax(logits[..., entailment])
        contradiction = logits.shape[2] - 1 if entailment == 0 else 0
        return softmax(logits[..., [contradiction, entailment]])[..., 1]


def _sorted(names: Sequence[str], scores: Any) -> tuple[Label, ...]:
    labels = [Label(name, float(score)) for name, score in zip(names, scores, strict=True)]
    return tuple(sorted(labels, key=lambda label: -label.score))


def sigmoid(x: Any) -> Any:
    import numpy as np

    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


def softmax(x: Any) -> Any:
    import numpy as np

    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
