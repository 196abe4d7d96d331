"""Labels for an image: those that a model was trained on, or those that a request brings."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.labels import Label, Labels
from pronto.core.request import InferenceRequest
from pronto.core.vision_work import ClassifyImage, MatchLabels
from pronto.engines.base import Tick
from pronto.engines.batched import Item
from pronto.engines.vision.base import NOT_FINITE, Look, OneImage, is_finite, load_part, stacked

TOP_K = 5
FUNCTIONS = ("sigmoid", "softmax", "none")


def best(scores: Any, names: Sequence[str], count: int | None) -> tuple[Label, ...]:
    """The `count` best of a row of scores, the best first; None: all."""
    labels = [Label(name, score) for name, score in zip(names, scores.tolist(), strict=True)]
    return tuple(sorted(labels, key=lambda label: -label.score)[:count])


def apply(function: str | None, logits: Any, config: Any) -> Any:
    """Scores out of logits; None: by what the config says of the model's training."""
    if function is None:
        function = getattr(config, "function_to_apply", None)
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            function = "sigmoid"
        elif config.problem_type == "single_label_classification" or config.num_labels > 1:
            function = "softmax"
    if function == "sigmoid":
        return logits.sigmoid()
    return logits.softmax(-1) if function == "softmax" else logits


def names_of(config: Any, count: int) -> list[str]:
    """The names of a model's classes, also of those that its config forgot."""
    return [str(config.id2label.get(index, f"LABEL_{index}")) for index in range(count)]


class Classifying(OneImage):
    """image-classification."""

    work = ClassifyImage
    auto = "AutoModelForImageClassification"

    def write(self, outputs: Any, look: Look, tick: Tick) -> Labels:
        work: ClassifyImage = look.work
        scores = apply(work.function, outputs.logits[0], self.model.config)
        names = names_of(self.model.config, len(scores))
        return Labels((best(scores, names, work.top_k or TOP_K),))


class Matching(OneImage):
    """zero-shot-image-classification: models that put images and texts into one space."""

    work = MatchLabels
    auto = "AutoModelForZeroShotImageClassification"

    def load(self, folder: Path) -> None:
        super().load(folder)
        self.tokenizer = load_part("AutoTokenizer", folder)
        kind = self.model.config.model_type
        self._is_siglip = "siglip" in kind  # trained with a sigmoid for each pair, and with texts of one length
        self._length = getattr(self.model.config.text_config, "max_position_embeddings", 64)

    def kind(self, work: MatchLabels, request: InferenceRequest) -> Hashable:
        return work.labels, work.template

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any]:
        import torch

        looks: list[Look] = [item.value for item in items]
        work: MatchLabels = looks[0].work
        texts = self._texts(work)
        with torch.inference_mode():
            logits = self.model(**texts, **stacked([look.inputs for look in looks])).logits_per_image
            scores = logits.sigmoid() if self._is_siglip else logits.softmax(-1)
        tokens = int(texts["input_ids"].numel())
        return [
            NOT_FINITE if not is_finite({"row": row}) else (Labels((best(row, work.labels, None),)), tokens)
            for row in scores
        ]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        value, tokens = values[0]
        return value, Usage(prompt_tokens=tokens, images=1)

    def check(self, work: MatchLabels) -> None:
        if "{}" not in work.template:
            raise InvalidInput("`hypothesis_template` must have a `{}` where the label goes.", "hypothesis_template")

    def _texts(self, work: MatchLabels) -> dict[str, Any]:
        sentences = [work.template.replace("{}", label) for label in work.labels]
        padding = "max_length" if self._is_siglip else True
        texts = self.tokenizer(
            sentences, return_tensors="pt", padding=padding, truncation=True, max_length=self._length
        )
        return dict(texts)
