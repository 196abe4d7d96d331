"""One tree of everything that can go wrong for a request. Errors carry facts; dialects choose status and body.

ProntoError
├── Unauthenticated          no token, an unknown, revoked or expired one
├── Forbidden                the token is known, but its plan or scope does not allow this
├── NotFound                 no such thing (route, conversation, ...)
│   └── ModelNotFound        no such model in the catalog
├── MethodNotAllowed         the path has other methods
├── InvalidInput             the request itself is wrong
│   ├── Unsupported          a parameter that this model's engine cannot honour
│   └── KeyReused            an idempotency key came before, with another request
├── Conflict                 the same request is in work at this moment
├── TooLarge                 the body or its headers are over a bound
├── RateLimited              the caller's own limit
├── Overloaded               our capacity
├── Loading                  the model is on its way
├── Draining                 the server is stopping
├── ModelFailed              the model could not be loaded
├── GenerationFailed         the engine failed while it worked on the request
├── Stopped                  the answer was ended early by us: token revoked, server stopping
├── DeadlineExceeded         the request's own deadline passed
└── StorageFailed            the ledger or the database cannot be written
"""

from pronto.core.plan import Standing


class ProntoError(Exception):
    """Root of the tree. `message` is a plain sentence for the user that says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unauthenticated(ProntoError):
    """No valid token came with the request."""


class Forbidden(ProntoError):
    """The caller is known but may not do this. The message says what would be needed."""


class NotFound(ProntoError):
    """There is no such thing."""


class MethodNotAllowed(ProntoError):
    """The path exists, but not with this method. `allowed` are the methods it has."""

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class ModelNotFound(NotFound):
    """The catalog has no model of this id, or no entry that is this model with this adapter."""

    def __init__(self, model: str, adapter: str | None = None) -> None:
        missing = f"Model {model} does not exist"
        if adapter is not None:
            missing = f"Model {model} has no adapter {adapter}: the operator adds one with `pronto models add`"
        super().__init__(missing)
        self.model = model
        self.adapter = adapter


class InvalidInput(ProntoError):
    """The request is wrong; asking again unchanged gives the same answer. `param` names the field, if one does."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Unsupported(InvalidInput):
    """The field is well-formed, but this model's engine cannot honour it."""


class KeyReused(InvalidInput):
    """The idempotency key belongs to another request of the account."""


class Conflict(ProntoError):
    """The same request, by its idempotency key, is in work. `retry_after` in seconds."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooLarge(ProntoError):
    """The body or a part of it is over a bound."""


class RateLimited(ProntoError):
    """The caller's own limit. `retry_after` in seconds; None when waiting does not help. `window` names the limit.

    `limits` is how all windows stand, the one in the way first.
    """

    def __init__(
        self, message: str, *, window: str, retry_after: float | None, limits: tuple[Standing, ...] = ()
    ) -> None:
        super().__init__(message)
        self.window = window
        self.retry_after = retry_after
        self.limits = limits


class Overloaded(ProntoError):
    """Our capacity is used up. `retry_after` in seconds."""

    def __init__(self, message: str = "Model is overloaded", *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Loading(ProntoError):
    """The model is being loaded. `estimated_time` in seconds; `guessed` when nothing was measured yet."""

    def __init__(self, model: str, *, estimated_time: float, guessed: bool, stage: str = "load") -> None:
        super().__init__(f"Model {model} is currently loading")
        self.model = model
        self.estimated_time = estimated_time
        self.guessed = guessed
        self.stage = stage


class Draining(ProntoError):
    """The server is stopping and takes no new work. `retry_after` in seconds."""

    def __init__(self, *, retry_after: float = 5.0) -> None:
        super().__init__("The server is shutting down. Please try again in a moment.")
        self.retry_after = retry_after


class ModelFailed(ProntoError):
    """The model could not be loaded. `retry_after` in seconds: before then no new attempt is made."""

    def __init__(self, model: str, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(f"Model {model} could not be loaded: {reason}")
        self.model = model
        self.reason = reason
        self.retry_after = retry_after


class GenerationFailed(ProntoError):
    """The engine failed on this request. `started` tells whether part of the answer had been produced."""

    def __init__(self, message: str, *, started: bool = False) -> None:
        super().__init__(message)
        self.started = started


class Stopped(ProntoError):
    """The answer was ended early by the server. `reason` is `revoked` or `shutdown`."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeadlineExceeded(ProntoError):
    """A bound that the request carries has passed. `stage` says where."""

    def __init__(self, message: str, *, stage: str) -> None:
        super().__init__(message)
        self.stage = stage


class StorageFailed(ProntoError):
    """The database cannot be written, so nothing is served that could not be accounted for."""

    def __init__(
        self, message: str = "The server cannot record usage at the moment. Please try again shortly."
    ) -> None:
        super().__init__(message)
