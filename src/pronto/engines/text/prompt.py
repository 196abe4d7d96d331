"""Every kind of prompt to ids, with what follows from it for the answer: its grammar, its end, its format."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from pronto.core.errors import InvalidInput, Unsupported
from pronto.core.events import Piece, Tokenized
from pronto.core.infill import CODE_LLAMA, InfillStyle
from pronto.core.request import (
    ChatPrompt,
    Grammar,
    InfillPrompt,
    Prompt,
    TextGeneration,
    TextPrompt,
    Thinking,
    TokenPrompt,
)
from pronto.engines.text import infill, tools
from pronto.engines.text.conversation import check_roles, render
from pronto.engines.text.encoder import Encoder

_THINK = ("<think>", "</think>")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt is prepared with: see Prepare."""

    encoder: Encoder
    chat_template: str | None
    system_prompt: str | None
    now: datetime


class EncodedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """Ids, and what they mean for the answer: see Prepared. `pieces` is made for those who only tokenize."""

    ids: list[int]
    characters: int
    grammar: Grammar | None = None
    stop_ids: tuple[int, ...] = ()
    tool_style: str | None = None
    thinking: Thinking | None = None
    text: str | None = None  # of a conversation


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered conversation, and how its answer is written."""

    text: str
    tool_style: str | None = None
    thinking: Thinking | None = None


def encode_prompt(work: TextGeneration, source: Source) -> EncodedPrompt:
    """Raises InvalidInput, Unsupported."""
    prompt, encoder = _plainly(work.prompt, source), source.encoder
    if isinstance(prompt, TokenPrompt):
        return EncodedPrompt(ids=prompt.ids, characters=encoder.length(prompt.ids), grammar=work.grammar)
    if isinstance(prompt, ChatPrompt):
        return _encode_chat(prompt, work.grammar, source)
    if isinstance(prompt, TextPrompt):
        _check_text(prompt.text)
        written = infill.written_by_hand(prompt.text) if encoder.token_id(CODE_LLAMA.prefix) else None
        if written is None:
            ids = _encode(encoder, prompt.text)
            return EncodedPrompt(
                ids=ids, characters=len(prompt.text), grammar=work.grammar, stop_ids=_ends_of(prompt.text, encoder)
            )
        prompt = written
    style = infill_style(encoder)
    text = infill.spell(prompt, style)
    ids = _encode_infill(prompt, style, encoder)
    ends = infill.end_ids(style, encoder.token_id)
    return EncodedPrompt(ids=ids, characters=len(text), grammar=work.grammar, stop_ids=ends)


def tokenize_prompt(prompt: Prompt, source: Source) -> Tokenized:
    """The tokens alone. Raises InvalidInput, Unsupported."""
    prompt, encoder = _plainly(prompt, source), source.encoder
    if isinstance(prompt, TokenPrompt):
        return Tokenized(encoder.decode(prompt.ids), _literal(prompt.ids, encoder))
    if isinstance(prompt, InfillPrompt):
        style = infill_style(encoder)
        return Tokenized(infill.spell(prompt, style), _literal(_encode_infill(prompt, style, encoder), encoder))
    is_rendered = isinstance(prompt, ChatPrompt)
    text = converse(prompt, source).text if isinstance(prompt, ChatPrompt) else prompt.text
    _check_text(text)
    try:
        return Tokenized(text, encoder.pieces(text, is_rendered=is_rendered))
    except (TypeError, UnicodeEncodeError):
        raise _no_text() from None


def converse(prompt: ChatPrompt, source: Source) -> Conversation:
    """The conversation as text. Raises InvalidInput."""
    encoder = source.encoder
    offered = tools.offered(prompt)
    if not encoder.has_template:
        check_roles(prompt.messages)
        # The echo engine has no template. It says back what it is told, calls and reasoning included.
        style = tools.HERMES if offered else None
        return Conversation(text=prompt.messages[-1].content, tool_style=style, thinking=Thinking(*_THINK))
    template = encoder.template(source.chat_template, with_tools=bool(offered))
    text = render(prompt, template, encoder.terms(source.system_prompt, source.now))
    style = None
    if offered:
        style = tools.detect_style(template.text) if template.takes_tools else tools.JSON
    return Conversation(text=text, tool_style=style, thinking=_thinking(template.text, text, encoder))


def _plainly(prompt: Prompt, source: Source) -> Prompt:
    """A conversation that may be a plain text is one where the model has no template."""
    if not isinstance(prompt, ChatPrompt) or prompt.plain is None or source.encoder.chats(source.chat_template):
        return prompt
    return TextPrompt(prompt.plain)


def infill_style(encoder: Encoder) -> InfillStyle:
    """Raises Unsupported."""
    style = infill.detect(encoder.token_id)
    if style is None:
        message = (
            "`suffix` is not supported by this model: its tokenizer has no tokens for infilling. Please leave it out."
        )
        raise Unsupported(message, "suffix")
    return style


def _encode_chat(prompt: ChatPrompt, asked: Grammar | None, source: Source) -> EncodedPrompt:
    said = converse(prompt, source)
    _check_text(said.text)
    grammar, style, thinking = asked, said.tool_style, said.thinking
    if tools.is_forced(prompt) and source.encoder.has_template:
        if asked is not None:
            raise InvalidInput("A grammar and a tool that must be called exclude each other.", "tool_choice")
        grammar, style = tools.forcing_grammar(prompt), tools.JSON
    elif asked is not None:
        style = None
    if grammar is not None and thinking is not None:
        # The whole answer has the grammar's shape: the model cannot write the tags.
        thinking = None
    return EncodedPrompt(
        ids=_encode(source.encoder, said.text, is_rendered=True),
        characters=len(said.text),
        grammar=grammar,
        tool_style=style,
        thinking=thinking,
        text=said.text,
    )


def _thinking(template: str, text: str, encoder: Encoder) -> Thinking | None:
    begin, end = _THINK
    if end not in template and encoder.token_id(begin) is None:
        return None
    return Thinking(begin, end, text.rstrip().endswith(begin))


def _encode_infill(prompt: InfillPrompt, style: InfillStyle, encoder: Encoder) -> list[int]:
    def plain(text: str) -> Sequence[int]:
        return _encode(encoder, text, is_rendered=True) if text else ()

    return [*_encode(encoder, ""), *infill.assemble(prompt, style, encoder.token_id, plain)]


def _ends_of(text: str, encoder: Encoder) -> tuple[int, ...]:
    """What ends an answer to a prompt whose infill tokens the user wrote by hand."""
    style = infill.detect(encoder.token_id) if "fim" in text or "<PRE>" in text else None
    return infill.end_ids(style, encoder.token_id) if style is not None else ()


def _encode(encoder: Encoder, text: str, *, is_rendered: bool = False) -> list[int]:
    try:
        return encoder.encode(text, is_rendered=is_rendered)
    except (TypeError, UnicodeEncodeError):
        raise _no_text() from None


def _no_text() -> InvalidInput:
    return InvalidInput("`inputs` must be valid Unicode text", "inputs")


def _check_text(text: str) -> None:
    if not text:
        raise InvalidInput("`inputs` cannot be empty", "inputs")


def _literal(ids: list[int], encoder: Encoder) -> list[Piece]:
    return [Piece(id, encoder.literal(id), 0, 0) for id in ids]
