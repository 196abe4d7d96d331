"""Conversations that the server keeps: a request goes on from an earlier turn, and its answer becomes the next one.

A turn belongs to the account that made it; to everybody else it does not exist. Knows no wire format.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from pronto.core.errors import InvalidInput, NotFound
from pronto.core.events import Done, Event, Finish, Started, Step, Token, ToolCall, unpacked
from pronto.core.identity import Caller
from pronto.core.request import CalledTool, ChatPrompt, InferenceRequest, Message, TextGeneration, Turn
from pronto.store.base import Conversations as Rows
from pronto.store.base import KeptTurn

MAX_TURN = 1024 * 1024  # bytes of a conversation up to a turn; a longer one is refused before it is answered

Serve = Callable[[InferenceRequest], AsyncGenerator[Step, None]]


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a turn: the conversation up to its answer, and the answer as its dialect can write it again."""

    messages: list[Message]  # instructions left out: they are each turn's own
    events: list[Event]
    style: bytes


class Conversations:
    """`ttl` in seconds; `now` gives Unix seconds."""

    def __init__(self, rows: Rows, *, ttl: float, account_bytes: int, now: Callable[[], float]) -> None:
        self._rows, self._ttl, self._account_bytes, self._now = rows, ttl, account_bytes, now
        self._decode = msgspec.msgpack.Decoder(Kept).decode
        self._encode = msgspec.msgpack.Encoder().encode

    async def serve(
        self, serve: Serve, caller: Caller, request: InferenceRequest, turn: Turn
    ) -> AsyncGenerator[Event, None]:
        """As the line, with the earlier turns before the request's own messages. Raises NotFound, InvalidInput."""
        request, messages = await self._expanded(caller, request, turn)
        answer = Answer()
        async with aclosing(serve(request)) as events:
            async for step in events:
                for event in unpacked(step):
                    answer.take(event)
                    if type(event) is Done and turn.is_kept:
                        # Before the end is told: whoever has seen it can go on from it.
                        await self._keep(
                            caller, turn, Kept([*messages, answer.message()], answer.events(event), turn.style)
                        )
                    yield event

    async def find(self, caller: Caller, id: str) -> Kept:
        """Raises NotFound, also for a turn of somebody else."""
        row = await self._rows.get(caller.account_id, id, self._now())
        if row is None:
            raise _missing(id)
        return self._decode(row.body)

    async def forget(self, caller: Caller, id: str) -> None:
        """Raises NotFound."""
        if not await self._rows.delete(caller.account_id, id):
            raise _missing(id)

    async def _expanded(
        self, caller: Caller, request: InferenceRequest, turn: Turn
    ) -> tuple[InferenceRequest, list[Message]]:
        """The request with its whole conversation, and the conversation without this turn's instructions."""
        work = request.work
        assert isinstance(work, TextGeneration)
        assert isinstance(work.prompt, ChatPrompt)  # a Turn comes with a conversation only
        own = work.prompt.messages
        earlier = (await self.find(caller, turn.previous)).messages if turn.previous is not None else []
        messages = [*earlier, *own[turn.instructions :]]
        if turn.is_kept and len(self._encode(messages)) > MAX_TURN:
            reason = "Please send `store: false`, or begin a new one."
            raise InvalidInput(f"The conversation is longer than {MAX_TURN} bytes, too long to be kept. {reason}")
        if not earlier:
            return request, messages
        prompt = msgspec.structs.replace(work.prompt, messages=(*own[: turn.instructions], *messages))
        expanded = msgspec.structs.replace(work, prompt=prompt)
        return msgspec.structs.replace(request, work=expanded), messages

    async def _keep(self, caller: Caller, turn: Turn, kept: Kept) -> None:
        now = self._now()
        row = KeptTurn(
            id=turn.id,
            account_id=caller.account_id,
            created=now,
            expires=now + self._ttl,
            body=self._encode(kept),
        )
        await self._rows.keep(row, most_bytes=self._account_bytes)


class Answer:
    """Folds the events of one choice: as a message for later turns, and as the fewest events that say the same."""

    def __init__(self) -> None:
        self._started: Started | None = None
        self._finish: Finish | None = None
        self._pieces: list[Token | ToolCall] = []  # neighbours joined
        self._texts: list[list[str]] = []

    def take(self, event: Event) -> None:
        match event:
            case Token():
                if not event.special and event.text:
                    self._add(event, event.text, is_joined=event.logprob is None)
            case ToolCall():
                self._add(event, event.arguments_delta, is_joined=True)
            case Started():
                self._started = event
            case Finish():
                self._finish = event

    def message(self) -> Message:
        """What was said, without what was only thought."""
        parts = [(piece, "".join(texts)) for piece, texts in zip(self._pieces, self._texts, strict=True)]
        return Message(
            role="assistant",
            content="".join([text for piece, text in parts if type(piece) is Token and piece.part == "answer"]),
            tool_calls=tuple(
                CalledTool(id=piece.id, name=piece.name or "", arguments=text)
                for piece, text in parts
                if type(piece) is ToolCall
            ),
        )

    def events(self, done: Done) -> list[Event]:
        """From Started to `done`."""
        events: list[Event] = [] if self._started is None else [self._started]
        for piece, texts in zip(self._pieces, self._texts, strict=True):
            events.append(_with_text(piece, "".join(texts)))
        if self._finish is not None:
            events.append(self._finish)
        return [*events, done]

    def _add(self, event: Token | ToolCall, text: str, *, is_joined: bool) -> None:
        if is_joined and self._pieces and _is_same(self._pieces[-1], event):
            self._texts[-1].append(text)
        else:
            self._pieces.append(event)
            self._texts.append([text])


def _is_same(last: Token | ToolCall, event: Token | ToolCall) -> bool:
    if type(last) is Token and type(event) is Token:
        return last.part == event.part
    return type(last) is ToolCall and type(event) is ToolCall and last.index == event.index


def _with_text(piece: Token | ToolCall, text: str) -> Event:
    if type(piece) is Token:
        return Token(piece.choice, piece.id, text, piece.logprob, piece.special, piece.top, piece.part)
    assert type(piece) is ToolCall
    return ToolCall(piece.choice, piece.index, piece.id, piece.name, text)


def _missing(id: str) -> NotFound:
    return NotFound(f"There is no response {id[:96]!r}. It may have expired, or been made with `store: false`.")
