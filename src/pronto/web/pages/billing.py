"""Plans compared, one's own plan, and how to get another: through Stripe, or from an administrator."""

import time

from starlette.responses import JSONResponse, Response

from pronto.accounts.registry import Registry
from pronto.accounts.stripe_billing import LONGEST, PAYING, Places
from pronto.core.errors import InvalidInput
from pronto.core.plan import Per, Plan, Unit
from pronto.store.base import PlanRequest
from pronto.web.forms import read_body
from pronto.web.once import Once
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, redirect, wrong_fields

PAGE = "/settings/billing"
LONGEST_NOTE = 1000  # characters


class BillingPages:
    """Nobody gives themselves a plan here: Stripe says that it is paid, or an administrator agrees."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._rooms, self._store, self._view, self._once = rooms, rooms.store, view, Once()

    async def pricing(self, visit: Visit) -> Response:
        return self._view.page(visit, "pricing.html", **self._offers(visit))

    async def page(self, visit: Visit) -> Response:
        return await self._page(visit, {})

    async def ask(self, visit: Visit) -> Response:
        """A wish for the administrators; a new one takes the place of one that nobody decided on."""
        plan, note = visit.form.get("plan"), visit.form.get("note")
        try:
            if self._rooms.billing.is_on and plan in self._rooms.billing.sold:
                raise InvalidInput("This plan is paid for with the button beside it.", "plan")
            if plan not in self._rooms.plans.names or plan == visit.user.plan:
                raise InvalidInput("Please choose another plan than yours.", "plan")
            if len(note) > LONGEST_NOTE:
                raise InvalidInput(f"Please say it in {LONGEST_NOTE} characters.", "note")
        except InvalidInput as error:
            return await self._page(visit, wrong_fields(error), 422)
        if not self._once.claim(visit.form.get("once")):
            return redirect(PAGE, "plan-asked")
        request = PlanRequest(id=0, account_id=visit.user.id, plan=plan, note=note, created=time.time())
        async with self._store.transaction():
            await self._store.payments.ask(request)
            await self._store.audit.write(visit.user.name, "plan.ask", visit.user.name, {"plan": plan})
        return redirect(PAGE, "plan-asked")

    async def withdraw(self, visit: Visit) -> Response:
        await self._store.payments.withdraw(visit.user.id)
        return redirect(PAGE, "plan-withdrawn")

    async def leave(self, visit: Visit) -> Response:
        """Back to the free plan, at once; of what is paid through Stripe only there."""
        subscription = await self._store.payments.subscription(visit.user.id)
        if subscription is not None and subscription.status in PAYING:
            error = InvalidInput("Your plan is paid through Stripe: please cancel it there.", "plan")
            return await self._page(visit, wrong_fields(error), 422)
        registry = Registry(self._store, lambda: self._rooms.plans, actor=visit.user.name, now=time.time)
        await registry.set_plan(visit.user.name, "free")
        return redirect(PAGE, "plan-left")

    async def subscribe(self, visit: Visit) -> Response:
        """On to Stripe. Raises InvalidInput and Overloaded."""
        places = self._places(visit)
        return _away(await self._rooms.billing.checkout(visit.user, visit.form.get("plan"), places))

    async def portal(self, visit: Visit) -> Response:
        """On to Stripe. Raises NotFound and Overloaded."""
        return _away(await self._rooms.billing.portal(visit.user, self._places(visit)))

    async def webhook(self, visit: Visit) -> Response:
        """Stripe itself, who proves it with a signature. Raises InvalidInput, and Overloaded so that it comes again."""
        if not self._rooms.billing.is_on:
            raise InvalidInput("Nothing is sold through Stripe here.")
        payload = await read_body(visit.request, LONGEST, self._rooms.settings.body_timeout)
        is_new = await self._rooms.billing.hear(payload, visit.request.headers.get("stripe-signature", ""))
        return JSONResponse({"received": True, "new": is_new})

    async def _page(self, visit: Visit, wrong: dict[str, str], status: int = 200) -> Response:
        requests = await self._store.payments.requests(visit.user.id, limit=5)
        values = self._offers(visit) | {
            "request": next((one for one in requests if one.decided is None), None),
            "past": [one for one in requests if one.decided is not None],
            "subscription": await self._store.payments.subscription(visit.user.id),
            "paying": PAYING,
            "wrong": wrong,
            "once": self._once.mark(),
            "wanted": visit.query("plan"),
        }
        return self._view.page(visit, "settings/billing.html", status, **values)

    def _offers(self, visit: Visit) -> dict[str, object]:
        plans = self._rooms.plans
        return {
            "plans": [plans.get(name) for name in plans.names],
            "rows": _rows([plans.get(name) for name in plans.names]),
            "prices": self._rooms.settings.plan_prices,
            "sold": self._rooms.billing.sold if self._rooms.billing.is_on else {},
            "own": visit.account.plan if visit.account is not None else "",
        }

    def _places(self, visit: Visit) -> Places:
        address = self._view.address(visit)
        return Places(f"{address}{PAGE}?done=paid", f"{address}{PAGE}")


def _away(address: str) -> Response:
    return Response(status_code=303, headers={"location": address})


def _rows(plans: list[Plan]) -> list[tuple[str, list[str]]]:
    """The comparison: what it is, and its words for each plan."""
    windows = [
        (unit, per) for unit in Unit for per in Per if any(_window(plan, unit, per) is not None for plan in plans)
    ]
    rows = [
        (
            f"{unit.replace('_', ' ').capitalize()} per {per}",
            [_limit(_window(plan, unit, per)) for plan in plans],
        )
        for unit, per in windows
    ]
    return [
        *rows,
        ("Requests at the same time", [f"{plan.concurrency:,}" for plan in plans]),
        ("Tokens of one answer", [f"up to {plan.max_new_tokens:,}" for plan in plans]),
        ("Weight on a busy device", [f"{plan.weight:g}" for plan in plans]),
        ("Longest wait for a turn", [f"{plan.queue_deadline:g} s" for plan in plans]),
        ("Models", ["all that are open to it" if plan.models == ("*",) else ", ".join(plan.models) for plan in plans]),
    ]


def _window(plan: Plan, unit: Unit, per: Per) -> int | None:
    return next((one.limit for one in plan.windows if one.unit == unit and one.per == per), None)


def _limit(amount: int | None) -> str:
    return "no limit" if amount is None else f"{amount:,}" if amount else "none"
