"""How a request wants to be treated: the headers and the `options` of the Hugging Face API. Shared by dialects."""

from collections.abc import Mapping

import msgspec

from pronto.core.request import Options
from pronto.wire.faults import is_impatient

Flag = bool | int | str | None


class OptionsBody(msgspec.Struct, frozen=True):
    """The field `options` of a body. Unknown keys, such as `use_gpu`, are passed over."""

    use_cache: Flag = None
    wait_for_model: Flag = None
    dont_load_model: Flag = None


_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def flag(value: Flag) -> bool | None:
    """What clients write for yes and no; None for what is neither."""
    if value is None:
        return None
    return _WORDS.get(value.strip().lower()) if isinstance(value, str) else bool(value)


def read_options(headers: Mapping[str, str], body: OptionsBody | None, *, cache_sampled: bool) -> Options:
    """Headers win over the body. A client that posts again at once on 503 is made to wait instead."""
    use_cache = flag(headers.get("x-use-cache"))
    wait = flag(headers.get("x-wait-for-model"))
    load = flag(headers.get("x-load-model"))
    if body is not None:
        if use_cache is None:
            use_cache = flag(body.use_cache)
        if wait is None:
            wait = flag(body.wait_for_model)
        if load is None:
            load = not flag(body.dont_load_model)
    return Options(
        use_cache=use_cache,
        cache_sampled=cache_sampled,
        wait_for_model=bool(wait) or is_impatient(headers),
        load_model=load is not False,
    )
