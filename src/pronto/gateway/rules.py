"""What the operator decided for everybody, and who may use what. Knows plans as values alone."""

from collections.abc import Awaitable, Callable

import msgspec

from pronto.core.errors import Forbidden
from pronto.core.identity import Caller
from pronto.core.model import Model
from pronto.core.plan import Plan


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """`level_of` is the level of the plan that a model needs, None where there is no such plan (any more).

    `queue_timeout`: seconds, whatever a plan says.
    """

    plan_of: Callable[[Caller], Plan]
    level_of: Callable[[str], int | None]
    still_valid: Callable[[Caller], Awaitable[bool]]
    queue_timeout: float

    def check(self, caller: Caller, model: Model) -> Plan:
        """The caller's plan. Raises Forbidden with a sentence that says what would be needed."""
        if not caller.may_infer:
            raise Forbidden(
                "This token may not run models. Please make one with the role `read` or `write`, "
                "or with the scope `inference.serverless.write`."
            )
        if not caller.may_run(model.id):
            raise Forbidden(
                f"This token may not run {model.id}: its scopes name {', '.join(caller.model_patterns)}. "
                "Please use another token, or make one with the scope `inference.serverless.write`."
            )
        plan = self.plan_of(caller)
        level = self.level_of(model.plan)
        if level is None:
            raise Forbidden(
                f"{model.id} needs the {model.plan} plan, which this server does not have. "
                "Please tell its operator: the model's entry in the catalog names it."
            )
        if plan.level < level:
            raise Forbidden(
                f"{model.id} needs the {model.plan} plan; your account is on the {plan.name} plan. "
                "Please ask the operator of this server to change your plan."
            )
        if not plan.covers(model.id):
            raise Forbidden(
                f"{model.id} is not among the models of the {plan.name} plan. "
                "Please ask the operator of this server, or choose another model: GET /models lists them."
            )
        return plan
