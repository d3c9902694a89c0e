"""Bare SQL on a raw connection: what the product is measured against, and the set-up of what is measured.

The only file beside `queues.store` that opens a cursor. `python -m queues.benchmarks.bare ADDRESS WORKER` drains queues
with the product's own statements and nothing around them: no policy, no lease thread, no handler, no look at batches.
"""

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors, sql

from queues.sql import statement

LEASE = 12.0
MAX_BYTES = 16 * 1024 * 1024
COPY_ROWS = 2_000
EMPTIED = ("job", "chunk", "batchlink", "batch", "run", "attempt", "deadletter")


def connect(address: str, *, tuned: bool = False) -> "psycopg.Connection[Any]":
    """A connection that commits each statement; `tuned` as the product's workers tune theirs."""
    connection = psycopg.connect(address, autocommit=True)
    if tuned:
        connection.prepare_threshold = 0
        connection.execute("SET plan_cache_mode = force_generic_plan")
    return connection


def create_database(address: str, name: str) -> None:
    """Raises `psycopg.errors.InsufficientPrivilege` where the role may not."""
    with connect(address) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def drop_database(address: str, name: str) -> None:
    """With all connections to it.

    Not WITH (FORCE): it also ends an autovacuum worker, which an ordinary role may not. A plain DROP may.
    """
    with connect(address) as connection:
        for last in (*[False] * 5, True):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND usename = current_user",
                (name,),
            )
            try:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
            except errors.ObjectInUse:  # after five seconds of waiting
                if last:
                    raise
            else:
                return


def empty(address: str) -> None:
    """No jobs, and no dead rows of former ones."""
    tables = sql.SQL(", ").join(sql.Identifier(f"queues_{name}") for name in EMPTIED)
    with connect(address) as connection:
        connection.execute(sql.SQL("TRUNCATE {}").format(tables))


def copy_jobs(connection: "psycopg.Connection[Any]", lines: Sequence[str]) -> None:
    """Serialised rows into the job table in one transaction, in blocks."""
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy(statement("copy_jobs").encode()) as copy,
    ):
        for start in range(0, len(lines), COPY_ROWS):
            copy.write("".join(lines[start : start + COPY_ROWS]))


@contextmanager
def snapshot_held(address: str) -> Iterator[None]:
    """A session that looks at one moment for as long as this lasts: vacuum cannot remove what died since."""
    with connect(address) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM queues_queue")
        yield
        connection.execute("ROLLBACK")


def fill_chunks(address: str, queues: Sequence[int], start: int, stop: int, size: int, *, front: bool) -> None:
    """Ready chunks without jobs, over all queues and priorities, a tenth not yet due, numbered `start` to `stop`.

    With `front` that tenth is all in the first queue, at its highest priority: before everything that is due.
    """
    with connect(address) as connection, connection.transaction():
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            """
            INSERT INTO queues_chunk (queue_id, handler, priority, run_at, state, size, bytes, first_id, span)
            SELECT CASE WHEN later AND %(front)s THEN (%(queues)s::bigint[])[1]
                        ELSE (%(queues)s::bigint[])[1 + n %% cardinality(%(queues)s::bigint[])] END,
                   'queues.benchmarks.no_op', CASE WHEN later AND %(front)s THEN 0 ELSE n / 20 %% 5 END,
                   CASE WHEN later THEN now() + interval '1 day' * (1 + random())
                        ELSE now() - interval '1 hour' * random() END,
                   'ready', %(size)s, %(size)s * 150, n::bigint * %(size)s + 1, %(size)s
            FROM (SELECT n, random() < 0.1 AS later
                  FROM generate_series(%(start)s::int, %(stop)s::int - 1) n OFFSET 0) numbers
            """,
            {"queues": list(queues), "start": start, "stop": stop, "size": size, "front": front},
        )
    with connect(address) as connection:
        connection.execute("VACUUM ANALYZE queues_chunk")


def put_back(connection: "psycopg.Connection[Any]", run: int) -> None:
    """Undo a claim. Not by rolling it back: psycopg forgets all prepared statements at a ROLLBACK."""
    connection.execute("UPDATE queues_chunk SET state = 'ready' WHERE run_id = %s AND state = 'leased'", (run,))
    connection.execute("DELETE FROM queues_run WHERE id = %s", (run,))


def drain(connection: "psycopg.Connection[Any]", queue: int, want: int, worker: uuid.UUID) -> int:
    """Claim, load, parse and settle until nothing is left; the number of jobs."""
    claim, load, settle = (statement(name).encode() for name in ("claim", "load", "settle_whole"))
    cursor, done, look, step = connection.cursor(), 0, 64, 0
    while chunks := cursor.execute(
        claim,
        {
            "queue": queue,
            "worker": worker,
            "want": want,
            "handlers": [],
            "wants": [],
            "lease": LEASE,
            "max_bytes": MAX_BYTES,
            "look": look,
        },
    ).fetchall():
        ids = [chunk[1] for chunk in chunks]
        batches = sorted({chunk[2] for chunk in chunks if chunk[2] is not None})
        found = cursor.execute(load, {"chunks": ids, "batches": batches}).fetchone()
        assert found is not None
        payloads = json.loads(found[3])
        cursor.execute(settle, {"run": chunks[0][0], "step": step, "p50": None, "p95": None, "max": None})
        done += len(payloads)
        look = 2 * len(ids) + 8
    return done


def main() -> None:
    """Drain a queue for each line `QUEUE WANT` on standard input, and answer with the number of jobs."""
    connection, worker = connect(sys.argv[1], tuned=True), uuid.UUID(sys.argv[2])
    for line in sys.stdin:
        queue, want = map(int, line.split())
        print(drain(connection, queue, want, worker), flush=True)


if __name__ == "__main__":
    main()
