"""The description of the API, made from the table of routes and the structs of the bodies; as a program, prints it."""

import json
import re
import sys
from typing import Any

import msgspec

from pronto import __version__
from pronto.accounts.usage_report import UsageReport
from pronto.edge.account_pages import RevokeBody
from pronto.edge.admin_pages import ChangeBody, MemberBody, OrgBody, UserBody
from pronto.edge.admin_tokens import NewTokenBody, TokenShown
from pronto.edge.routes import TABLE, Route
from pronto.edge.running import RunningRequest
from pronto.gateway.models import ModelInfo
from pronto.wire.anthropic.body import CountBody, MessagesBody
from pronto.wire.anthropic.reply import CountAnswer, MessageAnswer
from pronto.wire.ollama.body import GenerateBody, OllamaChatBody
from pronto.wire.ollama.embed import OllamaEmbedBody
from pronto.wire.openai.chat import ChatBody
from pronto.wire.openai.chat_reply import ChatAnswer
from pronto.wire.openai.completion_reply import CompletionAnswer
from pronto.wire.openai.completions import CompletionBody
from pronto.wire.openai.embeddings import EmbeddingBody
from pronto.wire.openai.images import ImagesBody
from pronto.wire.openai.images_reply import ImagesAnswer
from pronto.wire.openai.models import ModelBody, ModelList
from pronto.wire.openai.rerank import RerankBody
from pronto.wire.openai.responses import ResponseRequest
from pronto.wire.tei.bodies import CompareBody, EmbedBody, PredictBody, RankBody
from pronto.wire.text_reply import FrameBody, TextAnswer
from pronto.wire.text_request import TextBody
from pronto.wire.tgi.dialect import InfoBody
from pronto.wire.tgi.tokens import ChatTokenizeAnswer, ChatTokenizeBody, PieceBody

_Document = dict[str, Any]
_REF = "#/components/schemas/{name}"


def _ref(name: str) -> _Document:
    return {"$ref": _REF.format(name=name)}


class OpenAiFault(msgspec.Struct, frozen=True):
    """What went wrong; `param` is the field that is meant, if one is."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAiErrorBody(msgspec.Struct, frozen=True):
    """A failure beneath `/v1`. Hugging Face's clients get `error` as a string instead."""

    error: OpenAiFault


class ResponseDocument(msgspec.Struct, frozen=True):
    """A response of OpenAI's kind, with what it repeats of its request."""

    id: str
    object: str
    created_at: int
    status: str  # completed | incomplete | in_progress
    error: None
    incomplete_details: dict[str, str] | None
    model: str
    output: list[dict[str, Any]]
    usage: dict[str, Any] | None


class ErrorBody(msgspec.Struct, frozen=True):
    """A failure. OpenAI's clients get `error` as an object instead."""

    error: str
    error_type: str


_BODIES = (
    *(TextBody, TextAnswer, FrameBody, ErrorBody, ModelInfo, InfoBody),
    *(ChatBody, ChatAnswer, CompletionBody, CompletionAnswer, ModelBody, ModelList, OpenAiErrorBody),
    *(ResponseRequest, ResponseDocument, RunningRequest),
    *(RevokeBody, UserBody, OrgBody, ChangeBody, MemberBody, NewTokenBody, TokenShown, UsageReport),
)
_PAGES = {
    "models": ("array", "ModelInfo"),
    "model": ("object", "ModelInfo"),
    "v1-models": ("object", "ModelList"),
    "v1-model": ("object", "ModelBody"),
    "v1-model-alone": ("object", "ModelList"),
    "response": ("object", "ResponseDocument"),
    "requests": ("array", "RunningRequest"),
    "usage": ("object", "UsageReport"),
    "admin-usage": ("object", "UsageReport"),
    "admin-tokens": ("array", "TokenShown"),
    "admin-create-token": ("object", "TokenShown"),
    "admin-rotate-token": ("object", "TokenShown"),
}
_PAGE_BODIES = {
    "revoke-credentials": "RevokeBody",
    "admin-add-user": "UserBody",
    "admin-add-org": "OrgBody",
    "admin-change": "ChangeBody",
    "admin-set-member": "MemberBody",
    "admin-create-token": "NewTokenBody",
}
_PAGE_STATUSES = {
    "revoke-credentials": "202",
    "admin-add-user": "201",
    "admin-add-org": "201",
    "admin-create-token": "201",
    "admin-revoke-token": "204",
    "admin-remove-member": "204",
}
_OPENAI = {  # dialect to the names of its body and its answer
    "openai-chat": ("ChatBody", "ChatAnswer"),
    "openai-completions": ("CompletionBody", "CompletionAnswer"),
    "openai-responses": ("ResponseRequest", "ResponseDocument"),
    "openai-embeddings": ("EmbeddingBody", ""),
    "openai-rerank": ("RerankBody", ""),
    "openai-images": ("ImagesBody", "ImagesAnswer"),
}
_OTHER_BODIES = (
    *(MessagesBody, CountBody, GenerateBody, OllamaChatBody, ChatTokenizeBody),
    *(ImagesBody, EmbeddingBody, RerankBody, OllamaEmbedBody, EmbedBody, RankBody, CompareBody, PredictBody),
)
_OTHER_ANSWERS = (ImagesAnswer, MessageAnswer, CountAnswer, PieceBody, ChatTokenizeAnswer)
_FORMS = ("openai-image-edits", "openai-image-variations")  # routes whose body is a form, with files beside the fields
# Route to the struct of its body, and the schema of its answer where it is one.
_OTHERS: dict[str, tuple[str, _Document]] = {
    "anthropic-messages": ("MessagesBody", _ref("MessageAnswer")),
    "anthropic-count-tokens": ("CountBody", _ref("CountAnswer")),
    "ollama-generate": ("GenerateBody", {"type": "object"}),
    "ollama-chat": ("OllamaChatBody", {"type": "object"}),
    "ollama-embed": ("OllamaEmbedBody", {"type": "object"}),
    "ollama-embeddings": ("OllamaEmbedBody", {"type": "object"}),
    **{f"tei-{name}": ("EmbedBody", {"type": "array"}) for name in ("embed", "embed-all", "embed-sparse")},
    "tei-rerank": ("RankBody", {"type": "array", "items": {"type": "object"}}),
    "tei-similarity": ("CompareBody", {"type": "array", "items": {"type": "number"}}),
    "tei-predict": ("PredictBody", {"type": "array"}),
    "tgi-tokenize": ("TextBody", {"type": "array", "items": _ref("PieceBody")}),
    "tgi-chat-tokenize": ("ChatTokenizeBody", _ref("ChatTokenizeAnswer")),
}
_OTHER_STREAMS = {
    "anthropic-messages": "text/event-stream",
    "ollama-generate": "application/x-ndjson",
    "ollama-chat": "application/x-ndjson",
}
_INFO = ("model-info", "info")
_WITH_TOKEN = ("hub-whoami", "usage")
_FILES: _Document = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "string", "format": "binary"}, "mask": {"type": "string", "format": "binary"}},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Asked again with the same key, the same request gets the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_STATUSES = {
    401: "No valid token came with the request.",
    403: "The plan or the scope of the token does not allow this.",
    404: "There is no such model.",
    409: "A request with the same Idempotency-Key is in work; see Retry-After.",
    413: "The body is too large.",
    422: "The request is wrong; the message says how.",
    424: "The engine failed on the request.",
    429: "Your own limit, or the server's capacity; see Retry-After.",
    499: "The request was stopped by its account.",
    500: "The model could not be loaded.",
    503: "The model is being loaded, or the server is stopping; see Retry-After.",
    504: "The request's deadline passed.",
}


def document() -> _Document:
    """An OpenAPI 3.1 document."""
    _, components = msgspec.json.schema_components(_BODIES + _OTHER_BODIES + _OTHER_ANSWERS, ref_template=_REF)
    paths: dict[str, _Document] = {}
    for route in TABLE:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pronto", "version": __version__, "description": "An Inference API that you own."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> _Document:
    operation: _Document = {"operationId": _operation_id(route), "summary": route.summary}
    names = re.findall(r"{(\w+)}", route.path)
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if route.dialect is None:
        return operation | _of_page(route)
    operation["security"] = [{"token": []}]
    operation.setdefault("parameters", []).append(_KEY)
    if route.dialect in _OPENAI:
        described = _openai(*_OPENAI[route.dialect])
        if route.name in _FORMS:
            schema = {"allOf": [_ref(_OPENAI[route.dialect][0]), _FILES]}
            described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
        return operation | described
    operation["requestBody"] = {"required": True, "content": _json(_ref(_asked(route)))}
    failures = {str(status): _failure(text) for status, text in _STATUSES.items()}
    operation["responses"] = {"200": _answer(route), **failures}
    return operation


def _openai(body: str, answer: str) -> _Document:
    streamed: _Document = {"text/event-stream": {"schema": {"type": "string"}}}
    content = _json(_ref(answer)) | streamed if answer else _json({"type": "object"})
    statuses = {400 if status == 422 else status: text for status, text in _STATUSES.items()}
    failures = {
        str(status): {"description": text, "content": _json(_ref("OpenAiErrorBody"))}
        for status, text in statuses.items()
    }
    whole = {"description": "The answer; with `stream` true, one frame for each token.", "content": content}
    return {
        "requestBody": {"required": True, "content": _json(_ref(body))},
        "responses": {"200": whole, **failures},
    }


def _operation_id(route: Route) -> str:
    path = re.sub(r"\W+", "-", route.path).strip("-") or "root"
    return f"{route.method.lower()}-{path}"


def _asked(route: Route) -> str:
    return _OTHERS[route.name][0] if route.name in _OTHERS else "TextBody"


def _answer(route: Route) -> _Document:
    if route.name in _OTHERS:
        stream = _OTHER_STREAMS.get(route.name)
        streamed: _Document = {stream: {"schema": {"type": "string"}}} if stream else {}
        return {"description": "The answer.", "content": _json(_OTHERS[route.name][1]) | streamed}
    answer = _ref("TextAnswer")
    content: _Document = {}
    if route.name == "tgi-generate":
        content |= _json(answer)
    elif route.name != "tgi-generate-stream":
        content |= _json({"type": "array", "items": answer})
    if route.name != "tgi-generate":
        content["text/event-stream"] = {"schema": _ref("FrameBody")}
    return {"description": "The answer; with `stream` true, one frame for each token.", "content": content}


def _page(route: Route) -> _Document:
    if route.name in _INFO:
        return {"description": route.summary, "content": _json(_ref("InfoBody"))}
    kind, name = _PAGES.get(route.name, ("", ""))
    if not kind:
        return {"description": route.summary}
    schema = {"type": "array", "items": _ref(name)} if kind == "array" else _ref(name)
    return {"description": route.summary, "content": _json(schema)}


def _of_page(route: Route) -> _Document:
    operation: _Document = {"responses": {_PAGE_STATUSES.get(route.name, "200"): _page(route)}}
    if route.name in _PAGE_BODIES:
        operation["requestBody"] = {"required": True, "content": _json(_ref(_PAGE_BODIES[route.name]))}
    if route.name.startswith("admin-") or route.name in _WITH_TOKEN:
        operation["security"] = [{"token": []}]
        operation["responses"] |= {str(status): _failure(_STATUSES[status]) for status in (401, 403)}
    return operation


def _failure(text: str) -> _Document:
    return {"description": text, "content": _json(_ref("ErrorBody"))}


def _json(schema: _Document) -> _Document:
    return {"application/json": {"schema": schema}}


def render() -> str:
    """The text of docs/openapi.json."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
