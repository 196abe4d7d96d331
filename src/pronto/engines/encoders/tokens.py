"""Texts to token ids with an encoder's own tokenizer: special tokens, prompts, truncation at either end. No torch."""

from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.vector_work import Text
from pronto.engines.encoders.recipe import Recipe
from pronto.engines.text.source import read_json

_PAD_TOKENS = ("[PAD]", "<pad>", "<|endoftext|>", "</s>", "<|pad|>")


class Tokens(msgspec.Struct, frozen=True):
    """One input of the model, special tokens included. `prompt` counts the tokens of a prompt that is not pooled."""

    ids: list[int]
    types: list[int]
    prompt: int = 0


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a text that is too long. `prefix` is put before each text."""

    allows: bool = True
    left: bool = False
    prefix: str = ""


class Tokenizing:
    """The tokenizer of `folder`. Raises ValueError with a sentence when there is none that can be read."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self._path, self._recipe = folder / recipe.root / "tokenizer.json", recipe
        self._whole = self._open()
        self.max_tokens = recipe.max_tokens
        self.pad = self._find_pad(read_json(folder / recipe.root / "config.json"))
        self._has_types = _has_types(read_json(folder / recipe.root / "tokenizer_config.json"))
        self._vocabulary = self._whole.get_vocab_size(with_added_tokens=True)

    def read(self, text: Text, cut: Cut, param: str = "inputs") -> Tokens:
        """Raises InvalidInput for a text that is too long and must not be cut, or ids that there are not."""
        if not isinstance(text, str):
            return self._from_ids(text, cut, param)
        text = cut.prefix + text
        text = text.lower() if self._recipe.lowers else text
        whole = self._whole.encode(text)
        if len(whole.ids) > self.max_tokens:
            self._refuse(len(whole.ids), cut, param)
            whole = (self._cut_left if cut.left else self._cut_right).encode(text)
        prompt = self._prompt_tokens(cut.prefix) if cut.prefix and not self._recipe.pools_prompt else 0
        return self._tokens(whole, prompt)

    def read_pair(self, first: str, second: str, cut: Cut, param: str = "texts") -> Tokens:
        """Two texts as one input, as cross-encoders take them; the longer one is cut first. Raises InvalidInput."""
        whole = self._whole.encode(first, second)
        if len(whole.ids) > self.max_tokens:
            self._refuse(len(whole.ids), cut, param)
            whole = (self._cut_left if cut.left else self._cut_right).encode(first, second)
        return self._tokens(whole)

    def _tokens(self, whole: Any, prompt: int = 0) -> Tokens:
        return Tokens(whole.ids, whole.type_ids if self._has_types else [0] * len(whole.ids), prompt)

    def _from_ids(self, ids: tuple[int, ...], cut: Cut, param: str) -> Tokens:
        if ids and not 0 <= min(ids) <= max(ids) < self._vocabulary:
            raise InvalidInput(
                f"`{param}` has token ids that this model does not know; they must be below {self._vocabulary}. "
                "Ids of another tokenizer mean nothing to it: please send the text.",
                param,
            )
        head, tail = self._frame
        room = self.max_tokens - len(head) - len(tail)
        if len(ids) > room:
            self._refuse(len(ids) + len(head) + len(tail), cut, param)
            ids = ids[len(ids) - room :] if cut.left else ids[:room]
        if self._frame_length and list(ids[: len(head)]) == head and list(ids[-len(tail) :] if tail else []) == tail:
            framed = list(ids)
        else:
            framed = [*head, *ids, *tail]
        return Tokens(framed, [0] * len(framed))

    def _refuse(self, length: int, cut: Cut, param: str) -> None:
        if not cut.allows:
            raise InvalidInput(f"`{param}` must have less than {self.max_tokens} tokens. Given: {length}", param)

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens before and after a text, found with one that has a token of its own."""
        probe = self._whole.encode("a")
        inner = [index for index, special in enumerate(probe.special_tokens_mask) if not special]
        if not inner:
            return [], []
        return probe.ids[: inner[0]], probe.ids[inner[-1] + 1 :]

    @property
    def _frame_length(self) -> int:
        return sum(map(len, self._frame))

    @cached_property
    def _cut_right(self) -> Any:
        return self._open("right")

    @cached_property
    def _cut_left(self) -> Any:
        return self._open("left")

    def _open(self, end: str | None = None) -> Any:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(self._path))
        except Exception as error:  # the library raises Exception itself
            raise ValueError(f"tokenizer.json of this model cannot be read: {error}") from None
        tokenizer.no_padding()
        if end is None:
            tokenizer.no_truncation()
        else:
            tokenizer.enable_truncation(self._recipe.max_tokens, direction=end)
        return tokenizer

    def _find_pad(self, config: dict[str, Any]) -> int:
        named = config.get("pad_token_id")
        if isinstance(named, int) and named >= 0:
            return named
        found = (self._whole.token_to_id(token) for token in _PAD_TOKENS)
        return next((id for id in found if id is not None), 0)

    def _prompt_tokens(self, prefix: str) -> int:
        if prefix not in self._prompts:
            probe = self._whole.encode(prefix)
            ends_special = bool(probe.special_tokens_mask and probe.special_tokens_mask[-1])
            self._prompts[prefix] = len(probe.ids) - ends_special
        return self._prompts[prefix]

    @cached_property
    def _prompts(self) -> dict[str, int]:
        return {}


def _has_types(config: dict[str, Any]) -> bool:
    """Whether the second text of a pair is marked as such; transformers 5 does so only where it is said."""
    names = config.get("model_input_names")
    return (
        "token_type_ids" in names if isinstance(names, list) else config.get("tokenizer_class") != "TokenizersBackend"
    )
