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

from queues.domain.boundaries import declared_size

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
    chunk_size: int | None = None


@dataclass(frozen=True, slots=True)
class DeclaredQueue:
    """A queue as the code declares it: only the values that differ from the settings."""

    name: str
    policy: dict[str, Any] = field(default_factory=dict)


_handlers: dict[str, Handler] = {}
_queues: dict[str, DeclaredQueue] = {}
_sources: dict[str, Callable[..., Any]] = {}
# The queue whose dead letters are handled, and the handler that gets them.
_dead_letter_handlers: dict[str, str] = {}
# Where handlers of dead letters run that name no queue of their own.
DEAD_LETTERS = "dead-letters"


def queue(name: str, **policy: Any) -> DeclaredQueue:
    """Declare a queue with the fields of its row that differ from the settings.

    Raises `DeclarationError` for an unusable name, an unknown field, or a second, different declaration.
    """
    if not QUEUE_NAME.match(name):
        raise DeclarationError(
            f"queue {name!r}: a name has 1 to 63 of a-z, 0-9, '_', '.', '-' and starts with a letter or digit"
        )
    hook = policy.get("dead_letter_handler")
    if callable(hook):
        policy["dead_letter_handler"] = find(hook).name
    declared = DeclaredQueue(name, policy)
    known = _queues.get(name)
    if known is not None and known.policy and known != declared:
        raise DeclarationError(f"queue {name!r} is declared twice, and differently")
    _queues[name] = declared
    return declared


def handler(
    *,
    queue: str = "default",
    name: str | None = None,
    whole: bool = False,
    chunk_size: int | None = None,
    weight: str | None = None,
) -> Callable[[F], F]:
    """Register the decorated function, `def` or `async def`.

    It is called with one `Job`, or with `whole=True` with a list of them. Its name, by which jobs find it
    however the code moves, is `name` or else module and function. `queue=""`: each enqueue names the queue.
    `chunk_size`, or as a word `weight` (light: 10,000, heavy: 100), is how its batches are cut where the queue's
    boundaries are the handler's.
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
        try:
            size = declared_size(chunk_size, weight)
        except ValueError as error:
            raise DeclarationError(f"handler {full!r}: {error}") from None
        if queue and queue not in _queues:
            _declare(queue)
        _handlers[full] = Handler(full, function, queue, whole, inspect.iscoroutinefunction(function), size)
        function.handler_name = full  # type: ignore[attr-defined]
        return function

    return register


_declare = queue


def dead_letter_handler(*, queue: str, runs_in: str = DEAD_LETTERS, name: str | None = None) -> Callable[[F], F]:
    """Register the decorated function as the handler of the dead letters of `queue`.

    For each job of it that dies, one job of this handler is written in the same transaction, into the queue
    `runs_in`. Its payload says what died and why; see docs/events.md. The queue's row may name another handler.
    """
    if not QUEUE_NAME.match(queue):
        raise DeclarationError(f"queue {queue!r}: no such name can be")

    def register(function: F) -> F:
        handler(queue=runs_in, name=name)(function)
        full: str = function.handler_name  # type: ignore[attr-defined]
        if _dead_letter_handlers.setdefault(queue, full) != full:
            raise DeclarationError(
                f"queue {queue!r} has two dead letter handlers: {_dead_letter_handlers[queue]} and {full}"
            )
        return function

    return register


def dead_letter_handler_of(queue: str) -> str:
    """The handler that the code declares for the dead letters of a queue; empty for none."""
    return _dead_letter_handlers.get(queue, "")


def is_dead_letter_handler(name: str) -> bool:
    """Whether the code declares this handler for the dead letters of some queue."""
    return name in _dead_letter_handlers.values()


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


def source(name: str) -> Callable[[F], F]:
    """Register the decorated function as a source of payloads for recurring batches.

    It takes nothing and returns or yields JSON values, one for each job; nothing at all is a batch less. It is called
    at each due time within the transaction that makes the batch, so it should be quick and leave nothing behind.
    """
    if not isinstance(name, str) or not 1 <= len(name) <= 200:
        raise DeclarationError(f"source {name!r}: a name has 1 to 200 characters")

    def register(function: F) -> F:
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise DeclarationError(f"source {name!r}: a plain function is needed")
        known = _sources.get(name)
        if known is not None and known.__qualname__ != function.__qualname__:
            raise DeclarationError(f"source {name!r} is declared twice")
        _sources[name] = function
        function.source_name = name  # type: ignore[attr-defined]
        return function

    return register


def sources() -> dict[str, Callable[[], Iterable[Any]]]:
    """All declared sources, by name."""
    return {name: _sources[name] for name in sorted(_sources)}
