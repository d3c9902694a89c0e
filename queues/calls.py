"""Functions as jobs: called with positional and keyword arguments, which travel as JSON.

@task(queue="math")
def add(a, b=1): ...

add(1, 2)                      # as ever
add.enqueue(1, b=2)            # a job
add.map([(1,), {"a": 1}])      # a batch of them
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from queues import handlers
from queues.domain.outcomes import Job, Reject
from queues.domain.states import Priority
from queues.services.feed import EnqueueError, JobSpec, parse_run_at

if TYPE_CHECKING:  # functions are declared before Django's models may be imported
    from queues.models import Batch

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS = ("queue", "priority", "eta", "key")
_tasks: set[str] = set()


def is_task(name: str) -> bool:
    """Whether a handler is a function that was declared with `@task`."""
    return name in _tasks


def payload_text(value: str) -> str:
    """The payload of a call with one argument that is JSON text already."""
    return f'{{"args":[{value}],"kwargs":{{}}}}'


class Task(Generic[P, R]):
    """A function that can be enqueued. Called, it is just the function."""

    def __init__(self, function: Callable[P, R], name: str) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._signature = inspect.signature(function)
        self.handler_name = name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.handler_name}>"

    def payload(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The payload of a call. Raises `EnqueueError` when the arguments do not fit the function."""
        named = dict(kwargs or {})
        try:
            self._signature.bind(*args, **named)
        except TypeError as error:
            raise EnqueueError(f"{self._function.__name__}(): {error}") from None
        return {"args": list(args), "kwargs": named}

    def enqueue(self, *args: Any, **named: Any) -> int | None:
        """Enqueue a call; returns the job's id, or None when an unfinished job holds `key`.

        `queue`, `priority`, `eta` (an aware time, not before) and `key` are about the job, all else is the function's:
        where it has a parameter of such a name, use `enqueue_call`. Raises `EnqueueError`.
        """
        options = {name: named.pop(name) for name in _OPTIONS if name in named}
        for name in options:
            if name in self._signature.parameters:
                called = self._function.__name__
                raise EnqueueError(f"{name}: {called}() has a parameter of this name: use enqueue_call")
        return self.enqueue_call(args, named, **options)

    def enqueue_call(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        priority: Priority | str | None = None,
        eta: datetime | None = None,
        key: str | None = None,
    ) -> int | None:
        """Enqueue a call whose arguments are given as a sequence and a mapping. Raises `EnqueueError`."""
        from queues.services.enqueue import enqueue

        parse_run_at(eta, "eta")
        return enqueue(
            self.handler_name, self.payload(args, kwargs), queue=queue, priority=priority, run_at=eta, key=key
        )

    def map(self, calls: Iterable[Any], *, eta: datetime | None = None, **options: Any) -> "Batch":
        """Enqueue many calls as one batch: each a tuple of positional or a dict of keyword arguments.

        A generator keeps memory flat; a `JobSpec` around a call gives it its own priority or time. `options` are those
        of `enqueue_batch`. Raises `EnqueueError`, which names the call's place, with nothing written.
        """
        from queues.services.enqueue import enqueue_batch

        parse_run_at(eta, "eta")
        if isinstance(calls, (str, bytes, Mapping)) or not isinstance(calls, Iterable):
            raise EnqueueError(f"calls: many are needed, not one {type(calls).__name__}")
        return enqueue_batch(self.handler_name, self._payloads(calls), run_at=eta, **options)

    def _payloads(self, calls: Iterable[Any]) -> Iterator[Any]:
        for place, call in enumerate(calls):
            if isinstance(call, JobSpec):
                yield replace(call, payload=self._of_call(call.payload, place))
            else:
                yield self._of_call(call, place)

    def _of_call(self, call: Any, place: int) -> dict[str, Any]:
        try:
            if isinstance(call, tuple):
                return self.payload(call)
            if isinstance(call, Mapping):
                return self.payload((), call)
        except EnqueueError as error:
            raise EnqueueError(f"item {place}: {error}") from None
        found = type(call).__name__
        raise EnqueueError(f"item {place}: a tuple of positional or a dict of keyword arguments is needed, not {found}")


def task(
    *, queue: str = "default", name: str | None = None, chunk_size: int | None = None, weight: str | None = None
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Register the decorated function, `def` or `async def`, to be enqueued with arguments.

    What it returns is the result; it may raise outcomes. `name`, `chunk_size` and `weight` are those of `handler`.
    """

    def register(function: Callable[P, R]) -> Task[P, R]:
        if not inspect.isfunction(function):
            raise handlers.DeclarationError(f"@task: a function is needed, not {function!r}")
        declared = handlers.handler(queue=queue, name=name, chunk_size=chunk_size, weight=weight)(_runner(function))
        full: str = declared.handler_name  # type: ignore[attr-defined]
        _tasks.add(full)
        return Task(function, full)

    return register


def _runner(function: Callable[..., Any]) -> Callable[[Job], Any]:
    """What a worker calls: it unpacks the arguments."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(job: Job) -> Any:
            args, kwargs = _arguments(job)
            return await function(*args, **kwargs)

        return run_async

    @functools.wraps(function)
    def run(job: Job) -> Any:
        args, kwargs = _arguments(job)
        return function(*args, **kwargs)

    return run


def _arguments(job: Job) -> tuple[list[Any], dict[str, Any]]:
    payload = job.payload
    if isinstance(payload, dict) and payload.keys() == {"args", "kwargs"}:
        args, kwargs = payload["args"], payload["kwargs"]
        if isinstance(args, list) and isinstance(kwargs, dict):
            return args, kwargs
    raise Reject('the payload is not that of a call: {"args": [...], "kwargs": {...}}')
