"""A device that asks to be let in (`hf auth login`): its user compares the code, and confirms it or turns it away."""

from starlette.responses import Response

from pronto.accounts.device_login import TTL, Device, is_code, normal
from pronto.core.errors import NotFound, ProntoError, RateLimited
from pronto.web.ports import Rooms
from pronto.web.rendering import View
from pronto.web.visit import Visit, status_of

UNKNOWN = "No login with this code is waiting. Codes hold for 15 minutes; please begin again on your device."


class DevicePages:
    """The device gets a token of whoever confirms."""

    def __init__(self, rooms: Rooms, view: View) -> None:
        self._logins, self._store, self._view = rooms.logins, rooms.store, view

    async def page(self, visit: Visit) -> Response:
        code = visit.query("user_code")
        if not is_code(code):
            return self._page(visit, "", None)
        try:
            return self._page(visit, normal(code), self._logins.look(code))
        except (NotFound, RateLimited) as error:
            return self._refused(visit, code, error)

    async def decide(self, visit: Visit) -> Response:
        code, decision = visit.form.get("user_code"), visit.form.get("decision")
        try:
            if decision == "confirm":
                device = self._logins.confirm(code, visit.user.id)
            elif decision == "deny":
                device = self._logins.deny(code)
            else:
                return self._page(visit, normal(code), self._logins.look(code))
        except (NotFound, RateLimited) as error:
            return self._refused(visit, code, error)
        action = "login.confirm" if decision == "confirm" else "login.deny"
        details = {"client": device.name, "address": device.address}
        await self._store.audit.write(visit.user.name, action, visit.user.name, details)
        return self._view.page(visit, "device_done.html", device=device, is_in=decision == "confirm")

    def _refused(self, visit: Visit, code: str, error: ProntoError) -> Response:
        message = UNKNOWN if isinstance(error, NotFound) else error.message
        shown = normal(code) if is_code(code) else ""
        return self._page(visit, shown, None, status_of(error), error=message)

    def _page(self, visit: Visit, code: str, device: Device | None, status: int = 200, *, error: str = "") -> Response:
        values = {"code": code, "device": device, "error": error, "minutes": int(TTL / 60)}
        return self._view.page(visit, "device.html", status, **values)
