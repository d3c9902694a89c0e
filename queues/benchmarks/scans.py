"""Which large tables a piece of work has read from end to end: asked inside its own transaction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from django.db import connection, transaction

from queues import store

# Tables with fewer rows are read whole with good reason.
LARGE = 10_000
JOBS = ("queues_job", "queues_archivedjob")


def scanned() -> dict[str, int]:
    """How often each large table was read from end to end in this transaction so far."""
    return {name: count for name, count, rows in store.rows("scanned_tables") if rows >= LARGE}


def of_jobs(table: str) -> bool:
    """Whether a table holds jobs."""
    return table == JOBS[0] or table.startswith(JOBS[1])


@contextmanager
def watched() -> Iterator[dict[str, list[str]]]:
    """Inside, all is one transaction; what is yielded gets the scanned tables, each with the statements that did it.

    A statement that is not Django's own is not known by its text: the table is there without one.
    """
    found: dict[str, list[str]] = {}
    last: dict[str, int] = {}

    def look(text: str = "") -> None:
        now = scanned()
        for table in (table for table, count in now.items() if count > last.get(table, 0)):
            found.setdefault(table, []).extend([text] if text else [])
        last.update(now)

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = execute(sql, params, many, context)
        # What goes back to a savepoint, or begins one, reads nothing.
        if sql.lstrip().startswith(("SELECT", "WITH")):
            look(sql)
        return result

    with transaction.atomic():
        last.update(scanned())
        with connection.execute_wrapper(note):
            yield found
        # Where a page has left the transaction broken, its answer says so; nothing can be asked any more.
        with suppress(psycopg.errors.InFailedSqlTransaction):
            look()
