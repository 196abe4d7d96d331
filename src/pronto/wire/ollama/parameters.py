"""The field `options` of Ollama's bodies: sampling, length and stop strings, each with its range."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Sampling
from pronto.wire.text_request import (
    GREEDY_BELOW,
    MAX_COUNT,
    MAX_FACTOR,
    MAX_SEED,
    MAX_STOP_CHARACTERS,
    MIN_PENALTY,
    Bounds,
)

_SHADES = ("temperature", "top_p", "top_k")  # what the model's own defaults fill in


class OptionsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Those that say how to run a model (`num_ctx`, `num_gpu`, ...) are the operator's here, and passed over."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    seed: int | None = None
    num_predict: int | None = None
    stop: str | list[str] | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    mirostat: int | None = None


def read_sampling(options: OptionsBody) -> tuple[Sampling, tuple[str, ...]]:
    """The sampling, and which of it is left to the model's own defaults. Raises InvalidInput."""
    if options.mirostat:
        raise InvalidInput("`mirostat` is not supported. Please use `temperature`, `top_p` or `top_k`.", "mirostat")
    penalties = {
        "repetition_penalty": _within("repeat_penalty", options.repeat_penalty, MIN_PENALTY, MAX_FACTOR, 1.0),
        "frequency_penalty": _within("frequency_penalty", options.frequency_penalty, -2.0, 2.0, 0.0),
        "presence_penalty": _within("presence_penalty", options.presence_penalty, -2.0, 2.0, 0.0),
    }
    shades = _shades(options)
    if options.temperature is not None and options.temperature < GREEDY_BELOW:
        # At greedy choice, what shades sampling has no meaning and would only split the cache.
        return msgspec.convert(penalties, Sampling), ()
    unset = tuple(name for name in _SHADES if getattr(options, name) is None)
    return msgspec.convert({"do_sample": True, "seed": _seed(options.seed), **penalties, **shades}, Sampling), unset


def read_number_of_tokens(options: OptionsBody, bounds: Bounds) -> int | None:
    """None: the rest of the context, for which Ollama writes -1 and -2. Raises InvalidInput."""
    count = options.num_predict
    if count is None or count <= 0:
        return None
    if count > bounds.max_new_tokens:
        raise InvalidInput(f"`num_predict` must be <= {bounds.max_new_tokens}. Given: {count}", "num_predict")
    return count


def read_stop(options: OptionsBody, bounds: Bounds) -> tuple[str, ...]:
    """Raises InvalidInput."""
    given = [options.stop] if isinstance(options.stop, str) else options.stop or []
    stop = tuple(dict.fromkeys(text for text in given if text))
    if len(stop) > bounds.max_stop_sequences:
        raise InvalidInput(f"`stop` takes up to {bounds.max_stop_sequences} strings. Given: {len(stop)}", "stop")
    if max(map(len, stop), default=0) > MAX_STOP_CHARACTERS:
        raise InvalidInput(f"`stop` strings may have up to {MAX_STOP_CHARACTERS} characters.", "stop")
    return stop


def _shades(options: OptionsBody) -> dict[str, float]:
    top_k = options.top_k
    if top_k is not None and top_k > MAX_COUNT:
        raise InvalidInput(f"`top_k` must be <= {MAX_COUNT}.", "top_k")
    min_p = _within("min_p", options.min_p, 0.0, 1.0, 0.0)
    if min_p == 1.0:
        raise InvalidInput("`min_p` must be >= 0 and < 1.", "min_p")
    return {
        "temperature": _within("temperature", options.temperature, 0.0, MAX_FACTOR, 1.0),
        "top_p": _share("top_p", options.top_p),
        "typical_p": _share("typical_p", options.typical_p),
        "min_p": min_p,
        "top_k": max(0, top_k or 0),  # llama.cpp writes 0 and -1 for "all of them"
    }


def _seed(seed: int | None) -> int | None:
    if seed is None or seed < 0:
        return None  # -1 is Ollama's "any"
    if seed > MAX_SEED:
        raise InvalidInput(f"`seed` must be <= {MAX_SEED}.", "seed")
    return seed


def _share(name: str, value: float | None) -> float:
    if value is not None and not 0.0 < value <= 1.0:
        raise InvalidInput(f"`{name}` must be > 0 and <= 1. Given: {value:g}", name)
    return 1.0 if value is None else value


def _within(name: str, value: float | None, least: float, most: float, neutral: float) -> float:
    if value is None:
        return neutral
    if not least <= value <= most:
        raise InvalidInput(f"`{name}` must be >= {least:g} and <= {most:g}. Given: {value:g}", name)
    return value
