"""A conversation as text, and its images, as the tensors that a model takes. Knows no generation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.request import InferenceRequest, TextGeneration, TextPrompt, TokenPrompt
from pronto.engines.media.image import MAX_PIXELS, open_image

CONTEXT = 4096  # tokens, where neither the catalog nor the config says


class Seen(msgspec.Struct, kw_only=True):
    """One request, read. `limited` is the work with the tokens that it may make in truth."""

    inputs: dict[str, Any]
    ids: list[int]
    images: int
    limited: TextGeneration


class Reader:
    """A model's processor. `context` counts the tokens of images, too."""

    def __init__(self, folder: Path, context: int | None) -> None:
        import transformers

        kept = {"local_files_only": True, "trust_remote_code": False}
        self._processor = transformers.AutoProcessor.from_pretrained(str(folder), **kept)
        config = transformers.AutoConfig.from_pretrained(str(folder), **kept)
        own = getattr(config.get_text_config(), "max_position_embeddings", None) or CONTEXT
        self.context: int = min(own, context or own)

    def read(self, request: InferenceRequest, work: TextGeneration) -> Seen:
        """Raises InvalidInput, Unsupported."""
        import torch

        prompt = work.prompt
        if isinstance(prompt, TokenPrompt):
            if work.images:
                raise InvalidInput("Images need a conversation. Please send `messages`.", "messages")
            row = torch.tensor([prompt.ids])
            return self._limited({"input_ids": row, "attention_mask": torch.ones_like(row)}, work)
        if not isinstance(prompt, TextPrompt):
            raise InvalidInput("This model takes prepared text generation requests only.")
        if work.truncate is not None:
            raise Unsupported("`truncate` is not supported for conversations with this model.", "truncate")
        images = self._open(request, work)
        return self._limited(self._process(prompt.text, images), work)

    def _open(self, request: InferenceRequest, work: TextGeneration) -> list[Any]:
        images, pixels = [], 0
        for media in work.images:
            image = open_image(request, media)
            pixels += image.width * image.height
            if pixels > MAX_PIXELS:
                raise InvalidInput(
                    f"The images of this request have more than {MAX_PIXELS // 10**6} million pixels together. "
                    "Please send smaller ones, or fewer.",
                    media.name or "messages",
                )
            images.append(image)
        return images

    def _process(self, text: str, images: Sequence[Any]) -> dict[str, Any]:
        bos = self._processor.tokenizer.bos_token
        more: dict[str, Any] = {"images": list(images)} if images else {}
        if bos and text.startswith(bos):  # as the library does it: the text brings its first token itself
            more["add_special_tokens"] = False
        try:
            return dict(self._processor(text=[text], return_tensors="pt", **more))
        except Exception:
            raise InvalidInput(
                "These messages and images cannot be put to the model. A message must not have the model's own mark of "
                "an image in its text, and an image must be of a usual size.",
                "messages",
            ) from None

    def _limited(self, inputs: dict[str, Any], work: TextGeneration) -> Seen:
        """Raises InvalidInput where the prompt alone is too long."""
        ids: list[int] = inputs["input_ids"][0].tolist()
        room = self.context - len(ids)
        if room < 1:
            raise InvalidInput(
                f"The messages and images have {len(ids)} tokens; this model reads less than {self.context}.",
                "messages",
            )
        limited = msgspec.structs.replace(work, max_new_tokens=min(work.max_new_tokens or room, room))
        return Seen(inputs=inputs, ids=ids, images=len(work.images), limited=limited)
