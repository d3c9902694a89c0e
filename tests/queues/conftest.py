"""What the tests of the engine share."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from django.db import connection

from queues import handlers
from queues.serve import Server
from queues.services import partitions

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
def no_partitions(db: None) -> None:
    """An archive of which nothing was ever made: tests that ran before may have left partitions, empty ones."""
    with connection.cursor() as cursor:
        for number in partitions.existing():
            cursor.execute(f"DROP TABLE queues_archivedjob_p{number}")


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    """This process as a worker, with its keeper."""
    server = Server(["tested"])
    yield server
    server.leave()
