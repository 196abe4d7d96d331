"""The pages that the Hub's clients ask for beside inference: which models, which tasks.

Knows no request for inference; the shapes are those that huggingface_hub 0.16 to 2.4 and @huggingface/inference read.
"""

from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from pronto.core.errors import ModelNotFound, NotFound
from pronto.core.model import State
from pronto.core.tasks import Task
from pronto.edge.health import json_response
from pronto.edge.ports import GatewayPort
from pronto.gateway.models import ModelInfo

PROVIDER = "hf-inference"
PAGE = 1000  # models on one page of the list, as on the Hub

_TEXT_TASKS = frozenset({Task.TEXT_GENERATION, Task.TEXT2TEXT_GENERATION, Task.IMAGE_TEXT_TO_TEXT})
_EMBEDDING_TASKS = frozenset({Task.FEATURE_EXTRACTION, Task.SENTENCE_SIMILARITY})
# The names that the old service gave to what served a model, by which clients list the models that are there.
_FRAMEWORKS = {
    "text-generation-inference": _TEXT_TASKS,
    "sentence-transformers": _EMBEDDING_TASKS,
    "diffusers": frozenset({Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE}),
}
_STATES = {
    State.LOADED: "Loaded",
    State.LOADING: "Loading",
    State.FAILED: "Failed",
    State.TOO_BIG: "TooBig",
}


class HubApi:
    """No page asks for a token: clients send none here, also where they have one."""

    def __init__(self, gateway: GatewayPort) -> None:
        self._gateway = gateway

    async def model(self, request: Request) -> Response:
        """One model; `expand` or `expand[]` chooses among its fields."""
        try:
            info = self._gateway.models.describe(request.path_params["model"])
        except ModelNotFound as error:
            # Without this header clients show a bare status instead of the sentence.
            missing = json_response({"error": "Repository not found", "error_type": "model_not_found"}, 404)
            missing.headers.update({"x-error-code": "RepoNotFound", "x-error-message": error.message})
            return missing
        return json_response(_chosen(_model(info), _wanted(request)))

    async def models(self, request: Request) -> Response:
        """All of them, or those that are asked for by tag, author, provider and the like; `expand` as for one."""
        asked = request.query_params
        found = [model for model in map(_model, self._gateway.models.list()) if _is_asked_for(model, asked)]
        limit = asked.get("limit", "")
        found = found[: min(int(limit), PAGE) if limit.isdecimal() else PAGE]
        wanted = _wanted(request)
        return json_response([_chosen(model, wanted) for model in found])

    async def tasks(self, _: Request) -> Response:
        """The models of each task, best first: a client without a model takes the first."""
        tasks: dict[str, list[str]] = {}
        for info in sorted(self._gateway.models.list(), key=lambda info: not info.loaded):
            for task in _tasks(info):
                tasks.setdefault(task, []).append(info.id)
        # huggingface_hub reads one of the keys, @huggingface/inference the other.
        return json_response(
            {task: {"widgetModels": ids, "models": [{"id": id} for id in ids]} for task, ids in tasks.items()}
        )

    async def status(self, request: Request) -> Response:
        """Whether a model is loaded, or would be; how far it is, and why it failed."""
        info = self._gateway.models.describe(request.path_params["model"])
        status = {
            "loaded": info.loaded,
            "state": _STATES.get(info.state, "Loadable"),
            "compute_type": "cpu",
            "framework": _framework(info),
        }
        more = {"estimated_time": info.estimated_time, "progress": info.progress, "reason": info.reason}
        return json_response(status | {name: value for name, value in more.items() if value is not None})

    async def framework(self, request: Request) -> Response:
        """The models that are loaded, of one kind of server."""
        name = request.path_params["model"]
        if name != "transformers" and name not in _FRAMEWORKS:
            return json_response([])
        loaded = [info for info in self._gateway.models.list() if info.loaded and _framework(info) == name]
        return json_response([{"model_id": info.id, "task": info.task, "sha": info.revision} for info in loaded])

    async def agent_harnesses(self, _: Request) -> Response:
        """Newer clients ask for it once a day, and take no for an answer."""
        raise NotFound("This server has no list of agents.")


def _model(info: ModelInfo) -> dict[str, Any]:
    tasks = _tasks(info)
    offered = "conversational" if "conversational" in tasks else tasks[0]
    mapping = {"status": "live", "providerId": info.id, "task": offered}
    return {
        "_id": info.id,
        "id": info.id,
        "modelId": info.id,
        "author": info.id.rpartition("/")[0] or None,
        "sha": info.revision or None,
        "private": False,
        "gated": False,
        "pipeline_tag": info.task,
        "tags": tasks,
        "downloads": 0,
        "likes": 0,
        "siblings": [],
        "inference": "cold" if info.state in (State.FAILED, State.TOO_BIG) else "warm",
        "inferenceProviderMapping": {PROVIDER: mapping},
    }


def _tasks(info: ModelInfo) -> list[str]:
    """What the model can be asked for, its own task first."""
    if info.task in _TEXT_TASKS and info.chats:
        return [info.task, "conversational"]
    if info.task in _EMBEDDING_TASKS:
        return [info.task, *(_EMBEDDING_TASKS - {info.task})]
    return [info.task]


def _framework(info: ModelInfo) -> str:
    return next((name for name, tasks in _FRAMEWORKS.items() if info.task in tasks), "transformers")


def _is_asked_for(model: dict[str, Any], asked: QueryParams) -> bool:
    """Whether the fields that the Hub's clients choose by leave this model."""
    tags = [tag for name in ("pipeline_tag", "filter") for tag in asked.getlist(name) if tag]
    providers = asked.getlist("inference_provider")
    return (
        all(tag in model["tags"] for tag in tags)
        and asked.get("search", "").lower() in model["id"].lower()
        and asked.get("author") in (None, "", model["author"])
        and asked.get("inference") in (None, "", model["inference"])
        and (not providers or not {"all", PROVIDER}.isdisjoint(providers))
    )


def _chosen(model: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    return {name: model[name] for name in model if name in wanted} if wanted else model


def _wanted(request: Request) -> set[str]:
    """The fields of `expand=a&expand=b`, as Python spells it, or `expand[]=a`, as JavaScript does; `id` always."""
    pairs = parse_qsl(request.url.query)
    names = {part for name, value in pairs if name in ("expand", "expand[]") for part in value.split(",")}
    return {"_id", "id"} | names if names else set()
