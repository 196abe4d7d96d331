"""Logins of devices at the control socket: listed, confirmed and turned down by whoever runs the server."""

from typing import Any

from pronto.accounts.device_login import Device, DeviceLogins
from pronto.core.errors import InvalidInput, NotFound
from pronto.edge.control import Handler
from pronto.store.base import Accounts, Audit


class LoginDesk:
    """What stands behind `pronto login`."""

    def __init__(self, logins: DeviceLogins, accounts: Accounts, audit: Audit) -> None:
        self._logins, self._accounts, self._audit = logins, accounts, audit

    def handlers(self) -> dict[str, Handler]:
        return {"login-list": self.list, "login-confirm": self.confirm, "login-deny": self.deny}

    async def list(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "logins": [
                {
                    "code": login.user_code,
                    "client": login.device.name,
                    "address": login.device.address,
                    "seconds_left": int(left),
                }
                for login, left in self._logins.waiting()
            ]
        }

    async def confirm(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Raises NotFound, InvalidInput and RateLimited."""
        name = _text(asked, "user")
        account = await self._accounts.by_name(name)
        if account is None:
            raise NotFound(f"There is no account named {name}. `pronto users list` shows all of them.")
        if account.kind != "user" or account.suspended is not None:
            raise InvalidInput(f"{name} is an organisation or suspended; nobody can log in as it.")
        device = self._logins.confirm(_text(asked, "code"), account.id)
        await self._audit.write("operator", "login.confirm", name, _shown(device))
        return _shown(device) | {"user": name}

    async def deny(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Raises NotFound and RateLimited."""
        return _shown(self._logins.deny(_text(asked, "code")))


def _shown(device: Device) -> dict[str, Any]:
    return {"client": device.name, "address": device.address}


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str):
        raise InvalidInput(f"`{name}` is missing.")
    return value
