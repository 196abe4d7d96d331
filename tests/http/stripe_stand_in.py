"""Stripe's API as far as the `stripe` library asks it here, with signatures as Stripe makes them."""

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY, SECRET = "sk_test_stand_in", "whsec_stand_in"


class Stripe:
    """Keeps sessions and subscriptions as they would be. `is_down`: every answer is a failure."""

    def __init__(self) -> None:
        self.reset()
        self.app = Starlette(
            routes=[
                Route("/v1/checkout/sessions", self.checkout, methods=["POST"]),
                Route("/v1/billing_portal/sessions", self.portal, methods=["POST"]),
                Route("/v1/subscriptions/{id}", self.subscription),
            ]
        )

    def reset(self) -> None:
        """As new, behind the same address."""
        self.sessions: dict[str, dict[str, str]] = {}
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.by_key: dict[str, str] = {}
        self.is_down = False
        self.events = 0

    async def checkout(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        form = await _fields(request)
        key = request.headers.get("idempotency-key", "")
        id = self.by_key.get(key) or f"cs_{len(self.sessions) + 1}"
        if key:
            self.by_key[key] = id
        self.sessions[id] = form
        return JSONResponse({"id": id, "object": "checkout.session", "url": f"https://checkout.stripe.com/c/pay/{id}"})

    async def portal(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        form = await _fields(request)
        url = f"https://billing.stripe.com/p/session/{form['customer']}"
        return JSONResponse({"id": "bps_1", "object": "billing_portal.session", "url": url})

    async def subscription(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        found = self.subscriptions.get(request.path_params["id"])
        if found is None:
            return JSONResponse({"error": {"type": "invalid_request_error", "message": "No such subscription"}}, 404)
        return JSONResponse(found)

    def pay(self, session: str, id: str = "sub_1") -> dict[str, Any]:
        """As a person does on the page of a session; the event that tells of it."""
        form = self.sessions[session]
        self.subscriptions[id] = {
            "id": id,
            "object": "subscription",
            "customer": form.get("customer", "cus_1"),
            "status": "active",
            "cancel_at": None,
            "metadata": {"account_id": form["subscription_data[metadata][account_id]"]},
            "items": {"object": "list", "data": [{"id": "si_1", "price": {"id": form["line_items[0][price]"]}}]},
        }
        about = {"id": session, "object": "checkout.session", "subscription": id, "customer": "cus_1"}
        return self.event("checkout.session.completed", about)

    def change(self, id: str = "sub_1", kind: str = "updated", **fields: Any) -> dict[str, Any]:
        self.subscriptions[id] |= fields
        return self.event(f"customer.subscription.{kind}", dict(self.subscriptions[id]))

    def event(self, kind: str, about: dict[str, Any]) -> dict[str, Any]:
        self.events += 1
        return {"id": f"evt_{self.events}", "object": "event", "type": kind, "data": {"object": about}}

    def _refuse(self, request: Request) -> Response | None:
        if self.is_down:
            return JSONResponse({"error": {"type": "api_error", "message": "down"}}, 500)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}, 401)
        return None


def signed(event: dict[str, Any], secret: str = SECRET, at: float | None = None) -> tuple[bytes, str]:
    """The body of a webhook, and its signature."""
    payload = json.dumps(event).encode()
    moment = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + payload, hashlib.sha256).hexdigest()
    return payload, f"t={moment},v1={mac}"


async def _fields(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))
