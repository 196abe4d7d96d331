"""A coroutine that can be asked whether it is ready before anybody waits for it. Knows no HTTP.

It saves a timer, a task or a write wherever the value is at hand already, which is the common case.
"""

from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine as awaitable_generator
from typing import Any, Generic, TypeVar, cast

_Value = TypeVar("_Value")


class Polled(Generic[_Value]):
    """One coroutine: `poll` it once; when that was not enough, await `rest()`. Both in the same task."""

    __slots__ = ("_coroutine", "_pending", "_value")

    def __init__(self, awaitable: Awaitable[_Value]) -> None:
        # What an async generator's `__anext__` gives has a coroutine's methods as well.
        self._coroutine = cast("Coroutine[Any, Any, _Value]", awaitable)
        self._pending: Any = None
        self._value: _Value | None = None

    def poll(self) -> bool:
        """Run it until it is done (True: see `value`) or has to wait. Raises what it raises."""
        try:
            self._pending = self._coroutine.send(None)
        except StopIteration as stop:
            self._value = stop.value
            return True
        return False

    @property
    def value(self) -> _Value:
        return cast(_Value, self._value)

    def rest(self) -> Awaitable[_Value]:
        """What is left of it."""
        return _resume(self._coroutine, self._pending)

    def end(self, error: BaseException) -> Awaitable[_Value]:
        """Instead of `rest`: raise `error` at the place where the coroutine waits, and see it to its end."""
        # A cancelled task cancels what it waits for; here it waits for something else at that moment.
        if hasattr(self._pending, "cancel"):
            self._pending.cancel()
        return _throw(self._coroutine, error)


@awaitable_generator
def _resume(coroutine: Coroutine[Any, Any, _Value], pending: Any) -> Generator[Any, Any, _Value]:
    while True:
        try:
            yield pending
        except BaseException as error:
            try:
                pending = coroutine.throw(error)
            except StopIteration as stop:
                return cast(_Value, stop.value)
        else:
            return cast(_Value, (yield from coroutine))  # a started coroutine goes on where it waits


@awaitable_generator
def _throw(coroutine: Coroutine[Any, Any, _Value], error: BaseException) -> Generator[Any, Any, _Value]:
    try:
        pending = coroutine.throw(error)
    except StopIteration as stop:
        return cast(_Value, stop.value)
    return (yield from _resume(coroutine, pending))
