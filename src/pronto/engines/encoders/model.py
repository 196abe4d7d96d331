"""What the BatchModels on encoders share: the load, batches by measured speed, groups in which little is padding."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pronto.core.events import Progress
from pronto.core.model import Model
from pronto.engines.base import Capabilities, Device, Failed, Tick
from pronto.engines.batched import Batches, Item
from pronto.engines.encoders.graph import Graph, dtype_of, groups, precision_of
from pronto.engines.encoders.recipe import Recipe, read_recipe
from pronto.engines.encoders.tokens import Tokenizing
from pronto.engines.text import manifest

SLOTS = 128  # requests; each holds little until its turn
ITEMS = 32
WASTE = 0.12  # of a group, as padding
SMALL = 256  # padded tokens of a group that may waste more
NOT_FINITE = Failed("generation", "The model's answer has numbers that are not finite, so it was not sent.")
LEFT = Failed("generation", "The request was stopped.")


class EncoderModel(ABC):
    """A BatchModel but for `split` and `join`. Items hold Tokens; their cost is the number of these."""

    batches = Batches(items=ITEMS)

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        if model.exported is None:
            raise ValueError("The model was not exported yet. Run `pronto models pull` for it.")
        folder = Path(model.exported)
        tick(((0, Progress(0, 2, unit="stages", stage="verify")),))
        origin = manifest.verify(folder).origin
        recipe = read_recipe(folder)
        self._tokenizing = Tokenizing(folder, recipe)
        tick(((0, Progress(1, 2, unit="stages", stage="load")),))
        self.prepare(folder, recipe)
        precision = precision_of(model)
        self._graph = Graph(folder, device, precision, self._tokenizing.pad)
        self._graph.warm(recipe.max_tokens)
        self._fit_batches()
        return Capabilities(
            slots=model.settings.slots or SLOTS, context=recipe.max_tokens, dtype=dtype_of(origin.weights, precision)
        )

    @abstractmethod
    def prepare(self, folder: Path, recipe: Recipe) -> None:
        """Read what is the model's own besides its graph. Raises ValueError."""

    @abstractmethod
    def compute(self, items: Sequence[Item]) -> Sequence[Any | Failed]:
        """One value for each item, in one call of the graph."""

    def predict(self, items: Sequence[Item], tick: Tick) -> Sequence[Any | Failed]:
        values: list[Any] = [LEFT] * len(items)
        left: frozenset[int] = frozenset()
        for number, group in enumerate(groups([item.cost for item in items], WASTE, SMALL)):
            if number:
                left |= tick(())
            group = [index for index in group if items[index].owner not in left]
            if group:
                made = self.compute([items[index] for index in group])
                for index, value in zip(group, made, strict=True):
                    values[index] = value
        self._fit_batches()
        return values

    def _fit_batches(self) -> None:
        self.batches = Batches(items=ITEMS, cost=self._graph.cost(self._tokenizing.max_tokens))
