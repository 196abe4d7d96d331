"""What is measured of the rooms when somebody asks: queues, models, memory. Knows no request."""

from pronto.edge.metrics import Metrics
from pronto.fleet.fleet import Fleet
from pronto.fleet.nursery import Nursery
from pronto.gateway.limits import Limits


def house_metrics(fleet: Fleet, nursery: Nursery, limits: Limits) -> Metrics:
    """The measurements of a server, with gauges that look at its rooms."""
    metrics = Metrics()
    gauge = metrics.gauge
    gauge("tgi_queue_size", "Requests that wait for a slot.", lambda: sum(d.waiting for d in fleet.loaded()))
    gauge("tgi_batch_current_size", "Requests in engines.", lambda: sum(d.running for d in fleet.loaded()))
    gauge("pronto_requests_in_work", "Requests from entry to last event.", lambda: limits.in_work)
    gauge("pronto_models_loaded", "Models that answer at once.", lambda: len(fleet.loaded()))
    gauge("pronto_model_memory_bytes", "Memory that models hold, measured.", lambda: fleet.memory_used)
    gauge("pronto_warm_bytes", "Memory of libraries kept ready for new workers.", lambda: nursery.bytes)
    metrics.engines(fleet.loaded)
    gauge(
        "pronto_kv_cache_used",
        "Share of the fullest KV cache, 0 to 1.",
        lambda: max((deployment.stats.kv_used for deployment in fleet.loaded()), default=0.0),
    )
    return metrics
