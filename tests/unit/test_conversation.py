"""Conversations that go on from kept turns: what is asked, what is kept, whose it is."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
import pytest

from pronto.core.errors import GenerationFailed, InvalidInput, NotFound, StorageFailed
from pronto.core.events import Done, Event, Finish, FinishReason, Token, ToolCall, Usage
from pronto.core.identity import Caller
from pronto.core.request import CalledTool, ChatPrompt, InferenceRequest, Message, TextGeneration, Turn
from pronto.core.tasks import Task
from pronto.gateway.conversation import MAX_TURN, Conversations
from pronto.store.base import KeptTurn
from pronto.store.memory_conversations import MemoryConversations
from tests.unit.wire_cases import answer, started, token

ANN = Caller(account_id=1, account="ann", plan="pro", token_id=1)
BOB = Caller(account_id=2, account="bob", plan="pro", token_id=2)
DONE = Done(Usage(1, 1))


class Scene:
    def __init__(self, rows: MemoryConversations | None = None) -> None:
        self.now = 0.0
        self.asked: list[InferenceRequest] = []
        self.events: list[Event] = answer("Fine", "!")
        self.kept = Conversations(
            rows or MemoryConversations(), ttl=60.0, account_bytes=10 * MAX_TURN, now=lambda: self.now
        )

    async def line(self, request: InferenceRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        for event in self.events:
            yield event

    async def say(self, text: str, turn: Turn, caller: Caller = ANN, instructions: str = "") -> list[Event]:
        messages = (Message(role="user", content=text),)
        if instructions:
            messages = (Message(role="system", content=instructions), *messages)
            turn = msgspec.structs.replace(turn, instructions=1)
        work = TextGeneration(prompt=ChatPrompt(messages=messages))
        request = InferenceRequest(id="r", model="m", task=Task.TEXT_GENERATION, work=work)
        async with aclosing(self.kept.serve(self.line, caller, request, turn)) as events:
            return [event async for event in events]

    def last(self) -> list[tuple[str, str]]:
        work = self.asked[-1].work
        assert isinstance(work, TextGeneration)
        assert isinstance(work.prompt, ChatPrompt)
        return [(message.role, message.content) for message in work.prompt.messages]


async def test_a_conversation_goes_on() -> None:
    scene = Scene()
    assert await scene.say("How are you?", Turn(id="a"), instructions="Be kind.") == scene.events
    await scene.say("And now?", Turn(id="b", previous="a"), instructions="Be brief.")
    assert scene.last() == [
        ("system", "Be brief."),
        ("user", "How are you?"),
        ("assistant", "Fine!"),
        ("user", "And now?"),
    ]
    await scene.say("Really?", Turn(id="c", previous="b"))
    assert [role for role, _ in scene.last()] == ["user", "assistant"] * 2 + ["user"]


async def test_it_does_not_need_what_came_before_the_previous_turn() -> None:
    scene = Scene()
    await scene.say("one", Turn(id="a"))
    await scene.say("two", Turn(id="b", previous="a"))
    await scene.kept.forget(ANN, "a")
    await scene.say("three", Turn(id="c", previous="b"))
    assert [text for role, text in scene.last() if role == "user"] == ["one", "two", "three"]


async def test_it_belongs_to_its_account_and_ends_with_its_time() -> None:
    scene = Scene()
    await scene.say("one", Turn(id="a"))
    with pytest.raises(NotFound):
        await scene.say("two", Turn(id="b", previous="a"), BOB)
    with pytest.raises(NotFound):
        await scene.kept.find(BOB, "a")
    with pytest.raises(NotFound):
        await scene.kept.forget(BOB, "a")
    scene.now = 61.0
    with pytest.raises(NotFound, match="expired"):
        await scene.kept.find(ANN, "a")
    assert len(scene.asked) == 1


async def test_what_shall_not_be_kept_is_not() -> None:
    scene = Scene()
    await scene.say("one", Turn(id="a"))
    await scene.say("two", Turn(id="b", previous="a", is_kept=False))
    assert len(scene.last()) == 3
    with pytest.raises(NotFound):
        await scene.kept.find(ANN, "b")


async def test_the_answer_is_kept_in_few_events() -> None:
    scene = Scene()
    scene.events = [
        started(),
        Token(0, 1, "h", part="reasoning"),
        Token(0, 1, "m", part="reasoning"),
        Token(0, 2, "Y"),
        Token(0, 3, ""),
        Token(0, 4, "es"),
        token("</s>", special=True),
        ToolCall(0, 0, "c", "f", ""),
        Token(0, 5, "", -0.5),
        ToolCall(0, 0, "c", None, "{}"),
        Finish(0, FinishReason.EOS),
        DONE,
    ]
    await scene.say("one", Turn(id="a", style=b"mine"))
    kept = await scene.kept.find(ANN, "a")
    assert kept.style == b"mine"
    assert kept.events == [
        started(),
        Token(0, 1, "hm", part="reasoning"),
        Token(0, 2, "Yes"),
        ToolCall(0, 0, "c", "f", "{}"),
        Finish(0, FinishReason.EOS),
        DONE,
    ]
    calls = (CalledTool(id="c", name="f", arguments="{}"),)
    assert kept.messages[-1] == Message(role="assistant", content="Yes", tool_calls=calls)


async def test_a_broken_answer_is_not_kept() -> None:
    scene = Scene()

    async def fails(request: InferenceRequest) -> AsyncGenerator[Event, None]:
        yield started()
        raise GenerationFailed("boom")

    scene.line = fails  # type: ignore[method-assign]  # a line that breaks
    with pytest.raises(GenerationFailed):
        await scene.say("one", Turn(id="a"))
    with pytest.raises(NotFound):
        await scene.kept.find(ANN, "a")


async def test_too_long_a_conversation_is_refused_before_it_is_answered() -> None:
    scene = Scene()
    with pytest.raises(InvalidInput, match="store: false"):
        await scene.say("x" * (MAX_TURN + 1), Turn(id="a"))
    assert scene.asked == []
    await scene.say("x" * (MAX_TURN + 1), Turn(id="a", is_kept=False))


async def test_an_answer_that_cannot_be_kept_does_not_end_well() -> None:
    class Full(MemoryConversations):
        async def keep(self, turn: KeptTurn, *, most_bytes: int) -> None:
            raise StorageFailed

    with pytest.raises(StorageFailed):
        await Scene(Full()).say("one", Turn(id="a"))
