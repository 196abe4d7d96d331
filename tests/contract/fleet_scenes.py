"""Requests, models and counts that the suites of the fleet share."""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from pronto.core.events import Event, Token
from pronto.core.model import EngineSettings, Model, Source
from pronto.core.request import InferenceRequest, Sampling, TextGeneration, TokenPrompt
from pronto.core.tasks import Task
from pronto.engines.base import Device
from pronto.fleet.admission import Permit
from pronto.fleet.deployment import Deployment, Terms
from pronto.fleet.replica import EngineSpec, Launcher, Replica, Tally
from pronto.fleet.shares import Share

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
            sampling=sampling,  # type: ignore[arg-type]  # a test names what it needs
            **work,  # type: ignore[arg-type]  # a test names what it needs
        ),
    )


async def collect(replica: Replica, request: InferenceRequest, tally: Tally | None = None) -> list[Event]:
    return [event async for event in replica.run(request, tally or Tally())]


def text_of(events: list[Event], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Token) and event.choice == choice)


def descriptors() -> Counter[str]:
    """The sockets, pipes and the like that this process has open, by kind. Files are left out: a loop opens its own."""
    kinds: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            kinds[os.readlink(f"/proc/self/fd/{name}").partition(":")[0]] += 1
        except OSError:  # the descriptor of the listing itself
            continue
    return Counter({kind: count for kind, count in kinds.items() if not kind.startswith("/")})


def deployment_of(launcher: Launcher, name: str = "echo", *, queue_size: int = 512, **settings: object) -> Deployment:
    """With a quick first restart; not started."""
    terms = Terms(queue_size=queue_size, backoff=0.02)
    return Deployment(echo_spec(name, **settings), launcher, DEVICE, terms, clock=time.monotonic, rng=random.Random(1))


async def permit_of(deployment: Deployment, request: InferenceRequest, tenant: str = "a", wait: float = 30) -> Permit:
    """Wait in the queue, as the line does."""
    work = request.work
    assert isinstance(work, TextGeneration)
    assert isinstance(work.prompt, TokenPrompt)
    steps = deployment.admit(
        Share(tenant),
        prompt_tokens=len(work.prompt.ids),
        max_new_tokens=work.max_new_tokens or 0,
        choices=work.choices,
        deadline=time.monotonic() + wait,
    )
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, Permit):
                permit = step
    return permit


async def serve(
    deployment: Deployment, request: InferenceRequest, tally: Callable[[], Tally] = Tally, tenant: str = "a"
) -> AsyncGenerator[Event, None]:
    """Admission and run, as the line does: the tally begins with the permit."""
    permit = await permit_of(deployment, request, tenant)
    async with aclosing(deployment.run(request, tally(), permit)) as events:
        async for event in events:
            yield event


async def answer(deployment: Deployment, request: InferenceRequest, tally: Tally | None = None) -> list[Event]:
    return [event async for event in serve(deployment, request, lambda: tally or Tally())]


async def settles(condition: Callable[[], bool], within: float = 10.0) -> bool:
    """Whether `condition()` becomes true within so many seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True
