"""Who may run what: scopes, plans and patterns of models."""

import pytest

from pronto.core.errors import Forbidden
from pronto.core.identity import INFERENCE_SCOPE, Caller, Role
from pronto.core.model import Model, Source
from pronto.core.plan import Plan
from pronto.core.tasks import Task
from pronto.gateway.rules import Rules

LEVELS = {"free": 0, "pro": 1}


def rules(**plan: object) -> Rules:
    async def still_valid(_: Caller) -> bool:
        return True

    def plan_of(caller: Caller) -> Plan:
        return Plan(name=caller.plan, level=LEVELS[caller.plan], **plan)

    return Rules(plan_of=plan_of, level_of=LEVELS.get, still_valid=still_valid, queue_timeout=10)


def model(id: str, plan: str = "free") -> Model:
    source = Source(folder="f")
    return Model(id=id, task=Task.TEXT_GENERATION, engine="echo", source=source, revision="r", plan=plan)


def caller(role: Role, *scopes: str, plan: str = "pro") -> Caller:
    return Caller(account_id=1, account="ann", plan=plan, token_id=1, role=role, scopes=frozenset(scopes))


CODER = f"{INFERENCE_SCOPE}:demo/tiny-coder"


def test_a_model_of_a_plan_that_is_gone_is_nobodys() -> None:
    with pytest.raises(Forbidden, match="a/b needs the gold plan, which this server does not have"):
        rules().check(caller(Role.READ), model("a/b", plan="gold"))


@pytest.mark.parametrize("role", [Role.READ, Role.WRITE])
def test_other_roles_run_all_models(role: Role) -> None:
    assert rules().check(caller(role, CODER), model("any/thing")).name == "pro"


@pytest.mark.parametrize(
    ("scopes", "id", "may"),
    [
        ([INFERENCE_SCOPE], "any/thing", True),
        ([CODER], "demo/tiny-coder", True),
        ([CODER], "demo/tiny-coder-2", False),
        ([CODER], "Demo/tiny-coder", False),
        ([CODER], "x/demo/tiny-coder", False),
        ([f"{INFERENCE_SCOPE}:demo/*"], "demo/tiny-coder", True),
        ([f"{INFERENCE_SCOPE}:demo/*"], "demos/tiny-coder", False),
        ([f"{INFERENCE_SCOPE}:*-coder", "repo.read"], "demo/tiny-coder", True),
        ([CODER, f"{INFERENCE_SCOPE}:a/b"], "a/b", True),
        ([CODER, INFERENCE_SCOPE], "any/thing", True),
    ],
)
def test_a_fine_grained_token_runs_what_its_scopes_name(scopes: list[str], id: str, may: bool) -> None:
    who = caller(Role.FINE_GRAINED, *scopes)
    assert who.may_run(id) is may
    if may:
        assert rules().check(who, model(id)).name == "pro"
        return
    with pytest.raises(Forbidden) as refusal:
        rules().check(who, model(id))
    assert id in refusal.value.message
    assert all(pattern in refusal.value.message for pattern in who.model_patterns)


@pytest.mark.parametrize("scopes", [(), ("repo.read",), ("admin",), ("inference.serverless",), (f"x{CODER}",)])
def test_a_token_without_the_scope_runs_nothing(scopes: tuple[str, ...]) -> None:
    with pytest.raises(Forbidden, match="This token may not run models"):
        rules().check(caller(Role.FINE_GRAINED, *scopes), model("demo/tiny-coder"))


def test_a_scope_does_not_open_what_the_plan_does_not() -> None:
    with pytest.raises(Forbidden, match="needs the pro plan"):
        rules().check(caller(Role.FINE_GRAINED, CODER, plan="free"), model("demo/tiny-coder", "pro"))
    with pytest.raises(Forbidden, match="not among the models"):
        rules(models=("other/*",)).check(caller(Role.READ), model("demo/tiny-coder"))
