"""Turns a decoded request into one that an engine takes: token ids, effective parameters, a checked grammar.

Knows what the registry says of an engine, and nothing of tokenizers: those live in the preparation process.
"""

import random
from typing import Protocol

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Prepared, Tokenized
from pronto.core.model import Model
from pronto.core.request import (
    Grammar,
    InferenceRequest,
    Prepare,
    Sampling,
    TextGeneration,
    Tokenize,
    TokenPrompt,
    used_parameters,
)
from pronto.engines import registry

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
        if not has_files(model):
            self._check(model, request, most)
            return None
        return await self.prepare(model, request, rng, most)

    async def prepare(self, model: Model, request: InferenceRequest, rng: random.Random, most: int) -> Ready:
        """Token ids and effective parameters; `model` has its folder filled in, `most` is the plan's cap of tokens.

        Raises InvalidInput.
        """
        work, warnings = self._check(model, request, most)
        context = model.context or DEFAULT_CONTEXT
        prepared = await self._preparing.prepare(
            Prepare(
                folder=_folder(model),
                engine=model.engine,
                context=context,
                work=work,
                chat_template=model.chat_template,
                system_prompt=model.system_prompt,
            )
        )
        grammar = prepared.grammar or work.grammar
        if grammar is not None:
            await self._preparing.check_grammar(model, grammar)
        room = min(prepared.max_new_tokens, self._cap, most)
        work = msgspec.structs.replace(
            work,
            prompt=TokenPrompt(prepared.ids),
            max_new_tokens=room,
            sampling=_with_seed(prepared.sampling or work.sampling, rng),
            unset=(),
            grammar=grammar,
            stop_ids=prepared.stop_ids,
            tool_style=prepared.tool_style,
            thinking=prepared.thinking,
            adapter=model.adapter_folder if _adapts(model) else None,
        )
        return Ready(
            request=msgspec.structs.replace(request, work=work),
            prompt_tokens=len(prepared.ids),
            max_new_tokens=room,
            choices=work.choices,
            warnings=warnings,
        )

    async def tokenize(self, model: Model, work: Tokenize) -> Tokenized:
        """The tokens of a prompt; `model` has its folder filled in. Raises InvalidInput."""
        return await self._preparing.tokenize(
            msgspec.structs.replace(
                work,
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
        cap = min(self._cap, most)
        if (work.max_new_tokens or 0) > cap:
            whose = "" if cap == self._cap else " on your plan"
            message = f"`max_new_tokens` must be <= {cap}{whose}. Given: {work.max_new_tokens}"
            raise InvalidInput(message, "max_new_tokens")
        return work, check_parameters(model, work)


def has_files(model: Model) -> bool:
    """Whether the tokenizer's files are here; an engine without a tokenizer needs none."""
    return model.folder is not None or model.engine == "echo"


def _adapts(model: Model) -> bool:
    engine = registry.ENTRIES.get(model.engine)
    return engine is not None and engine.adapts


def _folder(model: Model) -> str:
    return model.exported or model.folder or ""


def _with_seed(sampling: Sampling, rng: random.Random) -> Sampling:
    if not sampling.do_sample or sampling.seed is not None:
        return sampling
    # 32 bits: a seed is shown in JSON, and JavaScript keeps integers exact only below 2**53.
    return msgspec.structs.replace(sampling, seed=rng.getrandbits(32))
