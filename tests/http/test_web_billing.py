"""Plans: compared, asked for, paid for through Stripe, and lost again. Nothing is given twice, or to the wrong one."""

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pronto.settings import Settings
from tests.http.edge_scene import running
from tests.http.site_scene import Browser, Web, open_web, words
from tests.http.stripe_stand_in import KEY, SECRET, Stripe, signed

BILLING = "/settings/billing"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path, plan_prices={"pro": "9 € a month"}) as web:
        yield web


@pytest.fixture(scope="module")
def stripe_server() -> Iterator[tuple[Stripe, str]]:
    stand_in = Stripe()
    with running(stand_in.app) as server:
        yield stand_in, server.url


@pytest.fixture
async def shop(tmp_path: Path, stripe_server: tuple[Stripe, str]) -> AsyncIterator["Shop"]:
    stand_in, url = stripe_server
    stand_in.reset()
    keys = {"stripe_secret_key": KEY, "stripe_webhook_secret": SECRET, "stripe_prices": {"pro": "price_pro"}}
    async with open_web(tmp_path, stripe_api=url, **keys) as web:
        yield Shop(web, stand_in)


class Shop:
    def __init__(self, web: Web, stripe: Stripe) -> None:
        self.web, self.stripe = web, stripe

    async def tell(self, event: dict[str, Any], **how: Any) -> httpx.Response:
        payload, signature = signed(event, **how)
        headers = {"stripe-signature": signature, "content-type": "application/json"}
        return await self.web.house.client.post("/stripe/webhook", content=payload, headers=headers)

    async def subscribe(self, browser: Browser) -> str:
        """To the page of Stripe; the session."""
        await browser.get(BILLING)
        answer = await browser.post(f"{BILLING}/subscribe", {"plan": "pro"})
        assert answer.status_code == 303, words(answer)
        found = re.fullmatch(r"https://checkout\.stripe\.com/c/pay/(\w+)", answer.headers["location"])
        assert found is not None
        return found[1]

    async def plan(self, name: str = "ann") -> str:
        account = await self.web.store.accounts.by_name(name)
        assert account is not None
        return account.plan


async def test_plans_are_compared(web: Web) -> None:
    page = words(await web.browser().get("/pricing"))
    assert "Requests per hour 300 1,000 10,000" in page
    assert "Requests per day 1,000 20,000 no limit" in page
    assert "9 € a month" in page
    assert "yours" in words(await (await web.signed_in("ann", "pro")).get("/pricing"))


async def test_a_wish_is_sent_once_and_can_be_withdrawn(web: Web) -> None:
    browser = await web.signed_in("ann")
    page = await browser.get(BILLING)
    once = re.search(r'name="once" value="([\w-]+)"', page.text)
    assert once is not None
    form = {"plan": "pro", "note": "A <b>thesis</b>", "once": once[1]}
    for _ in range(2):
        await browser.get(BILLING)
        assert (await browser.post(f"{BILLING}/ask", form)).status_code == 303
    page = await browser.follow()
    assert "You asked for the pro plan" in words(page)
    assert "A <b>thesis</b>" in words(page)
    assert "<b>thesis" not in page.text
    assert len(await web.store.payments.requests()) == 1
    assert (await web.store.accounts.list())[0].plan == "free", "a wish gives nothing"
    await browser.post(f"{BILLING}/withdraw")
    assert "withdrawn" in words(await browser.follow())
    assert await web.store.payments.requests() == []


@pytest.mark.parametrize(
    "form", [{"plan": "anonymous"}, {"plan": "free"}, {"plan": ""}, {"plan": "pro", "note": "x" * 1001}]
)
async def test_wishes_that_cannot_be_meant(web: Web, form: dict[str, object]) -> None:
    browser = await web.signed_in("ann")
    page = await browser.submit(BILLING, f"{BILLING}/ask", form)
    assert page.status_code == 422
    assert "Please" in words(page)
    assert await web.store.payments.requests() == []


async def test_back_to_the_free_plan(web: Web) -> None:
    browser = await web.signed_in("ann", "pro")
    page = await browser.submit(BILLING, f"{BILLING}/leave")
    assert "You are on the free plan now" in words(page)
    assert (await web.store.accounts.list())[0].plan == "free"


async def test_without_stripe_nobody_is_heard(web: Web) -> None:
    payload, signature = signed({"id": "evt_1", "type": "x", "data": {"object": {}}})
    answer = await web.house.client.post("/stripe/webhook", content=payload, headers={"stripe-signature": signature})
    assert answer.status_code == 422


async def test_paid_changed_and_cancelled(shop: Shop) -> None:
    browser = await shop.web.signed_in("ann")
    page = await browser.get(BILLING)
    assert "checkout.stripe.com" in page.headers["content-security-policy"]
    session = await shop.subscribe(browser)
    assert await shop.subscribe(browser) == session, "two clicks are one session"
    asked = shop.stripe.sessions[session]
    assert (asked["mode"], asked["line_items[0][price]"]) == ("subscription", "price_pro")
    assert asked["success_url"] == "http://localhost:8080/settings/billing?done=paid"
    assert await shop.plan() == "free", "coming back from the page is no payment"
    paid = shop.stripe.pay(session)
    assert (await shop.tell(paid)).json() == {"received": True, "new": True}
    assert await shop.plan() == "pro"
    assert (await shop.tell(paid)).json() == {"received": True, "new": False}
    page = await browser.get(BILLING)
    assert "Paid through Stripe (active)" in words(page)
    assert (await browser.submit(BILLING, f"{BILLING}/leave")).status_code == 422
    assert (await browser.submit(BILLING, f"{BILLING}/subscribe", {"plan": "pro"})).status_code == 422
    await browser.get(BILLING)
    await browser.post(f"{BILLING}/portal")
    assert browser.last.headers["location"] == "https://billing.stripe.com/p/session/cus_1"
    await shop.tell(shop.stripe.change(cancel_at=int(time.time()) + 86_400))
    assert "it ends" in words(await browser.get(BILLING))
    assert await shop.plan() == "pro"
    await shop.tell(shop.stripe.change(kind="deleted", status="canceled"))
    assert await shop.plan() == "free"
    actions = [(entry.actor, entry.details.get("to")) for entry in await shop.web.store.audit.list(subject="ann")]
    assert actions[:2] == [("stripe", "free"), ("stripe", "pro")]


async def test_events_in_any_order_end_the_same(shop: Shop) -> None:
    browser = await shop.web.signed_in("ann")
    paid = shop.stripe.pay(await shop.subscribe(browser))
    late = shop.stripe.change(status="past_due")
    gone = shop.stripe.change(kind="deleted", status="canceled")
    for event in (gone, late, paid, late):
        assert (await shop.tell(event)).status_code == 200
    assert await shop.plan() == "free", "what holds is asked, not what an event said once"


async def test_a_failed_payment_is_shown_and_the_plan_stays_while_stripe_tries(shop: Shop) -> None:
    browser = await shop.web.signed_in("ann")
    await shop.tell(shop.stripe.pay(await shop.subscribe(browser)))
    await shop.tell(shop.stripe.change(status="past_due"))
    assert "The last payment failed" in words(await browser.get(BILLING))
    assert await shop.plan() == "pro"
    await shop.tell(shop.stripe.change(status="unpaid"))
    assert await shop.plan() == "free"


async def test_forged_old_and_foreign_events_do_nothing(shop: Shop) -> None:
    browser = await shop.web.signed_in("ann")
    paid = shop.stripe.pay(await shop.subscribe(browser))
    payload, signature = signed(paid)
    assert (await shop.tell(paid, secret="whsec_other")).status_code == 422
    assert (await shop.tell(paid, secret="")).status_code == 422
    assert (await shop.tell(paid, at=time.time() - 3600)).status_code == 422
    client = shop.web.house.client
    for bad in ("", "t=1,v1=00", signature.replace("v1", "v0"), "nonsense"):
        answer = await client.post("/stripe/webhook", content=payload, headers={"stripe-signature": bad})
        assert answer.status_code == 422
    changed = payload.replace(b"evt_", b"evu_")
    headers = {"stripe-signature": signature}
    assert (await client.post("/stripe/webhook", content=changed, headers=headers)).status_code == 422
    large = await client.post("/stripe/webhook", content=b"x" * 300_000, headers={"stripe-signature": signature})
    assert large.status_code == 413
    assert await shop.plan() == "free"
    shop.stripe.change(metadata={"account_id": "999"})
    assert (await shop.tell(paid)).status_code == 200
    assert await shop.plan() == "free", "a subscription of nobody"
    shop.stripe.change(metadata={})
    other = shop.stripe.change(items={"object": "list", "data": [{"price": {"id": "price_other"}}]})
    assert (await shop.tell(other)).status_code == 200
    assert await shop.plan() == "free"


async def test_when_stripe_is_down_it_is_said_and_the_event_comes_again(shop: Shop) -> None:
    browser = await shop.web.signed_in("ann")
    paid = shop.stripe.pay(await shop.subscribe(browser))
    shop.stripe.is_down = True
    assert (await shop.tell(paid)).status_code == 429
    page = await browser.submit(BILLING, f"{BILLING}/portal")
    assert page.status_code in (404, 429)
    shop.stripe.is_down = False
    assert (await shop.tell(paid)).json()["new"] is True
    assert await shop.plan() == "pro"


async def test_the_end_of_a_subscription_takes_no_plan_that_was_given(shop: Shop) -> None:
    browser = await shop.web.signed_in("ann")
    await shop.tell(shop.stripe.pay(await shop.subscribe(browser)))
    await shop.web.house.registry.set_plan("ann", "enterprise")
    await shop.tell(shop.stripe.change(kind="deleted", status="canceled"))
    assert await shop.plan() == "enterprise"


async def test_other_events_are_noted_and_nothing_more(shop: Shop) -> None:
    event = shop.stripe.event("invoice.paid", {"id": "in_1", "object": "invoice"})
    assert (await shop.tell(event)).json()["new"] is True
    assert (await shop.tell(event)).json()["new"] is False


@pytest.mark.parametrize(
    "fields",
    [
        {"stripe_secret_key": KEY},
        {"stripe_secret_key": KEY, "stripe_webhook_secret": "", "stripe_prices": {"pro": "p"}},
        {"stripe_secret_key": "", "stripe_webhook_secret": SECRET, "stripe_prices": {"pro": "p"}},
        {"stripe_secret_key": KEY, "stripe_webhook_secret": SECRET},
    ],
)
def test_no_start_without_all_of_stripes_secrets(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="stripe_secret_key needs"):
        Settings(**fields)


def test_the_stand_in_signs_as_the_library_does() -> None:
    import stripe

    payload, signature = signed({"id": "evt_1", "object": "event", "type": "x", "data": {"object": {}}})
    assert stripe.Webhook.construct_event(payload, signature, SECRET).id == json.loads(payload)["id"]
