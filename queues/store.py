"""Runs the statements of `queues.sql`. The only cursor in the code.

The cursor is psycopg's own on Django's connection: transactions, `atomic` and test databases stay Django's,
while statements are bound on the server and can stay prepared. psycopg's errors pass through as they are.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from itertools import count
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import QuerySet
from django.db.utils import DatabaseError, InterfaceError, OperationalError
from psycopg import errors, sql

from queues.sql import statement

log = logging.getLogger(__name__)

Row = tuple[Any, ...]
T = TypeVar("T")

# Errors after which the connection is of no more use.
CONNECTION_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError)
DATABASE_ERRORS = (psycopg.Error, DatabaseError)
LockTimeout = errors.LockNotAvailable
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")
_explained = count()
# How a worker's statements are planned: once, from index to index. The one plan may be made while the tables are small
# or were so when they were last analysed; what is then as cheap, a scan, a hash or a sort of all that there is, would
# be kept while a million chunks arrive.
WORK_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_sort": "off",
}
REPEATABLE = (errors.DeadlockDetected, errors.SerializationFailure)
HELD_UP = (*REPEATABLE, errors.LockNotAvailable, errors.QueryCanceled)


def alias() -> str:
    """The database of the queues."""
    return DEFAULT_DB_ALIAS


def raw_connection() -> "psycopg.Connection[Row]":
    """Django's connection of this thread, opened if need be, as psycopg knows it."""
    connection = connections[alias()]
    connection.ensure_connection()
    raw: psycopg.Connection[Row] = connection.connection
    return raw


def _cursor() -> "psycopg.Cursor[Row]":
    return psycopg.Cursor(raw_connection())


def _bound(values: dict[str, Any]) -> dict[str, Any]:
    """Lists of whole numbers as PostgreSQL writes an array: psycopg takes 2 µs for each element, this 0.1 µs."""
    return {
        name: "{" + ",".join(map(str, value)) + "}" if type(value) is list and {*map(type, value)} == {int} else value
        for name, value in values.items()
    }


def rows(name: str, /, **values: Any) -> list[Row]:
    """All rows of a statement that returns some."""
    with _cursor() as cursor:
        return cursor.execute(statement(name).encode(), _bound(values)).fetchall()


def row(name: str, /, **values: Any) -> Row | None:
    """The first row of a statement, or None."""
    with _cursor() as cursor:
        return cursor.execute(statement(name).encode(), _bound(values)).fetchone()


def one(name: str, /, **values: Any) -> Any:
    """The first column of the first row, or None."""
    found = row(name, **values)
    return found[0] if found else None


def run(name: str, /, **values: Any) -> int:
    """The number of rows that a statement has changed."""
    with _cursor() as cursor:
        return cursor.execute(statement(name).encode(), _bound(values)).rowcount


def run_many(name: str, items: Sequence[Mapping[str, Any]]) -> None:
    """One statement for each mapping of values, sent in one go."""
    with _cursor() as cursor:
        cursor.executemany(statement(name).encode(), items)


def copy(name: str, pieces: Iterable[str]) -> None:
    """Send finished lines through COPY. The pieces may end anywhere.

    Within a COPY the connection can do nothing else: making a piece must not use it.
    """
    with _cursor() as cursor, cursor.copy(statement(name).encode()) as stream:
        for piece in pieces:
            stream.write(piece)


def freeze(operation_id: int, jobs: "QuerySet[Any, Any]") -> int:
    """Write the jobs of a query, which selects their ids only, as items of an operation; returns how many.

    Made of a query: a selection is whatever filter a person has chosen.
    """
    query, params = jobs.query.sql_with_params()
    text = f"INSERT INTO queues_operationitem (operation_id, job_id) SELECT %s, s.* FROM ({query}) s"  # noqa: S608
    with connections[alias()].cursor() as cursor:
        cursor.execute(text, (operation_id, *params))
        return int(cursor.rowcount)


def select(name: str, params: Sequence[Any] = (), /, **pieces: Any) -> list[Row]:
    """The rows of a statement of which `pieces` are made by queries. Sent as Django sends it, with Django's errors."""
    with connections[alias()].cursor() as cursor:
        cursor.execute(statement(name).format(**pieces), params)
        return list(cursor.fetchall())


def explain(name: str, /, **values: Any) -> Any:
    """PostgreSQL's plan of a statement as a worker runs it: the generic one. For tests and doctor.

    The statement is executed, in a transaction that is rolled back.
    """
    names = list(dict.fromkeys(_PLACEHOLDER.findall(statement(name))))
    text = _PLACEHOLDER.sub(lambda found: f"${names.index(found[1]) + 1}", statement(name)).replace("%%", "%")
    prepared = f"explained_{next(_explained)}"
    with transaction.atomic(alias()), _cursor() as cursor:
        literals = [sql.Literal(value).as_string(cursor) for value in map(_bound(values).get, names)]
        given = f"({', '.join(literals)})" if literals else ""
        cursor.execute(b"SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE {prepared} AS {text}".encode(), prepare=False)
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {prepared}{given}".encode(), prepare=False)
        plan = cursor.fetchone()
        cursor.execute(f"DEALLOCATE {prepared}".encode(), prepare=False)
        transaction.set_rollback(True, alias())
    return plan[0] if plan else None


@contextmanager
def atomic(*, savepoint: bool = True) -> Iterator[None]:
    """Django's transaction on the queues' database."""
    with transaction.atomic(alias(), savepoint=savepoint):
        yield


def atomic_if(wanted: bool) -> AbstractContextManager[None]:
    """A transaction, or none where one statement does all."""
    return atomic() if wanted else nullcontext()


def repeated(work: Callable[[], T]) -> T:
    """Do `work`, a whole transaction, up to three times when PostgreSQL asks for a repetition.

    Inside a caller's transaction there is nothing to repeat: the error goes up.
    """
    for last in (False, False, True):
        try:
            return work()
        except (*REPEATABLE, DatabaseError) as error:
            if not _is(error, REPEATABLE) or last or in_transaction():
                raise
            log.info("transaction repeated after %s", type(error).__name__)
    raise AssertionError("unreachable")


def held_up(error: Exception) -> bool:
    """Whether an error says that others were in the way, or the time was up: it may go well the next time."""
    return _is(error, HELD_UP)


def _is(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    """Also as what Django wraps around an error of its own statements."""
    return isinstance(error, kinds) or isinstance(error.__cause__, kinds)


def in_transaction() -> bool:
    """Whether the caller has a transaction open."""
    return bool(connections[alias()].in_atomic_block)


def on_commit(work: Callable[[], object]) -> None:
    """Do `work` when the caller's transaction has been committed, or now when there is none.

    After a commit it never raises: its error is logged, and what else waits for the commit is done.
    """

    def later() -> None:
        # A function of its own: Django names what has failed by a name that a partial does not have.
        work()

    transaction.on_commit(later, using=alias(), robust=True)


def never_compile(*, connection: Any, **_: Any) -> None:
    """Have the server interpret statements on a new connection of Django's.

    What we ask touches few rows, but the planner cannot know how few when it is given a list, and expects a thousand
    times as many. PostgreSQL compiles what it expects to be dear, each time anew: a second for a statement of 10 ms.
    """
    if connection.alias == alias():
        connection.connection.execute("SET jit = off")


def tune_for_work() -> None:
    """Prepare statements and keep one plan for each, on this thread's connection.

    A worker repeats few statements. Without the generic plan the claim is planned again each time, and the
    time to plan grows with the backlog. Idempotent; a connection that was replaced is tuned anew.
    """
    raw = raw_connection()
    if raw.prepare_threshold == 0:
        return
    raw.prepare_threshold = 0
    with _cursor() as cursor:
        for name, value in WORK_PLANS.items():
            cursor.execute(b"SELECT set_config(%s, %s, false)", (name, value))


@contextmanager
def quick_commit() -> Iterator[None]:
    """A transaction whose commit does not wait for the disk: for marks that only a process crash needs."""
    with transaction.atomic(alias()):
        with _cursor() as cursor:
            cursor.execute(b"SET LOCAL synchronous_commit = off")
        yield


@contextmanager
def lock_timeout(milliseconds: int) -> Iterator[None]:
    """Bound the waits for locks in a part of the open transaction; `LockTimeout` when one takes longer."""
    with _cursor() as cursor:
        before = cursor.execute(b"SELECT current_setting('lock_timeout')").fetchone()
        cursor.execute(b"SELECT set_config('lock_timeout', %s, true)", (f"{milliseconds}ms",))
    with transaction.atomic(alias()):
        yield
    with _cursor() as cursor:
        cursor.execute(b"SELECT set_config('lock_timeout', %s, true)", before)


def statement_timeout(milliseconds: int) -> None:
    """Bound each further statement of the open transaction."""
    with _cursor() as cursor:
        cursor.execute(b"SELECT set_config('statement_timeout', %s, true)", (f"{milliseconds}ms",))


@contextmanager
def listening(name: str) -> Iterator[Callable[[float], set[str]]]:
    """A session of its own that listens, as the statement says.

    What is yielded waits for news, at most so many seconds, and returns what was heard.
    """
    own = connections[alias()].copy()
    try:
        own.connect()
        raw = own.connection
        raw.execute(statement(name))
        yield lambda seconds: {news.payload for news in raw.notifies(timeout=seconds, stop_after=1)}
    finally:
        own.close()


def session_parameters() -> dict[str, Any]:
    """How to reach the queues' database, for a connection that is not Django's."""
    given = connections[alias()].get_connection_params()
    return {name: value for name, value in given.items() if name not in ("cursor_factory", "context")}


@asynccontextmanager
async def alistening(name: str, parameters: Mapping[str, Any]) -> AsyncIterator[Callable[[float], Awaitable[set[str]]]]:
    """The same for an event loop, which goes on meanwhile."""
    async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as own:
        await own.execute(statement(name).encode())

        async def hear(seconds: float) -> set[str]:
            return {news.payload async for news in own.notifies(timeout=seconds, stop_after=1)}

        yield hear


def reset() -> None:
    """Close this thread's connection, so that the next use opens another."""
    connections[alias()].close()
