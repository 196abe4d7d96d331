"""Texts about an image: captions, and answers to questions. Knows no conversation: that is the engine of chats."""

import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.request import InferenceRequest
from pronto.core.vision_work import (
    CAPTION_TOKENS,
    AskDocument,
    AskImage,
    CaptionImage,
    Captions,
    Decoding,
    ImageAnswer,
    ImageAnswers,
)
from pronto.engines.base import Tick
from pronto.engines.batched import Item
from pronto.engines.vision.base import NOT_FINITE, Look, OneImage, apart, every_token, is_finite, load_part, stacked
from pronto.engines.vision.labels import TOP_K, best, names_of

ENCODER_DECODER = "vision-encoder-decoder"
_TAG = re.compile(r"<[^<>]{1,64}>")
_ANSWER = re.compile(r"<s_answer>(.*?)(?:</s_answer>|$)", re.DOTALL)


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A text, and how many tokens were read and made for it."""

    text: str
    read: int
    made: int
    score: float  # the probability of the whole text, as the model chose its tokens


class Writing(OneImage):
    """A Head whose model makes text. Requests that are sampled run alone: the same seed, the same text."""

    auto = "AutoModelForImageTextToText"

    def load(self, folder: Path) -> None:
        super().load(folder)
        self.tokenizer = load_part("AutoTokenizer", folder)
        self.type = self.model.config.model_type
        config = self.model.config
        writer = getattr(config, "decoder", None) or getattr(config, "text_config", None) or config
        # The tokens that the part that writes has places for, those that it reads included.
        self._places = getattr(writer, "max_position_embeddings", None) or 2048

    def kind(self, work: Any, request: InferenceRequest) -> Hashable:
        decoding: Decoding = work.decoding
        return (decoding, request.id if decoding.do_sample else None)

    def generate(self, items: Sequence[Item], tick: Tick) -> list[Written]:
        """One text for each item."""
        import torch

        looks: list[Look] = [item.value for item in items]
        work = looks[0].work
        if work.decoding.do_sample:
            torch.manual_seed(work.seed or 0)
        inputs = stacked([look.inputs for look in looks])
        prompt = inputs.get("decoder_input_ids", inputs.get("input_ids"))
        read = 0 if prompt is None else int(prompt.shape[1])
        with torch.inference_mode():
            made = self.model.generate(
                **inputs,
                **self._options(work.decoding, read),
                stopping_criteria=[every_token(tick, frozenset(item.owner for item in items))],
                return_dict_in_generate=True,
                output_scores=True,
            )
            logprobs = self.model.compute_transition_scores(
                made.sequences, made.scores, made.get("beam_indices"), normalize_logits=True
            )
        return [self._written(*row, read) for row in zip(made.sequences, logprobs, strict=True)]

    def ids(self, text: str, work: Any, **more: Any) -> Any:
        """Token ids of a text, in one row. Raises InvalidInput for one that is too long."""
        ids = self.tokenizer(text, return_tensors="pt", **more).input_ids
        self.check_room(work, ids.shape[1])
        return ids

    def check_room(self, work: Any, read: int) -> None:
        """Raises InvalidInput where what is read and what may be written do not fit together."""
        asked = work.decoding.max_new_tokens or 1
        if read + asked >= self._places:
            raise InvalidInput(
                f"This model has room for {self._places} tokens: {read} are read, so `max_new_tokens` must be less "
                f"than {self._places - read}.",
                "max_new_tokens",
            )

    def _options(self, decoding: Decoding, read: int) -> dict[str, Any]:
        given = {name: value for name, value in msgspec.structs.asdict(decoding).items() if value is not None}
        own = self.model.generation_config
        usual = own.max_new_tokens or (own.max_length - read if own.max_length else CAPTION_TOKENS)
        given.setdefault("max_new_tokens", max(1, min(usual, self._places - read - 1)))
        return given

    def _written(self, row: Any, logprobs: Any, read: int) -> Written:
        ends = self.model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends]) | {self.tokenizer.eos_token_id}
        made = row[len(row) - len(logprobs) :].tolist()
        count = next((at + 1 for at, id in enumerate(made) if id in ends), len(made))
        return Written(
            text=self.tokenizer.decode(row, skip_special_tokens=True).strip(),
            read=read,
            made=count,
            score=float(logprobs[:count].sum().exp()),
        )


class Captioning(Writing):
    """image-to-text."""

    work = CaptionImage

    def read(self, image: Any, work: CaptionImage) -> dict[str, Any]:
        inputs = {"pixel_values": self.images(images=[image], return_tensors="pt")["pixel_values"]}
        if not work.prompt:
            self.check_room(work, 1)
            return inputs
        if self.type == ENCODER_DECODER:
            return inputs | {"decoder_input_ids": self.ids(work.prompt, work, add_special_tokens=False)}
        return inputs | {"input_ids": self.ids(work.prompt, work)}

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any]:
        return self.generate(items, tick)

    def join(self, request: InferenceRequest, values: Sequence[Written]) -> tuple[Value, Usage]:
        written = values[0]
        return Captions((written.text,)), Usage(written.read, written.made, images=1)


class AskingImage(Writing):
    """visual-question-answering: models that choose among known answers, and models that write one."""

    work = AskImage
    auto = "AutoModelForVisualQuestionAnswering"

    def load(self, folder: Path) -> None:
        super().load(folder)
        self.processor = load_part("AutoProcessor", folder)
        self._chooses = not self.model.can_generate()
        config = getattr(self.model.config, "text_config", None) or self.model.config
        self._longest = min(getattr(config, "max_position_embeddings", 512), 512)

    def read(self, image: Any, work: AskImage) -> dict[str, Any]:
        inputs = dict(self.processor(images=image, text=work.question, return_tensors="pt"))
        length = inputs["input_ids"].shape[1]
        if not self._chooses:
            self.check_room(work, 1)  # the question is read by another part than the one that writes
        if length > self._longest:
            raise InvalidInput(f"`question` has {length} tokens; this model reads {self._longest} at most.", "question")
        return inputs

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any]:
        if not self._chooses:
            return self.generate(items, tick)
        import torch

        looks: list[Look] = [item.value for item in items]
        with torch.inference_mode():
            outputs = self.model(**stacked([look.inputs for look in looks]))
        rows = apart(outputs, len(looks))
        return [
            self._choice(row, look) if is_finite(row) else NOT_FINITE for row, look in zip(rows, looks, strict=True)
        ]

    def join(self, request: InferenceRequest, values: Sequence[Any]) -> tuple[Value, Usage]:
        value = values[0]
        if isinstance(value, Written):
            return ImageAnswers((ImageAnswer(value.text, value.score),)), Usage(value.read, value.made, images=1)
        answers, tokens = value
        return answers, Usage(prompt_tokens=tokens, images=1)

    def _choice(self, outputs: Any, look: Look) -> tuple[ImageAnswers, int]:
        scores = outputs.logits[0].sigmoid()
        found = best(scores, names_of(self.model.config, len(scores)), look.work.top_k or TOP_K)
        answers = ImageAnswers(tuple(ImageAnswer(each.label, each.score) for each in found))
        return answers, int(look.inputs["input_ids"].shape[1])


class ReadingPage(Writing):
    """document-question-answering with Donut, which reads the picture of a page by itself."""

    work = AskDocument

    def read(self, image: Any, work: AskDocument) -> dict[str, Any]:
        prompt = f"<s_docvqa><s_question>{_TAG.sub('', work.question)}</s_question><s_answer>"
        return {
            "pixel_values": self.images(images=[image], return_tensors="pt")["pixel_values"],
            "decoder_input_ids": self.ids(prompt, work, add_special_tokens=False),
        }

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any]:
        return self.generate(items, tick)

    def join(self, request: InferenceRequest, values: Sequence[Written]) -> tuple[Value, Usage]:
        written = values[0]
        return ImageAnswers((ImageAnswer(written.text, written.score),)), Usage(written.read, written.made, images=1)

    def _written(self, row: Any, logprobs: Any, read: int) -> Written:
        written = super()._written(row, logprobs, read)
        text = self.tokenizer.decode(row)
        found = _ANSWER.search(text)
        return msgspec.structs.replace(written, text=_TAG.sub("", found.group(1) if found else "").strip())
