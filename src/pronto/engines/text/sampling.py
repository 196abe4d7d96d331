"""Sampling parameters that a client left to the model: what its generation_config.json says. Knows no request."""

from typing import Any

import msgspec

from pronto.core.request import Sampling


def with_defaults(sampling: Sampling, unset: tuple[str, ...], generation: dict[str, Any]) -> Sampling:
    """An unset temperature means the model's own, else 1, and sampling; values out of range count as not said."""
    changed: dict[str, Any] = {}
    if "temperature" in unset:
        said = _number(generation.get("temperature"))
        changed = {"do_sample": said != 0}  # some publish 0 for "greedy"
        if said is not None and said > 0:
            changed["temperature"] = said
    if changed.get("do_sample", sampling.do_sample):
        top_p, top_k = _number(generation.get("top_p")), _number(generation.get("top_k"))
        if "top_p" in unset and top_p is not None and 0 < top_p <= 1:
            changed["top_p"] = top_p
        if "top_k" in unset and top_k is not None and 0 <= top_k < 2**31:
            changed["top_k"] = int(top_k)
    return msgspec.structs.replace(sampling, **changed)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
