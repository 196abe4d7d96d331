"""What the pages need of the rooms beneath them. Knows none of their insides."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pronto.accounts.device_login import DeviceLogins
from pronto.accounts.mail import Mail
from pronto.accounts.people import People
from pronto.accounts.plans import Plans
from pronto.accounts.sessions import Sessions
from pronto.accounts.sso import Sso
from pronto.accounts.sso_people import SsoPeople
from pronto.accounts.stripe_billing import StripeBilling
from pronto.core.identity import Caller
from pronto.core.plan import Plan, Standing
from pronto.gateway.models import ModelInfo
from pronto.gateway.operations import AtWork
from pronto.settings import Settings
from pronto.store.base import Store


class ModelsPort(Protocol):
    """gateway/models.py."""

    def default(self) -> str: ...

    def describe(self, name: str) -> ModelInfo: ...

    def list(self) -> Sequence[ModelInfo]: ...


class LimitsPort(Protocol):
    """gateway/limits.py."""

    @property
    def in_work(self) -> int: ...

    async def peek(self, caller: Caller, plan: Plan) -> tuple[Standing, ...]: ...

    def held(self, tenant: str) -> int: ...


class OperationsPort(Protocol):
    """gateway/operations.py."""

    @property
    def memory(self) -> tuple[int, int]: ...

    def at_work(self) -> Sequence[AtWork]: ...

    def is_pinned(self, id: str) -> bool: ...

    async def load(self, id: str) -> None: ...

    async def unload(self, id: str) -> None: ...

    async def pin(self, id: str, is_pinned: bool) -> None: ...


class AuthenticatorPort(Protocol):
    """accounts/authenticator.py: what was changed here holds at once."""

    def forget(self) -> None: ...


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages are made of."""

    models: ModelsPort
    operations: OperationsPort
    limits: LimitsPort
    authenticator: AuthenticatorPort
    logins: DeviceLogins
    plans: Plans
    sessions: Sessions
    people: People
    mail: Mail
    billing: StripeBilling
    sso: Sso
    sso_people: SsoPeople
    store: Store
    settings: Settings
    openapi: Mapping[str, Any]  # the document that describes the API
