"""The line of a request that only wants its tokens: no slot, no engine, one row of the ledger without tokens."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from pronto.core.events import Done, Event, Output, Started, Times, Waiting
from pronto.core.identity import Caller
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, Tokenize
from pronto.gateway.models import Models
from pronto.gateway.prepare import Preparation, has_files
from pronto.gateway.usage import Usage


class Tokenizing:
    """Answers `Tokenize`. `clock` gives monotonic seconds."""

    def __init__(self, models: Models, preparation: Preparation, usage: Usage, clock: Callable[[], float]) -> None:
        self._models, self._preparation, self._usage, self._clock = models, preparation, usage, clock

    async def run(self, caller: Caller, model: Model, request: InferenceRequest) -> AsyncGenerator[Event, None]:
        """Started, Output, Done. A model whose files are not here is loaded as for any other request."""
        assert isinstance(request.work, Tokenize)  # the line has looked
        if not has_files(model):
            async with aclosing(self._models.ready(model, request.options)) as steps:
                async for step in steps:
                    if isinstance(step, Waiting):
                        yield step
                    else:
                        model = step.model
        began = self._clock()
        tokenized = await self._preparation.tokenize(model, request.work)
        milliseconds = (self._clock() - began) * 1000
        await self._usage.free(caller, model, request)
        yield Started(model.revision, model.engine, "cpu")
        yield Output(tokenized)
        yield Done(times=Times(validation_ms=milliseconds))
