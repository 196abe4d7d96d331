"""Turns prompts into token ids, and checks that prompt and output fit the context. Needs tokenizers, no model.

Messages are text-generation-inference's, without the prefix that its dialect adds.
"""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pronto.core.errors import InvalidInput
from pronto.core.events import Prepared, Tokenized
from pronto.core.model import Model
from pronto.core.request import InferenceRequest, Prepare, TextGeneration, Tokenize
from pronto.engines.base import Capabilities, Device, Tick
from pronto.engines.queued import QueuedEngine
from pronto.engines.text.encoder import CODE_POINTS, Encoder, Tokens
from pronto.engines.text.prompt import Source, encode_prompt, tokenize_prompt
from pronto.engines.text.sampling import with_defaults

_KEPT = 8  # tokenizers in memory; a large one takes some 30 MB


class PrepareEngine(QueuedEngine):
    """Prepares one request a step."""

    def __init__(self, now: Callable[[], datetime] = datetime.now) -> None:
        """`now`: the local time, for templates that tell it to the model."""
        super().__init__()
        self._now = now
        self._encoders: OrderedDict[tuple[str, int], Encoder] = OrderedDict()

    def load(self, model: Model, device: Device, tick: Tick) -> Capabilities:
        return Capabilities(slots=1)

    def answer(self, request: InferenceRequest) -> Prepared | Tokenized:
        work = request.work
        if not isinstance(work, Prepare | Tokenize):
            raise InvalidInput("This worker only prepares requests.")
        return self._answer(work)

    def _answer(self, work: Prepare | Tokenize) -> Prepared | Tokenized:
        encoder = CODE_POINTS if work.engine == "echo" else self._encoder(Path(work.folder))
        source = Source(
            encoder=encoder, chat_template=work.chat_template, system_prompt=work.system_prompt, now=self._now()
        )
        if isinstance(work, Tokenize):
            return tokenize_prompt(work.prompt, source)
        return prepare(work.work, source, work.context, as_text=work.as_text)

    def _encoder(self, folder: Path) -> Encoder:
        """The encoder of a folder, read again when its file has changed. Raises ValueError when there is none."""
        try:
            key = (str(folder), (folder / "tokenizer.json").stat().st_mtime_ns)
        except OSError:
            raise ValueError("The model has no tokenizer.json. Please pull or export it again.") from None
        if key not in self._encoders:
            self._encoders[key] = Tokens(folder)
        self._encoders.move_to_end(key)
        while len(self._encoders) > _KEPT:
            self._encoders.popitem(last=False)
        return self._encoders[key]


def prepare(work: TextGeneration, source: Source, context: int, *, as_text: bool = False) -> Prepared:
    """Ids, truncated and checked, the room that is left, and how the answer is to be read. Raises InvalidInput."""
    _check_truncate(work.truncate, context)
    prompt = encode_prompt(work, source)
    ids = prompt.ids
    if not ids:
        raise InvalidInput("`inputs` cannot be empty", "inputs")
    if work.truncate is not None:
        ids = ids[-work.truncate :]
    return Prepared(
        ids,
        _room(len(ids), work.max_new_tokens, context),
        prompt.characters,
        sampling=with_defaults(work.sampling, work.unset, source.encoder.generation) if work.unset else None,
        grammar=prompt.grammar,
        stop_ids=prompt.stop_ids,
        tool_style=prompt.tool_style,
        thinking=prompt.thinking,
        text=prompt.text if as_text else None,
    )


def _check_truncate(truncate: int | None, context: int) -> None:
    if truncate is not None and not 0 < truncate < context:
        message = f"`truncate` must be strictly positive and less than {context}. Given: {truncate}"
        raise InvalidInput(message, "truncate")


def _room(tokens: int, wanted: int | None, context: int) -> int:
    """Tokens that may be generated after a prompt of so many. Raises InvalidInput when it does not fit."""
    if wanted is not None and wanted < 1:
        raise InvalidInput("`max_new_tokens` must be strictly positive", "max_new_tokens")
    if wanted is not None and tokens + wanted > context:
        raise InvalidInput(
            f"`inputs` tokens + `max_new_tokens` must be <= {context}. "
            f"Given: {tokens} `inputs` tokens and {wanted} `max_new_tokens`",
            "max_new_tokens",
        )
    if tokens >= context:
        raise InvalidInput(f"`inputs` must have less than {context} tokens. Given: {tokens}", "inputs")
    return context - tokens if wanted is None else wanted
