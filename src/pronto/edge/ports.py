"""What the edge needs of the rooms beneath it, as protocols. Knows none of their insides."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from pronto.accounts.device_login import DeviceLogins
from pronto.accounts.plans import Plans
from pronto.core.events import Event, Step
from pronto.core.identity import Caller
from pronto.core.plan import Plan, Standing
from pronto.core.request import InferenceRequest, Turn
from pronto.core.tasks import Task
from pronto.edge.metrics import Metrics
from pronto.gateway.conversation import Kept, Serve
from pronto.gateway.models import ModelInfo
from pronto.settings import Settings
from pronto.store.base import Answers, Store, Tokens


class ModelsPort(Protocol):
    """gateway/models.py."""

    def task_of(self, name: str) -> Task: ...

    def default(self, task: Task | None = None) -> str: ...

    def sees_images(self) -> bool: ...

    def describe(self, name: str) -> ModelInfo: ...

    def list(self) -> list[ModelInfo]: ...

    async def load(self, name: str) -> ModelInfo: ...

    async def unload(self, name: str) -> bool: ...

    async def pin(self, name: str, *, is_pinned: bool) -> None: ...


class GatewayPort(Protocol):
    """gateway/serve.py."""

    is_accepting: bool

    @property
    def models(self) -> ModelsPort: ...

    async def find(self, caller: Caller, name: str) -> None: ...

    def room(self, caller: Caller, request: InferenceRequest) -> AbstractAsyncContextManager[None]: ...

    def serve(self, caller: Caller, request: InferenceRequest) -> AsyncGenerator[Step, None]: ...


class LimitsPort(Protocol):
    """gateway/limits.py."""

    async def peek(self, caller: Caller, plan: Plan) -> tuple[Standing, ...]: ...

    def held(self, tenant: str) -> int: ...


class ConversationsPort(Protocol):
    """gateway/conversation.py. All raise NotFound for what is not there, or another account's."""

    def serve(
        self, serve: Serve, caller: Caller, request: InferenceRequest, turn: Turn
    ) -> AsyncGenerator[Event, None]: ...

    async def find(self, caller: Caller, id: str) -> Kept: ...

    async def forget(self, caller: Caller, id: str) -> None: ...


class AuthenticatorPort(Protocol):
    """accounts/authenticator.py. Raises Unauthenticated; Forbidden for who is suspended, or no member."""

    def cached(self, authorization: str | None) -> Caller | None: ...

    async def authenticate(self, authorization: str | None, api_key: str | None = None) -> Caller: ...

    async def billed_to(self, caller: Caller, org: str) -> Caller: ...

    def forget(self) -> None: ...


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge opens its doors to."""

    gateway: GatewayPort
    limits: LimitsPort
    authenticator: AuthenticatorPort
    conversations: ConversationsPort
    answers: Answers
    logins: DeviceLogins
    tokens: Tokens
    plans: Plans
    store: Store
    settings: Settings
    metrics: Metrics
