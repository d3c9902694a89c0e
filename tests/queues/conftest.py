"""What the tests of the engine share."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from queues import handlers
from queues.serve import Server

_numbers = count()


@pytest.fixture
def declare() -> Iterator[Callable[..., Any]]:
    """Declares a handler for one test: `@declare()`, or `@declare(whole=True)`."""
    before = dict(handlers._handlers), dict(handlers._queues)

    def register(**options: Any) -> Callable[..., Any]:
        return handlers.handler(**{"queue": "tested", "name": f"declared.{next(_numbers)}", **options})

    yield register
    for registry, content in zip((handlers._handlers, handlers._queues), before, strict=True):
        registry.clear()
        registry.update(content)  # type: ignore[call-overload]


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    """This process as a worker, with its keeper."""
    server = Server(["tested"])
    yield server
    server.leave()
