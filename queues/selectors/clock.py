"""The database's clock, and a limit on how long a read may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from django.db import DatabaseError, connection, transaction
from psycopg.errors import QueryCanceled

from queues import store


def database_now() -> datetime:
    """The time by which chunks are due and runs end. Bounds are passed on as values: the planner knows
    the selectivity of a value and guesses that of a sub-select."""
    now: datetime = store.select("now")[0][0]
    return now.astimezone(UTC)


def limit_session(seconds: float) -> None:
    """Every later statement of this connection is cancelled by the server after `seconds`."""
    _limit(int(seconds * 1000), local=False)


def _limit(milliseconds: int | str, *, local: bool = True) -> None:
    store.select("limit_statements", [str(milliseconds), local])


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Every statement inside is cancelled by the server after `seconds` (`OperationalError`, see `cancelled`)."""
    nested = connection.in_atomic_block
    with transaction.atomic():
        before = store.select("statement_limit")[0][0] if nested else ""
        _limit(int(seconds * 1000))
        yield
        if nested:
            # The setting would otherwise stay with the caller's transaction, which may have a limit of its own.
            _limit(before)


def cancelled(error: DatabaseError) -> bool:
    """Whether the server has cancelled a statement, as it does when its time is over."""
    return isinstance(error.__cause__, QueryCanceled)
