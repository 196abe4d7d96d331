"""Measurements for Prometheus, under text-generation-inference's names where they fit. Knows no request's content.

Counting is adding to plain numbers; names and formats are made when somebody asks for them.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pronto.core.events import Done
from pronto.edge.engine_metrics import engine_families
from pronto.fleet.deployment import Deployment

# TGI's: 0.0001 * 1.5 ** k seconds.
DURATION_BUCKETS = tuple(0.0001 * 1.5**k for k in range(1, 36))
TOKEN_BUCKETS = tuple(float(2**k) for k in range(16))

MEDIA_TYPE = CONTENT_TYPE_LATEST.encode()

_COUNTERS = {
    "tgi_request_count": "Requests for inference.",
    "tgi_request_success": "Requests that were answered whole.",
    "pronto_cache_hits": "Requests that a kept answer served.",
    "pronto_generated_tokens": "Tokens generated.",
    "pronto_prompt_tokens": "Tokens of prompts.",
}
_DURATIONS = {
    "tgi_request_duration": "Seconds from a request's head to the end of its answer.",
    "tgi_request_validation_duration": "Seconds in which requests were prepared.",
    "tgi_request_queue_duration": "Seconds in which requests waited for a place.",
    "tgi_request_inference_duration": "Seconds in which engines worked on requests.",
    "tgi_request_mean_time_per_token_duration": "Mean seconds between the tokens of a request.",
    "pronto_time_to_first_token": "Seconds from a stream's request head to its first token.",
}
_TOKENS = {
    "tgi_request_input_length": "Tokens of a prompt.",
    "tgi_request_generated_tokens": "Tokens generated for a request.",
}


class Histogram:
    """Counts by upper bound, and their sum."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        total, buckets = 0, []
        for bound, count in zip((*map(repr, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self._sum)


class Metrics:
    """What the edge counts, and what others let it read."""

    def __init__(self) -> None:
        self._counters = dict.fromkeys(_COUNTERS, 0)
        self._failures: defaultdict[str, int] = defaultdict(int)  # by error type
        self._responses: defaultdict[int, int] = defaultdict(int)  # by status
        self._durations = {name: Histogram(DURATION_BUCKETS) for name in _DURATIONS}
        self._tokens = {name: Histogram(TOKEN_BUCKETS) for name in _TOKENS}
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._engines: Callable[[], Iterable[Deployment]] = tuple
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show what `read` gives at every scrape: `tgi_queue_size`, `tgi_batch_current_size`, ..."""
        self._gauges[name] = (text, read)

    def engines(self, read: Callable[[], Iterable[Deployment]]) -> None:
        """Show what the loaded models do that `read` gives at every scrape."""
        self._engines = read

    def asked(self) -> None:
        """A request for inference has come."""
        self._counters["tgi_request_count"] += 1

    def answered(self, seconds: float, done: Done, *, is_cached: bool) -> None:
        """A request was answered whole; a kept answer adds nothing to what engines did."""
        counters, durations = self._counters, self._durations
        counters["tgi_request_success"] += 1
        durations["tgi_request_duration"].observe(seconds)
        if is_cached:
            counters["pronto_cache_hits"] += 1
            return
        times, usage = done.times, done.usage
        counters["pronto_generated_tokens"] += usage.generated_tokens
        counters["pronto_prompt_tokens"] += usage.prompt_tokens
        durations["tgi_request_validation_duration"].observe(times.validation_ms / 1000)
        durations["tgi_request_queue_duration"].observe(times.queue_ms / 1000)
        durations["tgi_request_inference_duration"].observe(times.inference_ms / 1000)
        per_token = times.inference_ms / 1000 / max(1, usage.generated_tokens)
        durations["tgi_request_mean_time_per_token_duration"].observe(per_token)
        self._tokens["tgi_request_input_length"].observe(usage.prompt_tokens)
        self._tokens["tgi_request_generated_tokens"].observe(usage.generated_tokens)

    def first_token(self, seconds: float) -> None:
        """The first token of a stream was sent."""
        self._durations["pronto_time_to_first_token"].observe(seconds)

    def failed(self, error_type: str) -> None:
        """A request was refused or failed; `dropped`: its client left."""
        self._failures[error_type] += 1

    def responded(self, status: int) -> None:
        """A response has begun."""
        self._responses[status] += 1

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(name, text, value=self._counters[name])
        failures = CounterMetricFamily("tgi_request_failure", "Requests without a whole answer.", labels=["err"])
        for error_type, count in self._failures.items():
            failures.add_metric([error_type], count)
        yield failures
        responses = CounterMetricFamily("pronto_responses", "Responses by status.", labels=["status"])
        for status, count in self._responses.items():
            responses.add_metric([str(status)], count)
        yield responses
        for name, text in _DURATIONS.items():
            yield self._durations[name].family(name, text)
        for name, text in _TOKENS.items():
            yield self._tokens[name].family(name, text)
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(name, text, value=read())
        yield from engine_families(self._engines())

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
