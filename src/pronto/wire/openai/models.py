"""Lists of models as OpenAI writes them, and as Anthropic's clients read them on the same path."""

from collections.abc import Sequence

import msgspec

_UNKNOWN = 0  # Unix seconds; the catalog does not know when a model was made
_UNKNOWN_DAY = "1970-01-01T00:00:00Z"


class ModelBody(msgspec.Struct, frozen=True, kw_only=True):
    """One model. The context stands under the names that OpenRouter's and vLLM's clients read."""

    id: str
    object: str = "model"
    created: int = _UNKNOWN
    owned_by: str
    context_length: int | None = None
    max_model_len: int | None = None


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models."""

    object: str = "list"
    data: list[ModelBody]


class AnthropicModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model in Anthropic's shape."""

    type: str = "model"
    id: str
    display_name: str
    created_at: str = _UNKNOWN_DAY


class AnthropicList(msgspec.Struct, frozen=True, kw_only=True):
    """All models in Anthropic's shape, as one page."""

    data: list[AnthropicModel]
    has_more: bool = False
    first_id: str | None
    last_id: str | None


def model_body(id: str, context: int | None) -> ModelBody:
    owner = id.partition("/")[0] if "/" in id else "pronto"
    return ModelBody(id=id, owned_by=owner, context_length=context, max_model_len=context)


def model_list(models: Sequence[tuple[str, int | None]]) -> ModelList:
    """`models` are ids and contexts."""
    return ModelList(data=[model_body(id, context) for id, context in models])


def anthropic_model(id: str) -> AnthropicModel:
    return AnthropicModel(id=id, display_name=id.rpartition("/")[2])


def anthropic_list(ids: Sequence[str]) -> AnthropicList:
    return AnthropicList(
        data=[anthropic_model(id) for id in ids],
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
    )
