"""Every path finds its route, its model and its task, or none."""

import timeit

import pytest

from pronto.core.errors import MethodNotAllowed, NotFound
from pronto.core.tasks import Task
from pronto.edge.matching import Routes
from pronto.edge.routes import TABLE

ROUTES = Routes()
TEXT = Task.TEXT_GENERATION


@pytest.mark.parametrize(
    ("path", "name", "model", "task"),
    [
        ("/", "tgi-root", None, TEXT),
        ("//", "tgi-root", None, TEXT),
        ("/generate", "tgi-generate", None, TEXT),
        ("/generate/", "tgi-generate", None, TEXT),
        ("//generate_stream", "tgi-generate-stream", None, TEXT),
        ("/models/gpt2", "hf", "gpt2", None),
        ("/models/gpt2/", "hf", "gpt2", None),
        ("//models//org/name", "hf", "org/name", None),
        ("/models/org/name-7b_v0.2", "hf", "org/name-7b_v0.2", None),
        ("/models/gpt2/generate", "tgi-generate", "gpt2", TEXT),
        ("/models/org/name/generate", "tgi-generate", "org/name", TEXT),
        ("/models/org/name/generate_stream", "tgi-generate-stream", "org/name", TEXT),
        ("/models/gpt2/pipeline/summarization", "hf", "gpt2", Task.SUMMARIZATION),
        ("/models/org/name/pipeline/fill-mask", "hf", "org/name", Task.FILL_MASK),
        ("/pipeline/text-generation/gpt2", "hf", "gpt2", TEXT),
        ("/pipeline/feature-extraction/org/name", "hf", "org/name", Task.FEATURE_EXTRACTION),
        ("/hf-inference/models/org/name", "hf", "org/name", None),
        ("/hf-inference/models/gpt2/pipeline/translation", "hf", "gpt2", Task.TRANSLATION),
    ],
)
def test_posts(path: str, name: str, model: str | None, task: Task | None) -> None:
    match = ROUTES.match("POST", path)
    assert (match.route.name, match.model, match.task) == (name, model, task)


@pytest.mark.parametrize(
    ("path", "name", "model"),
    [
        ("/", "root", None),
        ("/models", "models", None),
        ("/models/", "models", None),
        ("/models/gpt2", "model", "gpt2"),
        ("/models/org/name", "model", "org/name"),
        ("/models/gpt2/info", "model-info", "gpt2"),
        ("/models/org/name/info", "model-info", "org/name"),
        ("/models/org/name/health", "model-health", "org/name"),
        ("/info", "info", None),
        ("/health", "health", None),
        ("/ping", "health", None),
        ("/health/ready", "ready", None),
        ("/metrics", "metrics", None),
        ("/openapi.json", "openapi", None),
        ("/docs", "docs", None),
    ],
)
def test_gets(path: str, name: str, model: str | None) -> None:
    for method in ("GET", "HEAD"):
        match = ROUTES.match(method, path)
        assert (match.route.name, match.model) == (name, model)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/models/..",
        "/models/../etc",
        "/models/a..b/c",
        "/models/a/b/c",
        "/models/a/b/info/d",
        "/models/" + "a" * 97,
        "/models/a b",
        "/models/%2e%2e/x",
        "/models/né",
        "/models/a\x00b",
        "/models/a/b/pipeline/text-generation/c",
        "/models/gpt2/pipeline/no-such-task",
        "/models/gpt2/pipeline/prepare",
        "/pipeline/pull/gpt2",
        "/pipeline/text-generation",
        "/pipeline/text-generation/a/b/c",
        "/hf-inference",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there(method: str, path: str) -> None:
    with pytest.raises(NotFound):
        ROUTES.match(method, path)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/generate", ("POST", "OPTIONS")),
        ("DELETE", "/models/gpt2", ("POST", "GET", "HEAD", "OPTIONS")),
        ("POST", "/health", ("GET", "HEAD", "OPTIONS")),
        ("PUT", "/", ("POST", "GET", "HEAD", "OPTIONS")),
    ],
)
def test_other_methods(method: str, path: str, allowed: tuple[str, ...]) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        ROUTES.match(method, path)
    assert caught.value.allowed == allowed


def test_every_line_of_the_table_is_reached() -> None:
    for route in TABLE:
        path = route.path.format(id="org/name", task="text-generation")
        assert ROUTES.match(route.method, path).route is route


def test_matching_is_quick() -> None:
    """2 microseconds are the aim; the bound leaves room for a busy machine."""
    fastest = min(timeit.repeat(lambda: ROUTES.match("POST", "/models/org/name"), number=2000, repeat=5)) / 2000
    assert fastest < 20e-6
