"""`/v1/completions`: one prompt or several, as text or token ids. The answers are written in completion_reply.py."""

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.request import (
    InferenceRequest,
    InfillPrompt,
    Prompt,
    TextGeneration,
    TextPrompt,
    TokenPrompt,
)
from pronto.core.tasks import Task
from pronto.wire.base import Call, Encoder, Raw, Response
from pronto.wire.json_body import decode_json
from pronto.wire.model_name import asked_model
from pronto.wire.openai import errors
from pronto.wire.openai.completion_reply import completion_encoder
from pronto.wire.openai.sampling import (
    SamplingBody,
    read_choices,
    read_max_tokens,
    read_sampling,
    read_stop,
    read_top,
)
from pronto.wire.openai.schema import FormatBody, read_format
from pronto.wire.openai.style import Style
from pronto.wire.options import OptionsBody, read_options
from pronto.wire.text_request import Bounds

MAX_ID = 2**31 - 1
_NAMES = errors.names_for("prompt") | {"top_n_tokens": "logprobs"}


class StreamOptionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream shall hold besides."""

    include_usage: bool | None = None


class CompletionBody(SamplingBody, frozen=True, kw_only=True):
    """The whole body. Null counts as missing, and unknown keys are passed over."""

    prompt: str | list[str | int | list[int]]
    model: str | None = None
    suffix: str | None = None
    stream: bool | None = None
    stream_options: StreamOptionsBody | None = None
    n: int | None = None
    best_of: int | None = None
    max_tokens: int | None = None
    echo: bool | None = None
    logprobs: int | bool | None = None
    response_format: FormatBody | None = None
    options: OptionsBody | None = None
    # JavaScript's client writes the parameters of Hugging Face's text generation here.
    return_full_text: bool | None = None
    max_new_tokens: int | None = None


_decoder = msgspec.json.Decoder(CompletionBody)


class CompletionDialect:
    """OpenAI's completions. `max_prompts` is the most that one request may bring."""

    def __init__(self, bounds: Bounds, max_prompts: int) -> None:
        self._bounds, self._max_prompts = bounds, max_prompts

    def decode(self, raw: Raw) -> Call:
        """Raises InvalidInput."""
        body = decode_json(_decoder, raw.body)
        prompts = _prompts(body, self._max_prompts)
        work = _work(body, prompts[0], self._bounds)
        model, options = asked_model(raw, body.model), read_options(raw.headers, body.options, cache_sampled=False)
        first, *more = [
            InferenceRequest(
                id=raw.request_id,
                model=model,
                task=Task.TEXT_GENERATION,
                work=msgspec.structs.replace(work, prompt=prompt),
                options=options,
            )
            for prompt in prompts
        ]
        return Call(first, _style(raw, body, model, prompts), tuple(more))

    def encoder(self, call: Call) -> Encoder:
        return completion_encoder(call.reply)

    def encode_error(self, error: ProntoError, headers: dict[str, str]) -> Response:
        return errors.respond(error, headers, _NAMES)


def _prompts(body: CompletionBody, most: int) -> list[Prompt]:
    prompts = _read_prompts(body.prompt)
    if len(prompts) > most:
        raise InvalidInput(f"`prompt` may hold up to {most} prompts. Given: {len(prompts)}", "prompt")
    if not body.suffix:
        return prompts
    texts = [prompt.text for prompt in prompts if isinstance(prompt, TextPrompt)]
    if len(texts) < len(prompts):
        raise InvalidInput("`suffix` needs a prompt of text, not of token ids", "suffix")
    return [InfillPrompt(prefix=text, suffix=body.suffix) for text in texts]


def _read_prompts(prompt: str | list[str | int | list[int]]) -> list[Prompt]:
    """A text, a list of texts, one prompt as token ids, or a list of those."""
    if isinstance(prompt, str):
        return [TextPrompt(_filled(prompt))]
    texts = [one for one in prompt if isinstance(one, str)]
    ids = [one for one in prompt if isinstance(one, int)]
    lists = [one for one in prompt if isinstance(one, list)]
    if not prompt or len(prompt) not in (len(texts), len(ids), len(lists)):
        kinds = "a string, a list of strings, a list of token ids, or a list of such lists"
        raise InvalidInput(f"`prompt` must be {kinds}, and not empty", "prompt")
    if texts:
        return [TextPrompt(_filled(text)) for text in texts]
    return [_tokens(one) for one in ([ids] if ids else lists)]


def _filled(text: str) -> str:
    if not text:
        raise InvalidInput("`prompt` cannot be empty", "prompt")
    return text


def _tokens(ids: list[int]) -> TokenPrompt:
    if not ids:
        raise InvalidInput("`prompt` cannot be empty", "prompt")
    if min(ids) < 0 or max(ids) > MAX_ID:
        raise InvalidInput(f"`prompt` has token ids that are not between 0 and {MAX_ID}", "prompt")
    return TokenPrompt(ids)


def _work(body: CompletionBody, prompt: Prompt, bounds: Bounds) -> TextGeneration:
    sampling, unset = read_sampling(body)
    choices = _choices(body, bounds)
    limit = "max_tokens" if body.max_tokens is not None or body.max_new_tokens is None else "max_new_tokens"
    wants_logprobs = _logprobs(body) is not None
    if wants_logprobs and _echoes(body):
        raise InvalidInput("`echo` together with `logprobs` is not supported. Please leave one of them out.", "echo")
    return TextGeneration(
        prompt=prompt,
        max_new_tokens=read_max_tokens(limit, getattr(body, limit), bounds),
        sampling=sampling,
        stop=read_stop(body.stop, bounds),
        keep_stop=False,
        choices=choices,
        # The best of several are found by their log-probabilities.
        logprobs=wants_logprobs or choices > (body.n or 1),
        top_logprobs=read_top("logprobs", _logprobs(body), bounds),
        grammar=read_format(body.response_format),
        unset=unset,
    )


def _choices(body: CompletionBody, bounds: Bounds) -> int:
    shown = read_choices("n", body.n, bounds)
    if body.best_of is None:
        return shown
    made = read_choices("best_of", body.best_of, bounds)
    if made < shown:
        raise InvalidInput("`best_of` must be >= `n`", "best_of")
    if made > shown and body.stream:
        raise InvalidInput("`best_of` > `n` is not supported when streaming tokens", "best_of")
    return made


def _logprobs(body: CompletionBody) -> int | None:
    if isinstance(body.logprobs, bool):  # as for conversations
        return 0 if body.logprobs else None
    return body.logprobs


def _echoes(body: CompletionBody) -> bool:
    return bool(body.return_full_text) if body.echo is None else body.echo


def _style(raw: Raw, body: CompletionBody, model: str, prompts: list[Prompt]) -> Style:
    texts = [_text_of(prompt) for prompt in prompts]
    if _echoes(body) and None in texts:
        raise InvalidInput("`echo` needs a prompt of text, not of token ids", "echo")
    known = tuple(text for text in texts if text is not None)
    shown = body.n or 1
    return Style(
        id=f"cmpl-{raw.request_id}",
        created=raw.now,
        model=model,
        streams=bool(body.stream),
        choices=shown,
        best_of=body.best_of or shown,
        prompts=len(prompts),
        prefixes=known if _echoes(body) else (),
        usage=bool(body.stream_options and body.stream_options.include_usage),
        logprobs=_logprobs(body),
        characters=sum(map(len, known)),
        is_string_error=errors.is_hugging_face(raw.headers),
    )


def _text_of(prompt: Prompt) -> str | None:
    if isinstance(prompt, InfillPrompt):
        return prompt.prefix
    return prompt.text if isinstance(prompt, TextPrompt) else None
