"""Models that know which token belongs where a mask stands."""

from collections.abc import Sequence
from typing import Any

from pronto.core.errors import InvalidInput
from pronto.core.events import Usage, Value
from pronto.core.tasks import Task
from pronto.core.text_work import Filling, Fillings, FillMasks
from pronto.engines.base import Failed
from pronto.engines.batched import Item
from pronto.engines.pipelines_text.head import NOT_FINITE
from pronto.engines.pipelines_text.loading import Loaded, padded, read_text

MAX_FILLINGS = 4096  # of one text: each is a text of its own in the answer

_Guess = tuple[list[float], list[int]]  # scores and token ids, the most likely first


class MaskHead:
    """See Head. The best tokens are chosen with the batch: all scores of a vocabulary are not kept."""

    works = (FillMasks,)

    def __init__(self, loaded: Loaded, task: Task) -> None:
        self._loaded = loaded
        self._mask = loaded.tokenizer.mask_token_id
        if self._mask is None:
            raise ValueError(f"The tokenizer of {loaded.name} has no mask, so {task} cannot be done with it.")

    def split(self, work: FillMasks) -> Sequence[Item]:
        targets = self._targets(work.targets)
        return [self._item(text, targets, work.top_k) for text in work.texts]

    def _item(self, text: str, targets: tuple[int, ...], top_k: int) -> Item:
        said = read_text(self._loaded, text, name="inputs")
        ids = said["input_ids"]
        masks = [place for place, id in enumerate(ids) if id == self._mask]
        if not masks:
            raise InvalidInput(
                f"`inputs` has no mask. Please write {self._loaded.tokenizer.mask_token} in it.", "inputs"
            )
        most = min(top_k, len(targets) or self._loaded.config.vocab_size)
        if most * len(masks) > MAX_FILLINGS:
            raise InvalidInput(f"`top_k` times the masks in `inputs` must be <= {MAX_FILLINGS}.", "top_k")
        return Item(value=(said, masks, targets, most), cost=len(ids), kind="mask")

    def _targets(self, words: tuple[str, ...]) -> tuple[int, ...]:
        """Token ids; of a word that is no token the first piece, as transformers does it. Raises InvalidInput."""
        tokenizer = self._loaded.tokenizer
        vocabulary = tokenizer.get_vocab() if words else {}
        ids = []
        for word in words:
            id = vocabulary.get(word)
            pieces = [id] if id is not None else tokenizer(word, add_special_tokens=False)["input_ids"]
            if not pieces:
                raise InvalidInput(f"`targets`: the model knows nothing like {word[:50]!r}.", "targets")
            ids.append(pieces[0])
        return tuple(dict.fromkeys(ids))

    def predict(self, items: Sequence[Item]) -> Sequence[tuple[list[_Guess], Any, list[int]] | Failed]:
        import torch

        logits = self._loaded.model(**padded(self._loaded, [item.value[0] for item in items])).logits
        found: list[Any] = []
        for row, item in zip(logits, items, strict=True):
            said, masks, targets, most = item.value
            scores = row[masks].float()
            if not torch.isfinite(scores).all():
                found.append(NOT_FINITE)
                continue
            scores = scores.softmax(dim=-1)
            if targets:
                scores = scores[:, list(targets)]
            best = scores.topk(most)
            ids = [[targets[place] if targets else place for place in each] for each in best.indices.tolist()]
            found.append((list(zip(best.values.tolist(), ids, strict=True)), said["input_ids"], masks))
        return found

    def join(self, work: FillMasks, values: Sequence[Any]) -> tuple[Value, Usage]:
        rows = tuple(self._fill(*value) for value in values)
        return Fillings(rows), Usage(prompt_tokens=sum(len(ids) for _, ids, _ in values))

    def _fill(self, guesses: list[_Guess], ids: list[int], masks: list[int]) -> tuple[tuple[Filling, ...], ...]:
        return tuple(
            tuple(self._filling(ids, place, id, score, alone=len(masks) == 1) for score, id in zip(*guess, strict=True))
            for guess, place in zip(guesses, masks, strict=True)
        )

    def _filling(self, ids: list[int], place: int, id: int, score: float, *, alone: bool) -> Filling:
        tokenizer = self._loaded.tokenizer
        filled = [*ids[:place], id, *ids[place + 1 :]]
        # Other masks are special tokens, and must not vanish from the text.
        sequence = tokenizer.decode(filled, skip_special_tokens=alone)
        return Filling(score, id, tokenizer.decode([id]), sequence)
