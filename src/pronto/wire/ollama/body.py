"""The bodies of Ollama's /api/generate and /api/chat, to requests. Knows no answers and no HTTP."""

from typing import Any

import msgspec

from pronto.core.errors import InvalidInput
from pronto.core.request import ChatPrompt, Grammar, InfillPrompt, Message, Picture, Prompt, TextGeneration, TextPrompt
from pronto.wire.chat_messages import DefinedTool, MessageBody, read_messages, read_tools
from pronto.wire.grammar import GrammarBody, read_grammar
from pronto.wire.json_body import null
from pronto.wire.media import media_from_text
from pronto.wire.ollama.parameters import OllamaOptions, read_number_of_tokens, read_sampling, read_stop
from pronto.wire.text_request import Bounds

_ANY_OBJECT = Grammar("json_schema", '{"type":"object"}')


class CommonBody(msgspec.Struct, frozen=True, kw_only=True):
    """What both bodies have. Unknown keys, `keep_alive` among them, are passed over."""

    model: str | None = None
    stream: bool | None = None
    format: msgspec.Raw = msgspec.field(default_factory=null)  # "json", or a JSON schema
    options: OllamaOptions | None = None
    think: bool | str | None = None


class GenerateBody(CommonBody, frozen=True, kw_only=True):
    """The body of /api/generate. `raw`: the prompt is ready, no template is put around it."""

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    raw: bool | None = None
    template: str | None = None
    context: list[Any] | None = None
    images: list[str] | None = None  # in base64


class OllamaChatBody(CommonBody, frozen=True, kw_only=True):
    """The body of /api/chat."""

    messages: list[MessageBody] | None = None
    tools: list[DefinedTool] | None = None


def read_generate_prompt(body: GenerateBody) -> Prompt | None:
    """None: no prompt, by which Ollama's clients ask for the model to be loaded. Raises InvalidInput."""
    for name, given, instead in (
        ("template", body.template, "Please send the finished prompt with `raw: true`."),
        ("context", body.context, "Please send the conversation to /api/chat."),
    ):
        if given:
            raise InvalidInput(f"`{name}` is not supported. {instead}", name)
    text = body.prompt or ""
    if body.images and (body.suffix or body.raw):
        raise InvalidInput("`images` needs the model's template. Please leave out `suffix` and `raw`.", "images")
    if body.suffix:
        if body.system:
            raise InvalidInput("`system` cannot be used together with `suffix`.", "system")
        return InfillPrompt(prefix=text, suffix=body.suffix)
    if not text:
        return None
    if body.raw:
        return TextPrompt(text)
    system = (Message(role="system", content=body.system),) if body.system else ()
    # A model that was never taught to chat continues the text, as with Ollama's plain template.
    plain = f"{body.system}\n\n{text}" if body.system else text
    pictures = tuple(Picture(media_from_text(image, "images")) for image in body.images or ())
    asked = Message(role="user", content=text, pictures=pictures)
    return ChatPrompt(messages=(*system, asked), plain=None if pictures else plain)


def read_chat_prompt(body: OllamaChatBody) -> Prompt | None:
    """None as for /api/generate. Raises InvalidInput."""
    if not body.messages:
        return None
    return ChatPrompt(messages=read_messages(body.messages), tools=read_tools(body.tools))


def read_generation(body: CommonBody, prompt: Prompt, bounds: Bounds) -> TextGeneration:
    """Raises InvalidInput."""
    options = body.options or OllamaOptions()
    sampling, unset = read_sampling(options)
    return TextGeneration(
        prompt=prompt,
        max_new_tokens=read_number_of_tokens(options, bounds),
        sampling=sampling,
        stop=read_stop(options, bounds),
        keep_stop=False,
        grammar=_grammar(body.format),
        unset=unset,
    )


def _grammar(shape: msgspec.Raw) -> Grammar | None:
    text = bytes(shape)
    if text in (b"null", b'""'):
        return None
    if text == b'"json"':
        return _ANY_OBJECT
    if not text.startswith(b"{"):
        raise InvalidInput("`format` must be `json` or a JSON schema.", "format")
    return read_grammar(GrammarBody("json", shape))
