"""The parameters that chats, completions and responses share, to Sampling and bounds."""

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import Sampling
from pronto.wire.text_request import GREEDY_BELOW, MAX_COUNT, MAX_FACTOR, MAX_STOP_CHARACTERS, MIN_PENALTY, Bounds

MAX_SEED = 2**63 - 1


class SamplingBody(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of a body. Null counts as missing; `top_k`, `min_p` and `repetition_penalty` are no part of OpenAI's."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    logit_bias: dict[str, float] | None = None


def read_sampling(body: SamplingBody) -> tuple[Sampling, tuple[str, ...]]:
    """How tokens are chosen, and which parameters are left to the model. Raises InvalidInput."""
    if body.logit_bias:
        raise _wrong("logit_bias", "is not supported. Please leave it out.")
    temperature = 1.0 if body.temperature is None else _within("temperature", body.temperature, 0.0, MAX_FACTOR)
    top_p = 1.0 if body.top_p is None else _within("top_p", body.top_p, 0.0, 1.0)
    top_k, min_p, greedy = _top_k(body), body.min_p or 0.0, _penalties(body)
    if not 0.0 <= min_p < 1.0:
        raise _wrong("min_p", "must be >= 0 and < 1")
    seed = _seed(body.seed)
    if temperature < GREEDY_BELOW or top_p == 0.0:
        return greedy, ()
    unset = tuple(name for name in ("temperature", "top_p", "top_k") if getattr(body, name) is None)
    sampling = msgspec.structs.replace(
        greedy, do_sample=True, temperature=temperature, top_p=top_p, top_k=top_k, min_p=min_p, seed=seed
    )
    return sampling, unset


def read_stop(stop: str | list[str] | None, bounds: Bounds) -> tuple[str, ...]:
    """Raises InvalidInput. An empty string, which would end every answer at once, means none."""
    if not stop:
        return ()
    texts = tuple(dict.fromkeys(text for text in ([stop] if isinstance(stop, str) else stop) if text))
    if len(texts) > bounds.max_stop_sequences:
        raise _wrong("stop", f"supports up to {bounds.max_stop_sequences} stop sequences. Given: {len(texts)}")
    if max(map(len, texts), default=0) > MAX_STOP_CHARACTERS:
        raise _wrong("stop", f"strings may have up to {MAX_STOP_CHARACTERS} characters")
    return texts


def read_max_tokens(name: str, value: int | None, bounds: Bounds) -> int | None:
    """Raises InvalidInput. None: the rest of the context."""
    if value is None:
        return None
    if value <= 0:
        raise _wrong(name, "must be strictly positive")
    if value > bounds.max_new_tokens:
        raise _wrong(name, f"must be <= {bounds.max_new_tokens}. Given: {value}")
    return value


def read_choices(name: str, value: int | None, bounds: Bounds) -> int:
    """Raises InvalidInput."""
    count = 1 if value is None else value
    if not 0 < count <= bounds.max_best_of:
        raise _wrong(name, f"must be > 0 and <= {bounds.max_best_of}. Given: {count}")
    return count


def read_top(name: str, value: int | None, bounds: Bounds) -> int:
    """Raises InvalidInput."""
    count = value or 0
    if not 0 <= count <= bounds.max_top_n_tokens:
        raise _wrong(name, f"must be >= 0 and <= {bounds.max_top_n_tokens}. Given: {count}")
    return count


def _top_k(body: SamplingBody) -> int:
    # Clients of other servers write -1 for "off".
    if body.top_k is None or body.top_k == -1:
        return 0
    if not 0 <= body.top_k <= MAX_COUNT:
        raise _wrong("top_k", f"must be >= 0 and <= {MAX_COUNT}")
    return body.top_k


def _penalties(body: SamplingBody) -> Sampling:
    repetition = 1.0 if body.repetition_penalty is None else body.repetition_penalty
    return Sampling(
        repetition_penalty=_within("repetition_penalty", repetition, MIN_PENALTY, MAX_FACTOR),
        frequency_penalty=_within("frequency_penalty", body.frequency_penalty or 0.0, -2.0, 2.0),
        presence_penalty=_within("presence_penalty", body.presence_penalty or 0.0, -2.0, 2.0),
    )


def _seed(seed: int | None) -> int | None:
    if seed is None:
        return None
    if not -MAX_SEED - 1 <= seed <= MAX_SEED:
        raise _wrong("seed", f"must be >= {-MAX_SEED - 1} and <= {MAX_SEED}. Given: {seed}")
    return seed & MAX_SEED  # OpenAI takes negative ones, engines do not


def _within(name: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise _wrong(name, f"must be >= {least:g} and <= {most:g}")
    return value


def _wrong(name: str, rule: str) -> InvalidInput:
    return InvalidInput(f"`{name}` {rule}", name)
