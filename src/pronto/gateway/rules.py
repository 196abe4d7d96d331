"""What the operator decided for everybody, and who may use what. Knows plans only through the questions it is given."""

from collections.abc import Awaitable, Callable

import msgspec

from pronto.core.errors import Forbidden
from pronto.core.identity import Caller
from pronto.core.model import Model

PLAN_WEIGHT = {"free": 1.0, "pro": 4.0, "enterprise": 8.0}  # shares of a busy device (trust.md §3)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds. `allows(plan, needed)` and `still_valid(caller)` are answered by the accounts."""

    allows: Callable[[str, str], bool]
    still_valid: Callable[[Caller], Awaitable[bool]]
    queue_timeout: float

    def check(self, caller: Caller, model: Model) -> None:
        """Raises Forbidden with a sentence that says what would be needed."""
        if not caller.may_infer:
            raise Forbidden(
                "This token may not run models. Please make one with the role `read` or `write`, "
                "or with the scope `inference.serverless.write`."
            )
        if not self.allows(caller.plan, model.plan):
            raise Forbidden(
                f"{model.id} needs the {model.plan} plan; your account is on the {caller.plan} plan. "
                "Please ask the operator of this server to change your plan."
            )

    def weight(self, caller: Caller) -> float:
        return PLAN_WEIGHT.get(caller.plan, 1.0)
