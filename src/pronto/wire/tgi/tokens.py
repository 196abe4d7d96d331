"""A prompt's tokens, as `/tokenize` and `/chat_tokenize` ask for them and list them."""

import msgspec

from pronto.core.errors import InvalidInput, ProntoError
from pronto.core.events import Done, Event, Output, Piece, Tokenized
from pronto.core.request import ChatPrompt, TextPrompt
from pronto.wire import faults
from pronto.wire.chat_messages import DefinedTool, MessageBody, read_messages, read_tools
from pronto.wire.json_body import decode_json
from pronto.wire.text_request import read_body, read_one_input
from pronto.wire.whole import WholeAnswer

_encode = msgspec.json.Encoder().encode


class ChatTokenizeBody(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation. What else a chat request has is passed over: it changes no prompt."""

    messages: list[MessageBody]
    tools: list[DefinedTool] | None = None


class PieceBody(msgspec.Struct, frozen=True):
    """One token, with its place in the text in bytes."""

    id: int
    text: str
    start: int
    stop: int


class ChatTokenizeAnswer(msgspec.Struct, frozen=True):
    """The tokens of a conversation, and the text that the model's template makes of it."""

    tokenize_response: list[PieceBody]
    templated_text: str


class TokensStyle(msgspec.Struct, frozen=True):
    """What the request says about the form of its answer."""

    is_chat: bool
    characters: int


_chat_decoder = msgspec.json.Decoder(ChatTokenizeBody)


def read_prompt(body: bytes) -> TextPrompt:
    """Raises InvalidInput."""
    read, _ = read_body(body)
    text = read_one_input(read)
    if not text:
        raise InvalidInput("`inputs` cannot be empty", "inputs")
    return TextPrompt(text)


def read_conversation(body: bytes) -> ChatPrompt:
    """Raises InvalidInput."""
    read = decode_json(_chat_decoder, body)
    if not read.messages:
        raise InvalidInput("`messages` cannot be empty", "messages")
    return ChatPrompt(messages=read_messages(read.messages), tools=read_tools(read.tools))


class WholeTokens(WholeAnswer):
    """The tokens as one document."""

    def __init__(self, style: TokensStyle) -> None:
        super().__init__(style.characters)
        self._style = style
        self._tokenized = Tokenized("", [])

    def take(self, event: Event) -> None:
        if isinstance(event, Output) and isinstance(event.value, Tokenized):
            self._tokenized = event.value

    def fail(self, error: ProntoError) -> bytes:
        return faults.hf_document(faults.fault(error))

    def answer(self, done: Done) -> bytes:
        text = self._tokenized.text
        pieces = _pieces(text, self._tokenized.pieces)
        return _encode(ChatTokenizeAnswer(pieces, text) if self._style.is_chat else pieces)


def _pieces(text: str, pieces: list[Piece]) -> list[PieceBody]:
    if text.isascii():
        return [PieceBody(piece.id, piece.text, piece.start, piece.stop) for piece in pieces]
    places = [0]  # of each character, in bytes
    for character in text:
        places.append(places[-1] + len(character.encode("utf-8", "surrogatepass")))
    last = len(text)
    return [
        PieceBody(piece.id, piece.text, places[min(piece.start, last)], places[min(piece.stop, last)])
        for piece in pieces
    ]
