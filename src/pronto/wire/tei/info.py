"""`/info` of a model that makes vectors, ranks or classifies, with the fields of text-embeddings-inference."""

from typing import Any

import msgspec

from pronto.core.tasks import Task
from pronto.wire.vectors import MAX_TEXTS

_KINDS = {
    Task.FEATURE_EXTRACTION: "embedding",
    Task.SENTENCE_SIMILARITY: "embedding",
    Task.TEXT_RANKING: "reranker",
    Task.TEXT_CLASSIFICATION: "classifier",
}


class EncoderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `auto_truncate` is what the routes of TEI do with a text that is too long: they refuse it."""

    model_id: str
    model_sha: str
    model_dtype: str
    model_type: dict[str, dict[str, Any]]
    model_pipeline_tag: str
    max_concurrent_requests: int
    max_input_length: int
    max_client_batch_size: int = MAX_TEXTS
    auto_truncate: bool = False
    tokenization_workers: int = 1
    router: str = "pronto"
    version: str
    sha: str | None = None
    docker_label: str | None = None


def model_type(task: Task) -> dict[str, dict[str, Any]] | None:
    """None for a model of another kind, which TEI does not serve."""
    kind = _KINDS.get(task)
    return {kind: {}} if kind else None
