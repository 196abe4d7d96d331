"""The body of text generation as Hugging Face and TGI define it, to a TextGeneration. Shared by both dialects.

Checks, their order and their messages are those of TGI's validation; neutral values are accepted besides.
"""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import InfillPrompt, Prompt, Sampling, TextGeneration, TextPrompt
from pronto.wire.faults import Malformed
from pronto.wire.grammar import GrammarBody, read_grammar
from pronto.wire.image_request import ImageBounds
from pronto.wire.json_body import decode_json
from pronto.wire.options import OptionsBody

DEFAULT_NEW_TOKENS = 20
# Below this the largest logit wins in single precision anyway, and dividing by it would overflow.
GREEDY_BELOW = 1e-4
MAX_FACTOR = 100.0  # of temperature and repetition penalty: beyond it single precision loses the distribution
MIN_PENALTY = 0.01
MAX_SEED = 2**64 - 1
MAX_COUNT = 2**32 - 1
MAX_STOP_CHARACTERS = 256


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the server or the plan allows at most in one request."""

    max_best_of: int = 4
    max_stop_sequences: int = 4
    max_new_tokens: int = 4096
    max_top_n_tokens: int = 5
    max_client_batch_size: int = 32  # prompts in one request
    images: ImageBounds = ImageBounds()


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The field `parameters`. Every one may be null or missing; unknown ones are passed over."""

    adapter_id: str | None = None
    best_of: int | None = None
    decoder_input_details: bool | None = None
    details: bool | None = None
    do_sample: bool | None = None
    frequency_penalty: float | None = None
    grammar: GrammarBody | None = None
    max_new_tokens: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    return_full_text: bool | None = None
    seed: int | None = None
    stop: list[str] | None = None
    stop_sequences: list[str] | None = None
    suffix: str | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_n_tokens: int | None = None
    top_p: float | None = None
    truncate: int | None = None
    typical_p: float | None = None
    watermark: bool | None = None
    # llm-ls writes `{"parameters": {"parameters": {...}}}` when its user has set none.
    parameters: "Parameters | None" = None


class TextBody(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body. A `model` in it is junk from clients: the path decides."""

    inputs: str | list[str]
    parameters: Parameters | None = None
    stream: bool | None = None
    options: OptionsBody | None = None


_NONE_GIVEN = Parameters()
_decoder = msgspec.json.Decoder(TextBody)


def read_body(body: bytes) -> tuple[TextBody, Parameters]:
    """The body and its parameters, nested ones merged in. Raises InvalidInput."""
    read = decode_json(_decoder, body)
    parameters = read.parameters or _NONE_GIVEN
    inner = parameters.parameters
    if inner is not None:
        given = {
            name: value
            for source in (inner, parameters)
            for name in Parameters.__struct_fields__
            if name != "parameters" and (value := getattr(source, name)) is not None
        }
        parameters = Parameters(**given)
    return read, parameters


def read_inputs(body: TextBody, bounds: Bounds, *, streams: bool) -> tuple[str, ...]:
    """The prompts, at least one. Raises InvalidInput."""
    if isinstance(body.inputs, str):
        return (body.inputs,)
    if not body.inputs:
        raise _wrong("inputs", "cannot be empty")
    if len(body.inputs) > bounds.max_client_batch_size:
        raise InvalidInput(
            f"Number of prompts exceeds the maximum allowed batch size of {bounds.max_client_batch_size}", "inputs"
        )
    if streams and len(body.inputs) > 1:
        raise _wrong("inputs", "must be one prompt when streaming tokens. Please send one request for each prompt")
    return tuple(body.inputs)


def read_one_input(body: TextBody) -> str:
    """For routes that take no list. Raises InvalidInput."""
    if isinstance(body.inputs, str):
        return body.inputs
    raise Malformed(
        "Failed to deserialize the JSON body into the target type: inputs: expected a string, got a list. "
        "Please send one request for each prompt.",
        "inputs",
    )


def read_text(inputs: str, p: Parameters, bounds: Bounds, *, streams: bool) -> TextGeneration:
    """Raises InvalidInput with the message of the first check that fails."""
    choices = _choices(p, bounds, streams)
    sampling = _sampling(p, choices)
    max_new_tokens = DEFAULT_NEW_TOKENS if p.max_new_tokens is None else p.max_new_tokens
    if max_new_tokens <= 0:
        raise _wrong("max_new_tokens", "must be strictly positive")
    if max_new_tokens > bounds.max_new_tokens:
        raise _too_much("max_new_tokens", max_new_tokens, bounds.max_new_tokens)
    stop = _stop(p, bounds)
    if p.seed is not None:
        _check_seed(p.seed, choices)
    top_n = p.top_n_tokens or 0
    if not 0 <= top_n <= bounds.max_top_n_tokens:
        raise _wrong("top_n_tokens", f"must be >= 0 and <= {bounds.max_top_n_tokens}. Given: {top_n}")
    if not inputs and not p.suffix:
        raise _wrong("inputs", "cannot be empty")
    if p.truncate is not None and not 0 < p.truncate <= MAX_COUNT:
        raise _wrong("truncate", f"must be strictly positive and less than {MAX_COUNT}. Given: {p.truncate}")
    return TextGeneration(
        prompt=_prompt(inputs, p),
        max_new_tokens=max_new_tokens,
        sampling=sampling,
        stop=stop,
        truncate=p.truncate,
        choices=choices,
        logprobs=streams or choices > 1 or wants_details(p),
        top_logprobs=top_n,
        prompt_logprobs=bool(p.decoder_input_details),
        grammar=None if p.grammar is None else read_grammar(p.grammar),
        adapter=p.adapter_id or None,
        watermark=bool(p.watermark),
    )


def _prompt(inputs: str, p: Parameters) -> Prompt:
    if not p.suffix:
        return TextPrompt(inputs)
    if p.truncate is not None:
        raise _wrong("truncate", "cannot be used together with `suffix`")
    return InfillPrompt(prefix=inputs, suffix=p.suffix)


def wants_details(p: Parameters) -> bool:
    """Details of the input imply those of the output, as in TGI."""
    return bool(p.details or p.decoder_input_details)


def _choices(p: Parameters, bounds: Bounds, streams: bool) -> int:
    best_of, most = 1 if p.best_of is None else p.best_of, bounds.max_best_of
    if streams and best_of != 1:
        raise _wrong("best_of", "!= 1 is not supported when streaming tokens")
    if streams and p.decoder_input_details:
        raise _wrong("decoder_input_details", "== true is not supported when streaming tokens")
    if best_of == 1:
        return 1
    if most == 1:
        raise _wrong("best_of", "!= 1 is not allowed for this endpoint")
    if not 0 < best_of <= most:
        raise _wrong("best_of", f"must be > 0 and <= {most}. Given: {best_of}")
    if not _asks_for_sampling(p):
        raise InvalidInput("you must use sampling when `best_of` is > 1", "best_of")
    return best_of


def _asks_for_sampling(p: Parameters) -> bool:
    if p.temperature is not None and 0 <= p.temperature < GREEDY_BELOW:
        return False
    return bool(p.do_sample) or any(v is not None for v in (p.temperature, p.top_k, p.top_p, p.typical_p, p.min_p))


def _sampling(p: Parameters, choices: int) -> Sampling:
    temperature = 1.0 if p.temperature is None else p.temperature
    repetition, frequency, presence = _penalties(p, temperature)
    top_p = 1.0 if p.top_p is None else p.top_p
    if not 0.0 < top_p <= 1.0:
        raise _wrong("top_p", "must be > 0.0 and < 1.0")
    typical_p = 1.0 if p.typical_p is None else p.typical_p
    if not 0.0 < typical_p <= 1.0:
        raise _wrong("typical_p", "must be > 0.0 and < 1.0")
    min_p = p.min_p or 0.0
    if not 0.0 <= min_p < 1.0:
        raise _wrong("min_p", "must be >= 0.0 and < 1.0")
    top_k = 0 if p.top_k is None else p.top_k
    if p.top_k is not None and not 0 < top_k <= MAX_COUNT:
        raise _wrong("top_k", "must be strictly positive" if top_k <= 0 else f"must be <= {MAX_COUNT}")
    changes_choice = temperature != 1.0 or top_k or top_p < 1.0 or typical_p < 1.0 or min_p
    # At greedy choice, what shades sampling has no meaning and would only split the cache.
    is_sampled = temperature >= GREEDY_BELOW and bool(p.do_sample or choices > 1 or changes_choice)
    return Sampling(
        do_sample=is_sampled,
        temperature=temperature if is_sampled else 1.0,
        top_k=top_k if is_sampled else 0,
        top_p=top_p if is_sampled else 1.0,
        min_p=min_p if is_sampled else 0.0,
        typical_p=typical_p if is_sampled else 1.0,
        repetition_penalty=repetition,
        frequency_penalty=frequency,
        presence_penalty=presence,
        seed=p.seed if is_sampled else None,
    )


def _penalties(p: Parameters, temperature: float) -> tuple[float, float, float]:
    if temperature < 0:
        raise _wrong("temperature", "must be strictly positive")
    if temperature > MAX_FACTOR:
        raise _wrong("temperature", f"must be <= {MAX_FACTOR}")
    repetition = 1.0 if p.repetition_penalty is None else p.repetition_penalty
    if repetition <= 0:
        raise _wrong("repetition_penalty", "must be strictly positive")
    if not MIN_PENALTY <= repetition <= MAX_FACTOR:
        raise _wrong("repetition_penalty", f"must be >= {MIN_PENALTY} and <= {MAX_FACTOR}")
    frequency, presence = p.frequency_penalty or 0.0, p.presence_penalty or 0.0
    if not -2.0 <= frequency <= 2.0:
        raise _wrong("frequency_penalty", "must be >= -2.0 and <= 2.0")
    if not -2.0 <= presence <= 2.0:
        raise _wrong("presence_penalty", "must be >= -2.0 and <= 2.0")
    return repetition, frequency, presence


def _stop(p: Parameters, bounds: Bounds) -> tuple[str, ...]:
    if not p.stop and not p.stop_sequences:
        return ()
    # An empty stop string would end every answer before it began; clients send it for "none".
    stop = tuple(dict.fromkeys(text for text in (p.stop or []) + (p.stop_sequences or []) if text))
    most = bounds.max_stop_sequences
    if len(stop) > most:
        raise _wrong("stop", f"supports up to {most} stop sequences. Given: {len(stop)}")
    if max(map(len, stop), default=0) > MAX_STOP_CHARACTERS:
        raise _wrong("stop", f"strings may have up to {MAX_STOP_CHARACTERS} characters")
    return stop


def _check_seed(seed: int, choices: int) -> None:
    if choices > 1:
        raise _wrong("seed", "must not be set when `best_of` > 1")
    if not 0 <= seed <= MAX_SEED:
        raise _wrong("seed", f"must be >= 0 and <= {MAX_SEED}. Given: {seed}")


def _wrong(name: str, rule: str) -> InvalidInput:
    return InvalidInput(f"`{name}` {rule}", name)


def _too_much(name: str, value: int, most: int) -> InvalidInput:
    return _wrong(name, f"must be <= {most}. Given: {value}")
