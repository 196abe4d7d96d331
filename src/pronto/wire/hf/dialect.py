"""The Hugging Face Inference API: one route for every task of a model. Each task's format is a file beside this one."""

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.request import InferenceRequest
from pronto.core.tasks import Task
from pronto.wire import faults
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.hf import (
    audio,
    image_chat,
    images,
    speech,
    table_questions,
    table_rows,
    text_classification,
    text_conversation,
    text_generation,
    text_questions,
    text_ranking,
    text_tokens,
    text_writing,
    vectors,
    vision,
)
from pronto.wire.hf.asked import Asked, TaskFormat
from pronto.wire.options import read_options
from pronto.wire.text_request import Bounds

REMEMBERED = 256  # requests
REMEMBERED_BODY = 4096  # bytes

FORMATS: dict[Task, TaskFormat] = {
    **text_generation.FORMATS,
    **text_classification.FORMATS,
    **text_tokens.FORMATS,
    **text_questions.FORMATS,
    **text_writing.FORMATS,
    **text_conversation.FORMATS,
    **text_ranking.FORMATS,
    **table_questions.FORMATS,
    **table_rows.FORMATS,
    **vectors.FORMATS,
    **images.FORMATS,
    **audio.FORMATS,
    **speech.FORMATS,
    **image_chat.FORMATS,
    **vision.FORMATS,
}

_Key = tuple[Task, Task | None, bytes, str | None, str | None, str | None]


class HfDialect:
    """`POST /models/{id}` and its aliases."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._asked: dict[_Key, Asked] = {}

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        task, asked = self._read(raw)
        request = InferenceRequest(
            id=raw.request_id,
            model=raw.model,
            task=raw.task,
            work=asked.work,
            options=read_options(raw.headers, asked.options, cache_sampled=True),
            files=raw.files,
        )
        more = tuple(msgspec.structs.replace(request, work=work) for work in asked.more)
        return Call(request, (task.encoder, asked.style), more)

    def _read(self, raw: Raw) -> tuple[TaskFormat, Asked]:
        is_talk = raw.task in text_conversation.TALKING and text_conversation.is_turn(raw.body)
        task = FORMATS.get(Task.CONVERSATIONAL if is_talk else raw.task)
        if task is None:
            raise InvalidInput(f"The task {raw.task} is not served by this version of Pronto.")
        if len(raw.body) > REMEMBERED_BODY or raw.upload is not None:
            return task, task.read(raw, self._bounds)
        # All that a format reads. The same request again, which a kept answer serves, is read once.
        headers = raw.headers
        said = (headers.get("content-type"), headers.get("user-agent"), headers.get("accept"))
        key = (raw.task, raw.own_task, raw.body, *said)
        asked = self._asked.get(key)
        if asked is None:
            asked = task.read(raw, self._bounds)
            if len(self._asked) >= REMEMBERED:
                self._asked.clear()
            self._asked[key] = asked
        return task, asked

    def encoder(self, call: Call) -> Encoder:
        make, style = call.reply
        encoder: Encoder = make(style)
        return encoder

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return faults.respond(error, headers)
