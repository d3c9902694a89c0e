"""The database's clock, and a limit on how long a read may take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import DateTimeField, Func, Max, TextField, Value
from django.db.models.functions import Coalesce
from psycopg.errors import QueryCanceled

from queues.models import Queue


def _select(function: Func[Any]) -> Any:
    """The value of a database function; Django's ORM selects from a table only, so it takes the smallest.

    The aggregate makes one row of it, also when the table is empty.
    """
    return Queue.objects.aggregate(value=Coalesce(Max(function), function))["value"]


def database_now() -> datetime:
    """The time by which chunks are due and runs end. Bounds are passed on as values: the planner knows
    the selectivity of a value and guesses that of a sub-select."""
    now: datetime = _select(Func(function="clock_timestamp", output_field=DateTimeField()))
    return now.astimezone(UTC)


def limit_session(seconds: float) -> None:
    """Every later statement of this connection is cancelled by the server after `seconds`."""
    _limit(int(seconds * 1000), local=False)


def _setting() -> Func[Any]:
    return Func(Value("statement_timeout"), function="current_setting", output_field=TextField())


def _limit(milliseconds: int | str, *, local: bool = True) -> None:
    setting: Func[Any] = Func(
        Value("statement_timeout"),
        Value(str(milliseconds)),
        Value(local),
        function="set_config",
        output_field=TextField(),
    )
    _select(setting)


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Every statement inside is cancelled by the server after `seconds` (`OperationalError`, see `cancelled`)."""
    nested = connection.in_atomic_block
    with transaction.atomic():
        before = _select(_setting()) if nested else ""
        _limit(int(seconds * 1000))
        yield
        if nested:
            # The setting would otherwise stay with the caller's transaction, which may have a limit of its own.
            _limit(before)


def cancelled(error: DatabaseError) -> bool:
    """Whether the server has cancelled a statement, as it does when its time is over."""
    return isinstance(error.__cause__, QueryCanceled)
