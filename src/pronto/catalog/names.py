"""The rules for a model's id: a key, never a path, and never mistaken for a route. Pure."""

import re

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_ID = re.compile(rf"{_PART}(?:/{_PART})?", re.ASCII)

# What routes end with: `POST /models/a/generate` must not be a model called `a/generate`.
ROUTE_WORDS = frozenset(
    {"info", "generate", "generate_stream", "v1", "health", "ready", "ping", "metrics", "pipeline", "models", "status"}
    | {"chat", "completions", "embeddings", "embed", "rerank", "predict", "similarity", "invocations", "responses"}
    | {"messages", "count_tokens", "tokenize", "chat_tokenize", "decode", "audio", "images", "speech", "generations"}
    | {"transcriptions", "translations", "edits", "docs", "api", "tags", "framework", "hf-inference", "moderations"}
)
# What clients send as the model's name when they mean "the one that is there".
NOBODY = frozenset({"tgi", "dummy"})


def check_id(id: str) -> str:
    """The id itself when it can be one. Raises ValueError with a sentence that says what is wrong."""
    if not _ID.fullmatch(id) or ".." in id or "--" in id:
        raise ValueError(
            f"{id!r} cannot be the id of a model. Please use `name` or `owner/name` with letters, digits, `_`, `.` "
            "and `-`, at most 96 of them in each part, without `..` and `--`, and not with `.` or `-` at either end."
        )
    last = id.rpartition("/")[2]
    if last.lower() in ROUTE_WORDS:
        raise ValueError(f"{id!r} ends like an address of this server (`{last}`). Please choose another id.")
    if id.lower() in NOBODY:
        raise ValueError(f"{id!r} is a name that clients send when they mean any model. Please choose another id.")
    return id


def key_of(id: str) -> str:
    """The name of the model's folder. Two ids never share one: an id has no `--`, and no part begins or ends with `-`.

    Raises ValueError for what is no id, so that nothing outside the data directory can be named.
    """
    if not _ID.fullmatch(id) or ".." in id or "--" in id:
        raise ValueError(f"{id!r} is not the id of a model")
    return id.replace("/", "--")
