"""Requests, models and counts that the suites of the fleet share."""

import asyncio
import os
from collections import Counter

from pronto.core.events import Event, Token
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.request import InferenceRequest, Sampling, TextGeneration, TokenPrompt
from pronto.core.tasks import Task
from pronto.engines.base import Device
from pronto.fleet.replica import EngineSpec, Replica, Tally

DEVICE = Device(kind="cpu", threads=1)


def echo_model(name: str = "echo", **settings: object) -> Model:
    return Model(
        id=f"test/{name}",
        task=Task.TEXT_GENERATION,
        engine="echo",
        source=Source(folder="nowhere"),
        revision="r1",
        settings=EngineSettings(**settings),  # type: ignore[arg-type]  # fields are the test's business
    )


def echo_spec(name: str = "echo", **settings: object) -> EngineSpec:
    return EngineSpec(model=echo_model(name, **settings), engine="echo")


def ask(prompt: str = "abc", tokens: int = 10, **work: object) -> InferenceRequest:
    sampling = work.pop("sampling", Sampling())
    return InferenceRequest(
        id="r",
        model="test/echo",
        task=Task.TEXT_GENERATION,
        work=TextGeneration(
            prompt=TokenPrompt([ord(c) for c in prompt]),
            max_new_tokens=tokens,
            sampling=sampling,  # type: ignore[arg-type]
            **work,  # type: ignore[arg-type]
        ),
    )


async def collect(replica: Replica, request: InferenceRequest, tally: Tally | None = None) -> list[Event]:
    return [event async for event in replica.run(request, tally or Tally())]


def text_of(events: list[Event], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Token) and event.choice == choice)


def descriptors() -> Counter[str]:
    """What this process has open, by kind."""
    kinds: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            kinds[os.readlink(f"/proc/self/fd/{name}").partition(":")[0]] += 1
        except OSError:  # the descriptor of the listing itself
            continue
    return kinds


async def settles(condition, within: float = 10.0) -> bool:
    """Whether `condition()` becomes true within so many seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True
