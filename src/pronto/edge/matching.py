"""Matching of paths against the table of routes, and whose shape an error has at a path. Knows no handler."""

import re

from pronto.core.errors import MethodNotAllowed, NotFound
from pronto.core.tasks import INTERNAL_TASKS, Task
from pronto.edge.routes import TABLE, Match, Route

# Whose shape an error has that comes before any dialect reads the request, or out of a page: the first that fits.
_WRITERS = (
    (re.compile(r"/v1/+messages(?:/|$)|^/+anthropic/"), "anthropic"),
    (re.compile(r"/v1/"), "openai-chat"),
    # Ollama's clients ask for more than is in the table.
    (
        re.compile(
            r"^/+api/(?:generate|chat|tags|ps|version|show|create|copy|delete|pull|push|embed|embeddings|blobs)(?:/|$)"
        ),
        "ollama",
    ),
)


def writer_of(path: str) -> str:
    """The dialect that writes errors at this path, whether anything is there or not."""
    return next((dialect for pattern, dialect in _WRITERS if pattern.search(path)), "hf")


REMEMBERED = 1024  # requests whose route is not looked for again
REMEMBERED_PATH = 256  # characters

_SEGMENT = r"[\w.-]{1,96}"
_ID = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})?", re.ASCII)
_TASKS = {task.value: task for task in Task if task not in INTERNAL_TASKS}
_Methods = dict[str, Route]


def _by_path(table: tuple[Route, ...]) -> dict[str, _Methods]:
    paths: dict[str, _Methods] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method] = route
    return paths


class Routes:
    """The table, made ready for matching: a dictionary for plain paths, else prefix, id and suffix."""

    def __init__(self, table: tuple[Route, ...] = TABLE) -> None:
        self._matches: dict[tuple[str, str], Match] = {}  # by method and path
        self._plain: dict[str, _Methods] = {}
        self._prefixed: dict[str, dict[str, _Methods]] = {}  # prefix to suffix to methods
        self._task_first: dict[str, _Methods] = {}  # prefixes after which a task stands, then the id
        for path, methods in _by_path(table).items():
            prefix, _, suffix = path.partition("{id}")
            if prefix == path:
                self._plain[path] = methods
            elif prefix.endswith("{task}/"):
                self._task_first[prefix.removesuffix("{task}/")] = methods
            else:
                self._prefixed.setdefault(prefix, {})[suffix.removesuffix("{task}")] = methods

    def match(self, method: str, path: str) -> Match:
        """`path` is decoded. Raises NotFound, or MethodNotAllowed with the methods that the path has."""
        match = self._matches.get((method, path))
        if match is None:
            match = self._find(method, path)
            if len(path) <= REMEMBERED_PATH:
                if len(self._matches) >= REMEMBERED:
                    self._matches.clear()
                self._matches[method, path] = match
        return match

    def _find(self, method: str, path: str) -> Match:
        methods = self._plain.get(path)
        if methods is not None:
            return _pick(methods, method, path, None, None)
        if "//" in path:
            path = re.sub("/{2,}", "/", path)
        if "/v1/v1/" in path:
            # Clients add it to an address that ends with it already.
            path = path.replace("/v1/v1/", "/v1/")
        if path.endswith("/") and path != "/":
            path = path[:-1]
        methods = self._plain.get(path)
        if methods is not None:
            return _pick(methods, method, path, None, None)
        for prefix, suffixes in self._prefixed.items():
            if path.startswith(prefix):
                return _match_model(suffixes, method, path, path[len(prefix) :])
        for prefix, methods in self._task_first.items():
            if path.startswith(prefix):
                task, _, model = path[len(prefix) :].partition("/")
                return _pick(methods, method, path, _valid(model, path), _task(task, path))
        raise _unknown(path)


def _match_model(suffixes: dict[str, _Methods], method: str, path: str, rest: str) -> Match:
    # An id that ends like a route is refused at registration, so a known suffix is never part of an id.
    parts = rest.split("/", 2)
    if len(parts) == 1:
        return _found(suffixes, "", method, path, rest)
    after_one = rest[len(parts[0]) :]
    if _known(suffixes, after_one):
        return _found(suffixes, after_one, method, path, parts[0])
    model = f"{parts[0]}/{parts[1]}"
    return _found(suffixes, rest[len(model) :], method, path, model)


def _known(suffixes: dict[str, _Methods], suffix: str) -> bool:
    return suffix in suffixes or suffix[: suffix.rfind("/") + 1] in suffixes


def _found(suffixes: dict[str, _Methods], suffix: str, method: str, path: str, model: str) -> Match:
    methods = suffixes.get(suffix)
    if methods is not None:
        return _pick(methods, method, path, _valid(model, path), None)
    head, _, last = suffix.rpartition("/")
    methods = suffixes.get(head + "/")
    if methods is None:
        raise _unknown(path)
    return _pick(methods, method, path, _valid(model, path), _task(last, path))


def _pick(methods: _Methods, method: str, path: str, model: str | None, task: Task | None) -> Match:
    route = methods.get(method) or (methods.get("GET") if method == "HEAD" else None)
    if route is None:
        allowed = (*methods, "HEAD", "OPTIONS") if "GET" in methods else (*methods, "OPTIONS")
        raise MethodNotAllowed(f"{path} does not take {method}. It takes {', '.join(methods)}.", allowed)
    return Match(route, model, task or route.task)


def _valid(model: str, path: str) -> str:
    if _ID.fullmatch(model) is None or ".." in model:
        raise _unknown(path)
    return model


def _task(name: str, path: str) -> Task:
    task = _TASKS.get(name)
    if task is None:
        raise NotFound(f"There is no task {name[:96]!r}. Please look at /docs for what this server offers.")
    return task


def _unknown(path: str) -> NotFound:
    return NotFound(f"There is nothing at {path[:200]}. Please look at /docs for what this server offers.")
