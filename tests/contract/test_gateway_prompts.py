"""The whole line over the echo engine and a real ledger: plain tokenizing, conversations, tools and infilling."""

import random
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec
import pytest

from pronto.core.errors import Forbidden, Loading, ModelNotFound, RateLimited, Unsupported
from pronto.core.events import Done, Event, Finish, Output, Started, Token, Tokenized, ToolCall, Usage, unpacked
from pronto.core.identity import Caller
from pronto.core.model import Model, Source, State
from pronto.core.plan import Plan
from pronto.core.request import (
    ChatPrompt,
    Export,
    InferenceRequest,
    InfillPrompt,
    Message,
    TextGeneration,
    TextPrompt,
    Tokenize,
    Tool,
    Work,
)
from pronto.core.tasks import Task
from pronto.fleet.estimates import Estimates
from pronto.fleet.fleet import Fleet
from pronto.fleet.launcher import InProcessLauncher
from pronto.fleet.loading import SMALL, Host
from pronto.fleet.preparation import Preparation as Workers
from pronto.gateway.cache import Cache
from pronto.gateway.limits import Limits
from pronto.gateway.models import Models
from pronto.gateway.prepare import Preparation
from pronto.gateway.rules import Rules
from pronto.gateway.serve import Gateway, Stages
from pronto.gateway.usage import Usage as UsageRows
from pronto.shared.counters import MemoryCounters
from pronto.shared.memory import MemoryBlobs
from pronto.store.base import Store
from pronto.store.database import open_store
from tests.contract.fleet_scenes import DEVICE, echo_model
from tests.tiny_models import build_tiny_llama

ANN = Caller(account_id=1, account="ann", plan="pro", token_id=1)
SAID = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'


class Piece(msgspec.Struct, frozen=True):
    engine: str
    work: Export
    stage: str
    bytes: int


class Shelf:
    """Three models: one that speaks, one whose tokenizer alone is here, one of which nothing is here."""

    default = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        here = Model(
            id="test/here",
            task=Task.TEXT_GENERATION,
            engine="openvino",
            source=Source(folder=str(folder)),
            revision="r1",
            folder=str(folder),
            chat_template="{{ messages[0].content }}{{ messages[1].content }}",
            system_prompt="Be kind. ",
        )
        away = msgspec.structs.replace(here, id="test/away", folder=None)
        self.models = {model.id: model for model in (echo_model(), here, away)}

    def resolve(self, name: str, task: Task | None) -> Model:
        if name not in self.models:
            raise ModelNotFound(name)
        return self.models[name]

    def adapted(self, base: Model, name: str) -> Model:
        raise ModelNotFound(base.id, name)

    def list(self) -> Sequence[Model]:
        return list(self.models.values())

    def locate(self, model: Model) -> Model:
        return model

    def jobs(self, model: Model) -> Sequence[Piece]:
        work = Export(folder="a", target=str(self.folder / "b"), weights="fp16")
        return [] if model.engine == "echo" else [Piece("openvino-export", work, "export", 1)]

    def state(self, model: Model) -> State:
        return State.EXPORTED if model.engine == "echo" else State.DESCRIBED


PLANS = {"pro": Plan(name="pro", level=0), "none": Plan(name="none", level=-1)}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store, None]:
    opened = await open_store(tmp_path / "data")
    yield opened
    await opened.close()


@pytest.fixture
async def gateway(store: Store, tmp_path: Path) -> AsyncGenerator[Gateway, None]:
    shelf, launcher = Shelf(build_tiny_llama(tmp_path / "tiny")), InProcessLauncher()
    host = Host(device=DEVICE, memory_bytes=100 * SMALL)
    fleet = Fleet(launcher, host, shelf, Estimates(None), clock=time.monotonic, rng=random.Random(1))
    workers = Workers(launcher, DEVICE, timeout=5, grammar_timeout=5)

    async def still_valid(caller: Caller) -> bool:
        return True

    stages = Stages(
        models=Models(shelf, fleet, shelf.locate, default=None, load_timeout=10, clock=time.monotonic),
        rules=Rules(
            plan_of=lambda caller: PLANS[caller.plan], level_of=lambda _: 0, still_valid=still_valid, queue_timeout=10
        ),
        limits=Limits(MemoryCounters(), None, time.time_ns, per_tenant=2, total=10),
        cache=Cache(MemoryBlobs(max_bytes=1 << 20, clock=time.monotonic), ttl=60, secret=b"s" * 32, now=time.time),
        preparation=Preparation(workers, max_new_tokens=1000),
        usage=UsageRows(store.ledger, lambda: time.time_ns() // 1000),
    )
    yield Gateway(stages, clock=time.monotonic, rng=random.Random(1))
    await workers.stop()
    await fleet.stop()


async def ask(gateway: Gateway, work: Work, model: str = "test/echo", caller: Caller = ANN) -> list[Event]:
    request = InferenceRequest(id="r1", model=model, task=Task.TEXT_GENERATION, work=work)
    request = msgspec.structs.replace(request, options=msgspec.structs.replace(request.options, wait_for_model=True))
    return [event async for step in gateway.serve(caller, request) for event in unpacked(step)]


def user(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


async def test_tokenizing_needs_no_engine_and_writes_one_row(gateway: Gateway, store: Store) -> None:
    for _ in range(2):  # the second is no copy of the first
        events = await ask(gateway, Tokenize(prompt=ChatPrompt(messages=user("Hi"))), "test/here")
        assert [type(event) for event in events] == [Started, Output, Done]
        output, done = events[1], events[2]
        assert isinstance(output, Output)
        assert isinstance(output.value, Tokenized)
        assert output.value.text == "Be kind. Hi"
        assert isinstance(done, Done)
        assert done.usage == Usage(0, 0)
    rows = list(await store.ledger.rows())
    assert [(row.finish, row.prompt_tokens, row.generated_tokens, row.cached) for row in rows] == [
        ("tokenized", 0, 0, False)
    ] * 2
    assert gateway.limits.in_work == 0


async def test_tokenizing_keeps_to_rules_and_limits(gateway: Gateway, store: Store) -> None:
    work = Tokenize(prompt=TextPrompt("Hi"))
    with pytest.raises(Forbidden):
        await ask(gateway, work, caller=msgspec.structs.replace(ANN, plan="none"))
    with pytest.raises(ModelNotFound):
        await ask(gateway, work, "test/none")
    leases = [await gateway.limits.enter(ANN, PLANS["pro"]) for _ in range(2)]
    with pytest.raises(RateLimited):
        await ask(gateway, work)
    for lease in leases:
        lease.release()
    assert list(await store.ledger.rows()) == []
    events = await ask(gateway, work)
    assert isinstance(events[1], Output)
    assert isinstance(events[1].value, Tokenized)
    assert [piece.text for piece in events[1].value.pieces] == ["H", "i"]


async def test_tokenizing_for_a_model_that_is_not_here_loads_it(gateway: Gateway, store: Store) -> None:
    request = InferenceRequest(
        id="r", model="test/away", task=Task.TEXT_GENERATION, work=Tokenize(prompt=TextPrompt("Hi"))
    )
    with pytest.raises(Loading):
        _ = [step async for step in gateway.serve(ANN, request)]
    assert list(await store.ledger.rows()) == []
    assert gateway.limits.in_work == 0


async def test_a_conversation_is_answered(gateway: Gateway, store: Store) -> None:
    prompt = ChatPrompt(messages=user("<think>hm</think>Yes"))
    events = await ask(gateway, TextGeneration(prompt=prompt, max_new_tokens=20))
    tokens = [event for event in events if isinstance(event, Token)]
    assert "".join(token.text for token in tokens if token.part == "reasoning") == "hm"
    assert "".join(token.text for token in tokens if token.part == "answer") == "Yes"
    assert len(tokens) == 20
    assert [row.generated_tokens for row in await store.ledger.rows()] == [20]


async def test_calls_come_beside_tokens_and_every_token_counts(gateway: Gateway, store: Store) -> None:
    prompt = ChatPrompt(messages=user(SAID), tools=(Tool(name="add"),))
    work = TextGeneration(prompt=prompt, max_new_tokens=len(SAID), choices=2)
    events = await ask(gateway, work)
    ids = set()
    for choice in (0, 1):
        calls = [event for event in events if isinstance(event, ToolCall) and event.choice == choice]
        assert [(calls[0].name, calls[0].index, calls[0].arguments_delta)] == [("add", 0, "")]
        assert "".join(call.arguments_delta for call in calls) == '{"a": 1}'
        assert len({call.id for call in calls}) == 1
        ids.add(calls[0].id)
        tokens = [event for event in events if isinstance(event, Token) and event.choice == choice]
        assert len(tokens) == len(SAID)
        assert not any(token.text for token in tokens)
    assert len(ids) == 2
    assert all(len(id) == 29 and id.startswith("call_") for id in ids)
    assert [row.generated_tokens for row in await store.ledger.rows()] == [2 * len(SAID)]
    assert sum(isinstance(event, Finish) for event in events) == 2


async def test_a_model_without_infill_tokens_refuses_by_name(gateway: Gateway) -> None:
    with pytest.raises(Unsupported) as raised:
        await ask(gateway, TextGeneration(prompt=InfillPrompt(prefix="a", suffix="b")))
    assert raised.value.param == "suffix"


async def test_an_unset_temperature_is_sampled_with_a_seed(gateway: Gateway) -> None:
    work = TextGeneration(prompt=TextPrompt("abcdef"), max_new_tokens=6, unset=("temperature",))
    events = await ask(gateway, work)
    assert [event.seed is not None for event in events if isinstance(event, Finish)] == [True]
