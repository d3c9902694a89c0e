"""The registry of handlers and queues that the code declares.

An app writes, in its own `handlers.py`:

    queue("mail", max_attempts=5, timeout=30)

    @handler(queue="mail")
    def send(job):
        ...job.payload...

`sync_queues` makes rows of the declared queues; from then on the row is the policy.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

QUEUE_NAME = re.compile(r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z")


class DeclarationError(ValueError):
    """A handler or queue is declared in a way that cannot work."""


class UnknownHandler(ValueError):
    """No handler of this name is declared."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function. `whole`: called once with all jobs of a run, in a list."""

    name: str
    function: Callable[..., Any]
    queue: str
    whole: bool
    is_async: bool


@dataclass(frozen=True, slots=True)
class DeclaredQueue:
    """A queue as the code declares it: only the values that differ from the settings."""

    name: str
    policy: dict[str, Any] = field(default_factory=dict)


_handlers: dict[str, Handler] = {}
_queues: dict[str, DeclaredQueue] = {}


def queue(name: str, **policy: Any) -> DeclaredQueue:
    """Declare a queue with the fields of its row that differ from the settings.

    Raises `DeclarationError` for an unusable name, an unknown field, or a second, different declaration.
    """
    if not QUEUE_NAME.match(name):
        raise DeclarationError(
            f"queue {name!r}: a name has 1 to 63 of a-z, 0-9, '_', '.', '-' and starts with a letter or digit"
        )
    declared = DeclaredQueue(name, policy)
    known = _queues.get(name)
    if known is not None and known.policy and known != declared:
        raise DeclarationError(f"queue {name!r} is declared twice, and differently")
    _queues[name] = declared
    return declared


def handler(*, queue: str = "default", name: str | None = None, whole: bool = False) -> Callable[[F], F]:
    """Register the decorated function, `def` or `async def`.

    It is called with one `Job`, or with `whole=True` with a list of them. Its name, by which jobs find it
    however the code moves, is `name` or else module and function.
    """

    def register(function: F) -> F:
        if not callable(function):
            raise DeclarationError(f"{function!r} is not a function")
        full = name or f"{function.__module__.removesuffix('.handlers')}.{function.__name__}"
        if len(full) > 200:
            raise DeclarationError(f"handler name of {len(full)} characters; at most 200")
        known = _handlers.get(full)
        if known is not None and known.function.__qualname__ != function.__qualname__:
            raise DeclarationError(f"handler {full!r} is declared twice")
        if queue not in _queues:
            _declare(queue)
        _handlers[full] = Handler(full, function, queue, whole, inspect.iscoroutinefunction(function))
        function.handler_name = full  # type: ignore[attr-defined]
        return function

    return register


_declare = queue


def find(which: str | Callable[..., Any]) -> Handler:
    """The handler of this name, or of this decorated function. Raises `UnknownHandler`."""
    name = which if isinstance(which, str) else getattr(which, "handler_name", None)
    found = _handlers.get(name) if name else None
    if found is None:
        shown = which if isinstance(which, str) else getattr(which, "__qualname__", repr(which))
        known = ", ".join(sorted(_handlers)) or "none is declared"
        raise UnknownHandler(f"unknown handler {shown!r}; known: {known}")
    return found


def known() -> Iterable[Handler]:
    """All handlers, by name."""
    return [_handlers[name] for name in sorted(_handlers)]


def declared_queues() -> list[DeclaredQueue]:
    """All declared queues, by name."""
    return [_queues[name] for name in sorted(_queues)]
