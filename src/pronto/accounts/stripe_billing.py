"""Plans that are sold through Stripe: its pages to pay and to change, and its word on what was paid. Knows no HTTP.

Stripe's events come twice, late and in any order, so an event only says that something changed: what holds is asked.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from pronto.accounts.plans import Plans
from pronto.accounts.registry import Registry
from pronto.core.errors import InvalidInput, NotFound, Overloaded
from pronto.observe import logger
from pronto.settings import Settings
from pronto.store.base import Account, Store, Subscription

ACTOR = "stripe"
TIMEOUT = 20.0  # seconds of one question to Stripe
PAYING = ("active", "trialing", "past_due")  # past due: Stripe still tries to collect, as long as its settings say
LONGEST = 256_000  # bytes of an event

log = logger("billing")


class Places(msgspec.Struct, frozen=True):
    """Where Stripe's pages lead back to."""

    after: str
    back: str


class Price(msgspec.Struct, frozen=True):
    id: str


class Item(msgspec.Struct, frozen=True):
    price: Price


class Items(msgspec.Struct, frozen=True):
    data: list[Item]


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as Stripe tells it, as far as it matters here."""

    id: str
    customer: str
    status: str
    items: Items
    metadata: dict[str, str] = {}
    cancel_at: float | None = None

    @property
    def account_id(self) -> int:
        """Whose it is, as we wrote into it when it was begun; 0: none of ours."""
        text = self.metadata.get("account_id", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


class StripeBilling:
    """`now` gives Unix seconds. Raises Overloaded where Stripe cannot be reached."""

    def __init__(self, settings: Settings, store: Store, plans: Plans, now: Callable[[], float] = time.time) -> None:
        self._settings, self._store, self._plans, self._now = settings, store, plans, now
        self._locks: dict[int, asyncio.Lock] = {}

    @property
    def is_on(self) -> bool:
        return self._settings.stripe_secret_key is not None

    @property
    def sold(self) -> Mapping[str, str]:
        """Plans to Stripe's prices."""
        return self._settings.stripe_prices

    async def checkout(self, account: Account, plan: str, places: Places) -> str:
        """The address of a page of Stripe on which the account pays for a plan. Raises InvalidInput."""
        price = self.sold.get(plan)
        if price is None:
            raise InvalidInput(f"The plan {plan} is not sold here.", "plan")
        known = await self._store.payments.subscription(account.id)
        if known is not None and known.status in PAYING:
            raise InvalidInput("You have a subscription already: change it instead of beginning another.", "plan")
        whose = {"account_id": str(account.id)}
        asked: dict[str, Any] = {
            "mode": "subscription",
            "line_items": [{"price": price, "quantity": 1}],
            "client_reference_id": str(account.id),
            "metadata": whose,
            "subscription_data": {"metadata": whose},
            "success_url": places.after,
            "cancel_url": places.back,
        }
        if known is not None:
            asked["customer"] = known.customer
        elif account.email:
            asked["customer_email"] = account.email
        # Two clicks on the button are one session.
        key = f"checkout-{account.id}-{plan}-{int(self._now() // 60)}"
        session = await self._ask(self._client.v1.checkout.sessions.create, asked, {"idempotency_key": key})
        return str(session.url)

    async def portal(self, account: Account, places: Places) -> str:
        """The address of a page of Stripe on which the account changes or cancels. Raises NotFound."""
        known = await self._store.payments.subscription(account.id)
        if known is None:
            raise NotFound("You have no subscription.")
        asked = {"customer": known.customer, "return_url": places.back}
        return str((await self._ask(self._client.v1.billing_portal.sessions.create, asked)).url)

    async def hear(self, payload: bytes, signature: str) -> bool:
        """Work on an event; whether it was new. Raises InvalidInput for what Stripe did not sign."""
        event = self._verified(payload, signature)
        id = _subscription_of(event)
        if id is None:
            return await self._store.payments.begin_event(event["id"], self._now())
        account_id = (await self._look_up(id)).account_id
        lock = self._locks.setdefault(account_id, asyncio.Lock())
        async with lock:
            # Asked again with the lock: what was read before may be older than what another event has written.
            found = await self._look_up(id)
            async with self._store.transaction():
                if not await self._store.payments.begin_event(event["id"], self._now()):
                    return False
                await self._settle(account_id, found)
        return True

    async def _look_up(self, id: str) -> Paid:
        found = await self._ask(self._client.v1.subscriptions.retrieve, id)
        return msgspec.convert(found.to_dict(), Paid)

    def _verified(self, payload: bytes, signature: str) -> dict[str, Any]:
        import stripe

        try:
            event = stripe.Webhook.construct_event(payload, signature, self._settings.stripe_webhook_secret)
        except (ValueError, stripe.SignatureVerificationError):
            raise InvalidInput("This was not signed by Stripe with our secret, or too long ago.") from None
        plain: dict[str, Any] = event.to_dict()
        return plain

    async def _settle(self, account_id: int, found: Paid) -> None:
        """Write what holds of a subscription, and put the account on the plan that follows from it."""
        account = await self._store.accounts.get(account_id)
        if account is None:
            log.warning("a subscription of nobody", subscription=found.id)
            return
        known = await self._store.payments.subscription(account.id)
        is_another = known is not None and known.subscription != found.id
        if is_another and known is not None and known.status in PAYING and found.status not in PAYING:
            return  # the end of an old one says nothing about the one that holds
        plan = self._plan_of(found)
        if plan is None:
            log.error("a subscription to a price that no plan has", subscription=found.id)
            return
        row = Subscription(
            account_id=account.id,
            customer=found.customer,
            subscription=found.id,
            plan=plan,
            status=found.status,
            changed=self._now(),
            ends=found.cancel_at,
        )
        await self._store.payments.keep_subscription(row)
        registry = Registry(self._store, lambda: self._plans, actor=ACTOR, now=self._now)
        if row.status in PAYING:
            if account.plan != plan:
                await registry.set_plan(account.name, plan)
        elif account.plan in {plan, known.plan if known is not None else plan}:
            # A plan that an administrator gave is not taken by the end of a subscription to another one.
            await registry.set_plan(account.name, "free")

    def _plan_of(self, found: Paid) -> str | None:
        prices = {item.price.id for item in found.items.data}
        return next((plan for plan, price in self.sold.items() if price in prices), None)

    @cached_property
    def _client(self) -> Any:
        import stripe

        return stripe.StripeClient(
            self._settings.stripe_secret_key or "",
            base_addresses={"api": self._settings.stripe_api},
            http_client=stripe.RequestsClient(timeout=TIMEOUT),
            max_network_retries=1,
        )

    async def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        import stripe

        try:
            return await asyncio.to_thread(question, *arguments)
        except stripe.StripeError as error:
            log.error("Stripe could not be asked", kind=type(error).__name__, code=error.code, status=error.http_status)
            raise Overloaded(
                "Stripe cannot be reached at the moment. Please try again shortly.", retry_after=30
            ) from None


def _subscription_of(event: Mapping[str, Any]) -> str | None:
    """The id of the subscription that an event is about; None: about something else."""
    about, kind = event["data"]["object"], event["type"]
    if kind.startswith("customer.subscription."):
        return str(about["id"])
    if kind == "checkout.session.completed" and about.get("subscription"):
        return str(about["subscription"])
    return None
