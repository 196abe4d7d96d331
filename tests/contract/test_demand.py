"""Models that nobody added: looked up at a stand-in for the Hub, refused for good reasons, kept when they are found."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pronto.accounts.plans import Plans
from pronto.catalog.catalog import Catalog
from pronto.catalog.demand import Allowance, Demand
from pronto.catalog.hub import Hub
from pronto.core.errors import Forbidden, ModelFailed, ModelNotFound, Overloaded, ProntoError, RateLimited
from pronto.core.identity import ANONYMOUS, Caller
from pronto.core.model import State
from pronto.core.plan import Per, Plan, Unit, Window
from pronto.core.tasks import Task
from pronto.gateway.finding import Finding
from pronto.gateway.limits import Limits
from pronto.gateway.rules import Rules
from pronto.shared.counters import MemoryCounters
from tests.hub_stand_in import Repository, StandIn, hub_stand_in
from tests.tiny_models import build_tiny_llama

COMMIT = "d" * 40
CALLER = Caller(account_id=1, account="ann", plan="free", token_id=1)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = build_tiny_llama(tmp_path_factory.mktemp("demand") / "tiny")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[StandIn]:
    with hub_stand_in() as running:
        running.repositories["open/tiny"] = Repository(files, commit=COMMIT)
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_demand(tmp_path: Path, hub: StandIn, clock: Clock):
    made = []

    def build(*patterns: str, endpoint: str | None = None, **terms: object) -> Demand:
        allowance = Allowance(patterns=patterns or ("open/*",), **terms)  # type: ignore[arg-type]  # a test names them
        made.append(Demand(Catalog(tmp_path), Hub(endpoint or hub.url), allowance, clock))
        return made[-1]

    yield build
    for demand in made:
        await demand.stop()


async def refusal(demand: Demand, name: str) -> ProntoError:
    with pytest.raises(ProntoError) as raised:
        await demand.find(name)
    return raised.value


async def test_what_is_found_is_kept_pinned(open_demand: Callable[..., Demand], tmp_path: Path) -> None:
    demand = open_demand(plan="pro")
    await demand.find("open/tiny")
    model = Catalog(tmp_path).get("open/tiny")
    assert (model.task, model.engine, model.plan) == (Task.TEXT_GENERATION, "openvino", "pro")
    assert (model.source.repo, model.source.revision, model.context) == ("open/tiny", COMMIT, 256)


async def test_many_who_ask_are_one_look_up(open_demand: Callable[..., Demand], hub: StandIn) -> None:
    demand = open_demand()
    await asyncio.gather(*(demand.find("open/tiny") for _ in range(20)))
    assert sum("/api/models/" in path for _, path, _ in hub.requests) == 1


@pytest.mark.parametrize(
    "name", ["closed/tiny", "tiny", "open/a/b", "open/../x", "open/generate", "open/a--b", "", "open/", "OPEN/tiny"]
)
def test_what_is_not_allowed_is_not_looked_up(name: str, tmp_path: Path, clock: Clock) -> None:
    demand = Demand(Catalog(tmp_path), Hub("http://127.0.0.1:9"), Allowance(patterns=("open/*",)), clock)
    assert not demand.allows(name)
    assert not Demand(Catalog(tmp_path), Hub(), Allowance(), clock).allows("open/tiny")


async def test_a_no_is_remembered_for_a_while(
    open_demand: Callable[..., Demand], hub: StandIn, clock: Clock, files: dict[str, bytes]
) -> None:
    demand = open_demand()
    for _ in range(5):
        assert isinstance(await refusal(demand, "open/none"), ModelNotFound)
    assert len(hub.requests) == 1
    assert demand.no("open/none").state is None  # type: ignore[union-attr]  # it was just remembered
    hub.repositories["open/none"] = Repository(files, commit=COMMIT)
    clock.now += 700
    await demand.find("open/none")


async def test_a_gated_one_says_what_to_do(open_demand: Callable[..., Demand], hub: StandIn, files) -> None:
    hub.repositories["open/gated"] = Repository(files, token="hf_operator")
    error = await refusal(open_demand(), "open/gated")
    assert isinstance(error, Forbidden)
    assert "accept its licence" in error.message
    assert "hf_operator" not in error.message


async def test_one_that_is_too_large_is_never_fetched(open_demand: Callable[..., Demand], hub: StandIn) -> None:
    demand = open_demand(max_bytes=1000)
    error = await refusal(demand, "open/tiny")
    assert isinstance(error, Forbidden)
    assert "too large to be loaded automatically" in error.message
    no = demand.no("open/tiny")
    assert no is not None
    assert no.state is State.TOO_BIG
    assert not any(".safetensors" in path for _, path, _ in hub.requests)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model.safetensors": None, "pytorch_model.bin": b"x"}, "pickled"),
        ({"config.json": {"auto_map": {"AutoModel": "evil.Evil"}, "model_type": "llama"}}, "auto_map"),
        ({"config.json": {"model_type": "nobody-knows", "architectures": ["OddForOdd"]}}, "OddForOdd"),
        ({"config.json": None}, "config.json"),
    ],
)
async def test_what_cannot_be_served_is_refused_with_its_reason(
    open_demand: Callable[..., Demand], hub: StandIn, files: dict[str, bytes], change: dict, says: str
) -> None:
    changed = {**files, **{k: v if isinstance(v, bytes) else json.dumps(v).encode() for k, v in change.items() if v}}
    left = {name: data for name, data in changed.items() if change.get(name, "") is not None}
    hub.repositories["open/odd"] = Repository(left, commit=COMMIT)
    error = await refusal(open_demand(), "open/odd")
    assert isinstance(error, Forbidden)
    assert says in error.message


async def test_without_the_hub_it_is_tried_again_soon(
    open_demand: Callable[..., Demand], clock: Clock, hub: StandIn
) -> None:
    demand = open_demand(endpoint="http://127.0.0.1:9")
    error = await refusal(demand, "open/tiny")
    assert isinstance(error, ModelFailed)
    assert error.retry_after
    clock.now += 60
    assert demand.no("open/tiny") is None


async def test_a_flood_of_names_is_bounded(open_demand: Callable[..., Demand], hub: StandIn, clock: Clock) -> None:
    demand = open_demand()
    errors = [await refusal(demand, f"open/no-{number}") for number in range(40)]
    assert sum(isinstance(error, Overloaded) for error in errors) == 10
    assert len(hub.requests) == 30
    clock.now += 61
    assert isinstance(await refusal(demand, "open/another"), ModelNotFound)


class Known:
    """The part of Models that is asked."""

    def knows(self, name: str) -> bool:
        return name == "here/already"


def finding(demand: Demand, requests: int) -> Finding:
    windows = (Window(unit=Unit.REQUESTS, per=Per.DAY, limit=requests),)
    plan = Plan(name="free", level=1, windows=windows)
    levels = Plans()

    async def valid(_: Caller) -> bool:
        return True

    rules = Rules(plan_of=lambda _: plan, level_of=levels.level_of, still_valid=valid, queue_timeout=1.0)
    limits = Limits(MemoryCounters(), None, time.time_ns, per_tenant=10, total=10)
    return Finding(Known(), rules, limits, demand)  # type: ignore[arg-type]  # what it asks of models is one method


async def test_look_ups_are_at_their_callers_cost(open_demand: Callable[..., Demand], hub: StandIn) -> None:
    desk = finding(open_demand(), 3)
    for _ in range(3):
        with pytest.raises(ModelNotFound):
            await desk.find(CALLER, "open/none")
    with pytest.raises(RateLimited):
        await desk.find(CALLER, "open/none")
    before = len(hub.requests)
    await desk.find(CALLER, "here/already")
    await desk.find(CALLER, "closed/tiny")
    assert len(hub.requests) == before


async def test_who_may_not_run_models_looks_nothing_up(open_demand: Callable[..., Demand], hub: StandIn) -> None:
    desk = finding(open_demand(plan="enterprise"), 3)
    with pytest.raises(Forbidden, match="enterprise"):
        await desk.find(ANONYMOUS, "open/tiny")
    assert hub.requests == []
