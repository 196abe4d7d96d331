"""What engines do, for Prometheus: the same names for every engine, with its name and the model's as labels."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pronto.fleet.deployment import Deployment
from pronto.fleet.measures import BOUNDS, Measures, Spread

_LABELS = ("engine", "model")
_GAUGES: dict[str, tuple[str, Callable[[Deployment], float]]] = {
    "pronto_engine_running": ("Sequences that the engine works on.", lambda one: one.stats.running),
    "pronto_engine_waiting": ("Sequences that wait inside the engine.", lambda one: one.stats.waiting),
    "pronto_engine_queue": ("Requests that wait for a slot of the engine.", lambda one: one.waiting),
    "pronto_engine_kv_cache_used": ("Share of the KV cache in use, 0 to 1.", lambda one: one.stats.kv_used),
}
_SPREADS: dict[str, tuple[str, Callable[[Measures], Spread]]] = {
    "pronto_engine_first_token_seconds": (
        "From a request's admission to its first token.",
        lambda measures: measures.first_token,
    ),
    "pronto_engine_token_seconds": ("Mean time between the tokens of a request.", lambda measures: measures.token),
}


def engine_families(deployments: Iterable[Deployment]) -> Iterator[Metric]:
    """Of all loaded models. What an engine does not count, it has no line of."""
    loaded = list(deployments)
    for name, (text, read) in _GAUGES.items():
        gauge = GaugeMetricFamily(name, text, labels=_LABELS)
        for one in loaded:
            gauge.add_metric(_named(one), read(one))
        yield gauge
    tokens = CounterMetricFamily("pronto_engine_prefix_tokens", "Tokens of prompts that were read.", labels=_LABELS)
    hits = CounterMetricFamily("pronto_engine_prefix_hits", "Of those, found in the prefix cache.", labels=_LABELS)
    for one in loaded:
        stats = one.stats
        if stats.prefix_tokens is not None:
            tokens.add_metric(_named(one), stats.prefix_tokens)
            hits.add_metric(_named(one), stats.prefix_hits)
    yield tokens
    yield hits
    for name, (text, choose) in _SPREADS.items():
        family = HistogramMetricFamily(name, text, labels=_LABELS)
        for one in loaded:
            spread = choose(one.measures)
            family.add_metric(_named(one), _buckets(spread), spread.sum)
        yield family


def _named(deployment: Deployment) -> tuple[str, str]:
    return deployment.model.engine, deployment.model.id


def _buckets(spread: Spread) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in zip((*map(repr, BOUNDS), "+Inf"), spread.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
