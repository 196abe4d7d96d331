"""The Hugging Face Inference API: one route for every task of a model. Each task's format is a file beside this one."""

from collections.abc import Callable

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.wire import faults
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.hf import text_generation
from pronto.wire.options import read_options
from pronto.wire.text_request import Bounds


class TaskFormat(msgspec.Struct, frozen=True):
    """How one task is read and written."""

    read: Callable[[Raw, Bounds], text_generation.Asked]
    encoder: Callable[[text_generation.TextStyle], Encoder]


FORMATS = {
    Task.TEXT_GENERATION: TaskFormat(text_generation.read, text_generation.text_encoder),
}


class HfDialect:
    """`POST /models/{id}` and its aliases."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        task = FORMATS.get(raw.task)
        if task is None:
            raise InvalidInput(f"The task {raw.task} is not served by this version of Pronto.")
        asked = task.read(raw, self._bounds)
        request = InferenceRequest(
            id=raw.request_id,
            model=raw.model,
            task=raw.task,
            work=asked.work,
            options=read_options(raw.headers, asked.options, cache_sampled=True),
        )
        more = tuple(msgspec.structs.replace(request, work=work) for work in asked.more)
        return Call(request, (task.encoder, asked.style), more)

    def encoder(self, call: Call) -> Encoder:
        make, style = call.reply
        encoder: Encoder = make(style)
        return encoder

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return faults.respond(error, headers)
