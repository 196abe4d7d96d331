"""Who is asking: one value that every stage reads and none changes."""

from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec


class Role(StrEnum):
    """The role of a token, as on the Hugging Face Hub. `read` includes inference."""

    READ = "read"
    WRITE = "write"
    FINE_GRAINED = "fineGrained"


INFERENCE_SCOPE = "inference.serverless.write"  # of all models, or of some: `...write:demo/*`
ADMIN_SCOPE = "admin"
_SOME_MODELS = INFERENCE_SCOPE + ":"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated account, or the anonymous caller where the operator allows it."""

    account_id: int  # 0: anonymous
    account: str
    plan: str  # a name in plans.toml: free, pro, enterprise, ...; of the organisation if one pays
    limits: str | None = None  # JSON of what replaces fields of the plan, for whoever pays
    token_id: int | None = None  # None: anonymous
    role: Role = Role.READ
    scopes: frozenset[str] = frozenset()
    org_id: int | None = None  # billed instead of the account when set
    expires: float | None = None  # Unix seconds; None: never
    digest: bytes = b""  # SHA-256 of the token: the key of the auth cache

    @property
    def is_anonymous(self) -> bool:
        return self.token_id is None

    @property
    def tenant(self) -> str:
        """The key of fairness, limits and cache scope: the organisation if one pays, else the account."""
        return f"org:{self.org_id}" if self.org_id is not None else f"account:{self.account_id}"

    @property
    def may_infer(self) -> bool:
        return self.role is not Role.FINE_GRAINED or INFERENCE_SCOPE in self.scopes or bool(self.model_patterns)

    @property
    def may_administrate(self) -> bool:
        return self.role is Role.FINE_GRAINED and ADMIN_SCOPE in self.scopes

    @property
    def model_patterns(self) -> tuple[str, ...]:
        """Of a token that may run some models: their ids, or patterns as in a shell. Empty: no such bound."""
        if self.role is not Role.FINE_GRAINED or INFERENCE_SCOPE in self.scopes:
            return ()
        return tuple(sorted(scope[len(_SOME_MODELS) :] for scope in self.scopes if scope.startswith(_SOME_MODELS)))

    def may_run(self, model: str) -> bool:
        """Whether the token's own scopes let it run a model, by its id."""
        if self.role is not Role.FINE_GRAINED or INFERENCE_SCOPE in self.scopes:
            return True
        return any(fnmatchcase(model, pattern) for pattern in self.model_patterns)


ANONYMOUS = Caller(account_id=0, account="anonymous", plan="anonymous")
