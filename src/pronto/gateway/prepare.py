"""Turns a decoded request into one that an engine takes: token ids, effective parameters, a checked grammar.

Knows what the registry says of an engine, and nothing of tokenizers: those live in the preparation process.
"""

import random
from typing import Protocol, TypeGuard, TypeVar, get_args

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Prepared, Tokenized
from pronto.core.expected import Expected
from pronto.core.media import Media, media_in, with_media
from pronto.core.model import Model
from pronto.core.request import (
    ChatPrompt,
    Grammar,
    InferenceRequest,
    Prepare,
    Sampling,
    TaskWork,
    TextGeneration,
    TextPrompt,
    Tokenize,
    TokenPrompt,
    used_parameters,
)
from pronto.core.tasks import Task
from pronto.core.text_work import Converse, WriteText
from pronto.core.vision_work import IMAGE_COST
from pronto.engines import registry

_Work = TypeVar("_Work", TextGeneration, Tokenize)

DEFAULT_CONTEXT = 2048  # tokens, for a model whose entry and config name none


class Preparing(Protocol):
    """What the line needs of fleet/preparation.py."""

    async def prepare(self, work: Prepare) -> Prepared: ...

    async def tokenize(self, work: Tokenize) -> Tokenized: ...

    async def check_grammar(self, model: Model, grammar: Grammar) -> None: ...


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared request, with the exact cost of its prompt, and what is told to the user about it."""

    request: InferenceRequest
    prompt_tokens: int
    max_new_tokens: int
    choices: int
    warnings: tuple[str, ...] = ()
    expected: Expected | None = None  # of work whose numbers are an estimate; None: the above are exact

    @property
    def cost(self) -> int:
        """What the fair queue charges before the first event, in prompt tokens."""
        return self.prompt_tokens if self.expected is None else self.expected.cost


def check_parameters(model: Model, work: TextGeneration) -> tuple[str, ...]:
    """Refuse by name what the engine cannot honour, and return warnings for what it leaves out.

    Raises Unsupported (DESIGN §6: neutral values pass).
    """
    engine = registry.ENTRIES.get(model.engine)
    if engine is None:  # not in this version: refused when it should be loaded
        return ()
    used = used_parameters(work)
    refused = sorted(used & engine.refused)
    if refused:
        name = refused[0]
        raise Unsupported(f"`{name}` is not supported by the engine of {model.id}. Please leave it out.", name)
    return tuple(
        f"parameters; `{name}` is left out: the engine of {model.id} does not have it"
        for name in sorted(used & engine.ignored)
    )


class Preparation:
    """The stage itself. `max_new_tokens` is the most that one request may generate."""

    def __init__(self, preparing: Preparing, *, max_new_tokens: int) -> None:
        self._preparing, self._cap = preparing, max_new_tokens

    async def try_prepare(self, model: Model, request: InferenceRequest, rng: random.Random, most: int) -> Ready | None:
        """As `prepare`, or None when the model's files are not here yet; bad parameters are refused all the same."""
        if has_files(model) or _is_task(request.work):
            return await self.prepare(model, request, rng, most)
        self._check(model, request, most)
        return None

    async def prepare(self, model: Model, request: InferenceRequest, rng: random.Random, most: int) -> Ready:
        """Token ids and effective parameters; `model` has its folder filled in, `most` is the plan's cap of tokens.

        Raises InvalidInput.
        """
        if _is_task(request.work):
            if isinstance(request.work, WriteText | Converse):
                self._check_length(request.work.writing.asked_tokens, most)
            return _as_it_is(request, request.work, rng)
        work, warnings = self._check(model, request, most)
        context = model.context or DEFAULT_CONTEXT
        sees = model.task is Task.IMAGE_TEXT_TO_TEXT
        images = tuple(media_in(work.prompt)) if sees else ()
        prepared = await self._preparing.prepare(
            Prepare(
                folder=_folder(model),
                engine=model.engine,
                context=context,
                work=_without_data(work),
                chat_template=model.chat_template,
                system_prompt=model.system_prompt,
                as_text=sees,
            )
        )
        grammar = prepared.grammar or work.grammar
        if sees and grammar is not None:
            message = f"`tool_choice` that demands a call is not supported by {model.id}. Please send `auto`."
            raise Unsupported(message, "tool_choice")
        if grammar is not None:
            await self._preparing.check_grammar(model, grammar)
        room = min(prepared.max_new_tokens, self._cap, most)
        work = msgspec.structs.replace(
            work,
            prompt=TokenPrompt(prepared.ids) if prepared.text is None else TextPrompt(prepared.text),
            images=images,
            max_new_tokens=room,
            sampling=_with_seed(prepared.sampling or work.sampling, rng),
            unset=(),
            grammar=grammar,
            stop_ids=prepared.stop_ids,
            tool_style=prepared.tool_style,
            thinking=prepared.thinking,
            adapter=model.adapter_folder if _adapts(model) else None,
        )
        tokens = len(prepared.ids) + IMAGE_COST * len(images)
        # How many tokens an image is, its engine knows; what they were in truth comes at the end.
        expected = Expected(prompt_tokens=tokens, generated_tokens=room * work.choices, images=len(images), cost=tokens)
        return Ready(
            request=msgspec.structs.replace(request, work=work),
            prompt_tokens=tokens,
            max_new_tokens=room,
            choices=work.choices,
            warnings=warnings,
            expected=expected if sees else None,
        )

    async def tokenize(self, model: Model, work: Tokenize) -> Tokenized:
        """The tokens of a prompt; `model` has its folder filled in. Raises InvalidInput."""
        return await self._preparing.tokenize(
            msgspec.structs.replace(
                _without_data(work),
                folder=_folder(model),
                engine=model.engine,
                chat_template=model.chat_template,
                system_prompt=model.system_prompt,
            )
        )

    def _check(self, model: Model, request: InferenceRequest, most: int) -> tuple[TextGeneration, tuple[str, ...]]:
        work = request.work
        if not isinstance(work, TextGeneration):
            raise InvalidInput(f"The task {request.task} is not served by this version of Pronto.")
        self._check_length(work.max_new_tokens or 0, most)
        if (
            model.task is not Task.IMAGE_TEXT_TO_TEXT
            and isinstance(work.prompt, ChatPrompt)
            and work.prompt.has_pictures
        ):
            raise InvalidInput(f"The messages have an image, but {model.id} takes text only.", "messages")
        return work, check_parameters(model, work)

    def _check_length(self, asked: int, most: int) -> None:
        cap = min(self._cap, most)
        if asked > cap:
            whose = "" if cap == self._cap else " on your plan"
            raise InvalidInput(f"`max_new_tokens` must be <= {cap}{whose}. Given: {asked}", "max_new_tokens")


def _is_task(work: object) -> TypeGuard[TaskWork]:
    return isinstance(work, get_args(TaskWork))


def _as_it_is(request: InferenceRequest, work: TaskWork, rng: random.Random) -> Ready:
    """Work that its engine reads by itself: there is nothing to prepare but the seed, and nothing is known exactly."""
    if getattr(work, "seed", 0) is None:
        request = msgspec.structs.replace(request, work=msgspec.structs.replace(work, seed=_new_seed(rng)))
    expected = work.expected
    return Ready(
        request=request,
        prompt_tokens=expected.prompt_tokens,
        max_new_tokens=expected.generated_tokens,
        choices=1,
        expected=expected,
    )


def has_files(model: Model) -> bool:
    """Whether the tokenizer's files are here; an engine without a tokenizer needs none."""
    return model.folder is not None or model.engine == "echo"


def _adapts(model: Model) -> bool:
    engine = registry.ENTRIES.get(model.engine)
    return engine is not None and engine.adapts


def _folder(model: Model) -> str:
    return model.exported or model.folder or ""


def _without_data(work: _Work) -> _Work:
    """For who has to know where images stand, and not what is on them."""
    stripped: _Work = with_media(work, lambda media: Media(digest=media.digest, size=media.size))
    return stripped


def _with_seed(sampling: Sampling, rng: random.Random) -> Sampling:
    if not sampling.do_sample or sampling.seed is not None:
        return sampling
    return msgspec.structs.replace(sampling, seed=_new_seed(rng))


def _new_seed(rng: random.Random) -> int:
    # 32 bits: a seed is shown in JSON, and JavaScript keeps integers exact only below 2**53.
    return rng.getrandbits(32)
