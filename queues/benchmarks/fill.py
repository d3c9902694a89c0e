"""A database as after months of work: waiting and archived jobs, batches, dead letters, runs, by the million.

Written straight into the tables, each kind with one INSERT ... SELECT: what pages read of them is as the services leave
it (counts of chunks, ids in a row, times in order), without the time that doing the work would take.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from queues.benchmarks import bare
from queues.models import Queue
from queues.services import partitions
from queues.services.sync_queues import sync_slots

QUEUES = 8
WORKERS = 20
CAUSES = 40
LATE_RUNS = 2_000
DAYS = 7
# Jobs of a batch that waits, of one of its chunks, and of a batch that died.
EACH, CHUNK, DIED = 250, 50, 200
HANDLER = "queues.benchmarks.no_op"


@dataclass(frozen=True, slots=True)
class Volumes:
    """How much of each."""

    waiting: int = 1_000_000
    archived: int = 5_000_000
    batches: int = 50_000
    dead: int = 200_000
    audits: int = 50_000
    trashed: int = 2_000


WHOLE = Volumes()
QUICK = Volumes(waiting=10_000, archived=50_000, batches=500, dead=2_000, audits=500, trashed=20)


@dataclass(frozen=True, slots=True)
class Filled:
    """What there is, for those who ask for single things of it."""

    queue: str
    worker: str
    batch_waiting: int
    batch_done: int
    batch_dead: int
    job_waiting: int
    job_archived: int
    job_dead: int
    cause: str
    facts: dict[str, int]


QUEUE_POLICY = {"handler": HANDLER, "archive_after": 3600}

STATEMENTS: dict[str, str] = {
    "workers": """
        INSERT INTO queues_worker (id, name, host, machine, pid, process_started, version, queues, state, started_at)
        SELECT w, 'worker-' || n, 'host-' || n %% 4, 'm', 1000 + n, 0, '1.0', '{}', 'ready', now() - interval '1 day'
        FROM unnest(%(workers)s::uuid[]) WITH ORDINALITY AS w(w, n)
    """,
    "ended batches": """
        INSERT INTO queues_batch (id, queue_id, handler, name, metadata, failure_mode, state, chunk_size, total,
                                  first_job_id, last_job_id, created_by, created_at, sealed_at, queued_at, started_at,
                                  finished_at, generation, succeeded, dead, cancelled, content_hash)
        SELECT n, (%(queues)s::bigint[])[1 + n %% %(count)s], %(handler)s, 'nightly import ' || n %% 500,
               jsonb_build_object('tenant', 'tenant-' || n %% 200, 'day', n %% 31), 'continue', 'completed', 200,
               %(per)s, (n - 1) * %(per)s + 1, n * %(per)s, 'importer', at, at, at, at, at + interval '20 s', 1,
               %(per)s, 0, 0, ''
        FROM (SELECT n, now() - %(days)s * interval '1 day' * (1 - n::float / (%(done)s + 1)) - interval '2 h' AS at
              FROM generate_series(1, %(done)s) n) numbers
    """,
    "archived chunks": """
        INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, created_at, state, size, succeeded,
                                  bytes, first_id, span, run_ids, finished_at, archived_at)
        SELECT id, queue_id, id, handler, 2, created_at, created_at, 'done', total, total, total * 150, first_job_id,
               total, ARRAY[id], finished_at, finished_at + interval '1 h'
        FROM queues_batch WHERE id <= %(done)s
    """,
    "archived jobs": """
        INSERT INTO queues_archivedjob (id, batch_id, chunk_id, queue_id, handler, priority, outcome, payload, failures,
                                        enqueued_at, finished_at, archived_at)
        SELECT j, b.id, b.id, b.queue_id, b.handler, 2, CASE WHEN j %% 997 = 0 THEN 'cancelled' ELSE 'succeeded' END,
               json_build_object('user', j, 'address', 'reader-' || j || '@example.org', 'template', 'spring'), 0,
               b.created_at, b.finished_at - interval '1 s' * (j %% 20), b.finished_at + interval '1 h'
        FROM queues_batch b CROSS JOIN LATERAL generate_series(b.first_job_id, b.last_job_id) j
        WHERE b.id <= %(done)s
    """,
    "runs": """
        INSERT INTO queues_run (id, queue_id, worker_id, handler, started_at, lease_until, finished_at, state, chunks,
                                claimed, wanted, succeeded, bytes, wait_ms, p50_ms, p95_ms, max_ms)
        SELECT id, queue_id, (%(workers)s::uuid[])[1 + id %% cardinality(%(workers)s::uuid[])], handler, started_at,
               finished_at, finished_at, 'done', 1, total, 200, total, total * 150, 120 + id %% 900, 1.5 + id %% 7,
               4 + id %% 30, 9 + id %% 90
        FROM queues_batch WHERE id <= %(done)s
    """,
    "late runs": """
        INSERT INTO queues_run (id, queue_id, worker_id, handler, started_at, lease_until, finished_at, state, chunks,
                                claimed, wanted, succeeded, failed, dead, bytes, wait_ms, p50_ms, p95_ms, max_ms)
        SELECT %(done)s + n, (%(queues)s::bigint[])[1 + n %% %(count)s],
               (%(workers)s::uuid[])[1 + n %% cardinality(%(workers)s::uuid[])], %(handler)s, at - interval '1 s', at,
               at, CASE WHEN n %% 300 = 0 THEN 'lost' ELSE 'done' END, 1, 200, 200, 198, 2, 2, 30000, 50, 2, 5, 9
        FROM (SELECT n, clock_timestamp() - n * interval '0.9 s' AS at FROM generate_series(1, %(late)s) n) numbers
    """,
    "dead batches": """
        INSERT INTO queues_batch (id, queue_id, handler, name, failure_mode, state, chunk_size, total, first_job_id,
                                  last_job_id, created_by, created_at, sealed_at, queued_at, started_at, finished_at,
                                  generation, succeeded, dead, cancelled, content_hash)
        SELECT %(done)s + n, (%(queues)s::bigint[])[1 + n %% %(count)s], %(handler)s, 'failing ' || n %% 50, 'continue',
               'failed', %(died)s, %(died)s, %(born)s + (n - 1) * %(died)s + 1, %(born)s + n * %(died)s, 'importer',
               at, at, at, at, at + interval '20 s', 1, 0, %(died)s, 0, ''
        FROM (SELECT n, now() - interval '1 day' * (1 - n::float / (%(dying)s + 1)) - interval '1 h' AS at
              FROM generate_series(1, %(dying)s) n) numbers
    """,
    "dead chunks": """
        INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, created_at, state, held_why, size,
                                  bytes, first_id, span, run_ids)
        SELECT id, queue_id, id, handler, 2, created_at, created_at, 'parked', 'dead', total, total * 150, first_job_id,
               total, '{}'
        FROM queues_batch WHERE id > %(done)s AND state = 'failed'
    """,
    "dead letters": """
        INSERT INTO queues_deadletter (job_id, queue_id, batch_id, handler, fingerprint, reason, error_class, message,
                                       attempts, died_at)
        SELECT j, b.queue_id, b.id, b.handler, lpad(to_hex(j %% %(causes)s + 1), 16, '0'), 'out of attempts',
               'ConnectionError', 'no answer from host-' || j %% %(causes)s || ' for reader ' || j, 3,
               b.finished_at - interval '1 s' * (j %% 20)
        FROM queues_batch b CROSS JOIN LATERAL generate_series(b.first_job_id, b.last_job_id) j
        WHERE b.id > %(done)s AND b.state = 'failed'
    """,
    "seen causes": """
        INSERT INTO queues_seencause (queue_id, fingerprint, first_at)
        SELECT queue_id, fingerprint, min(died_at) FROM queues_deadletter GROUP BY queue_id, fingerprint
    """,
    "attempts": """
        INSERT INTO queues_attempt (job_id, run_id, worker_id, number, kind, started_at, finished_at, error_class,
                                    message, traceback, fingerprint)
        SELECT job_id, 1 + job_id %% %(done)s, (%(workers)s::uuid[])[1], attempts, 'error', died_at - interval '1 s',
               died_at, error_class, message, 'Traceback (most recent call last):' || repeat(E'\\n  in send', 8),
               fingerprint
        FROM queues_deadletter
    """,
    "waiting batches": """
        INSERT INTO queues_batch (id, queue_id, handler, name, metadata, failure_mode, state, chunk_size, total,
                                  first_job_id, last_job_id, created_by, created_at, sealed_at, queued_at, started_at,
                                  content_hash)
        SELECT %(done)s + %(dying)s + n, (%(queues)s::bigint[])[1 + n %% %(count)s], %(handler)s,
               'mailing ' || n %% 300, jsonb_build_object('tenant', 'tenant-' || n %% 200), 'continue', 'running',
               %(chunk)s, %(each)s, %(wait)s + (n - 1) * %(each)s + 1, %(wait)s + n * %(each)s, 'maria', at, at, at,
               at, ''
        FROM (SELECT n, now() - interval '50 min' * (1 - n::float / (%(running)s + 1)) AS at
              FROM generate_series(1, %(running)s) n) numbers
    """,
    "waiting chunks": """
        INSERT INTO queues_chunk (id, queue_id, batch_id, handler, priority, run_at, created_at, state, size, bytes,
                                  first_id, span, run_ids)
        SELECT %(done)s + %(dying)s + (b.id - %(done)s - %(dying)s - 1) * (%(each)s / %(chunk)s) + c, b.queue_id, b.id,
               b.handler, b.id %% 5, CASE WHEN b.id %% 10 = 0 THEN now() + interval '1 day' ELSE b.created_at END,
               b.created_at, 'ready', %(chunk)s, %(chunk)s * 150, b.first_job_id + (c - 1) * %(chunk)s, %(chunk)s, '{}'
        FROM queues_batch b CROSS JOIN generate_series(1, %(each)s / %(chunk)s) c
        WHERE b.state = 'running'
    """,
    "trashed chunks": """
        INSERT INTO queues_chunk (id, queue_id, handler, priority, run_at, created_at, state, held_why, size, bytes,
                                  first_id, span, run_ids)
        SELECT %(tail)s + n, (%(queues)s::bigint[])[1 + n %% %(count)s], %(handler)s, 2, now() - interval '1 h',
               now() - interval '1 h', 'parked', 'trashed', 1, 150, %(last)s + n, 1, '{}'
        FROM generate_series(1, %(trashed)s) n
    """,
    "jobs": """
        INSERT INTO queues_job (id, chunk_id, batch_id, payload, failures, own_state)
        SELECT j, c.id, c.batch_id, json_build_object('user', j, 'address', 'reader-' || j || '@example.org',
                                                      'template', 'spring', 'links', json_build_array(j, j + 1)),
               CASE WHEN c.state = 'parked' AND c.held_why = 'dead' THEN 3 ELSE 0 END,
               CASE WHEN c.held_why = 'trashed' THEN 'trashed' END
        FROM queues_chunk c CROSS JOIN LATERAL generate_series(c.first_id, c.first_id + c.span - 1) j
        WHERE c.archived_at IS NULL
    """,
    "trash": """
        INSERT INTO queues_trashedjob (job_id, queue_id, handler, was, unique_key, deleted_by, reason, deleted_at)
        SELECT first_id, queue_id, handler, 'waiting', '', 'maria', 'sent twice', now() - interval '1 min' * (id %% 600)
        FROM queues_chunk WHERE held_why = 'trashed'
    """,
    "audit": """
        INSERT INTO queues_auditentry (at, actor, source, action, target, reason, outcome)
        SELECT now() - n * interval '1 min', 'person-' || n %% 12,
               (ARRAY['page', 'admin', 'command', 'api'])[1 + n %% 4],
               (ARRAY['queue.pause', 'queue.resume', 'batch.cancel', 'job.retry'])[1 + n %% 4], 'bench-' || n %% 8,
               'because', '{}'
        FROM generate_series(1, %(audits)s) n
    """,
    "operations": """
        INSERT INTO queues_operation (action, selection, actor, source, reason, state, total, changed, created_at,
                                      finished_at)
        SELECT 'retry', '{"queue": "bench-1"}', 'person-' || n %% 12, 'page', 'because', 'done', 10, 10, at, at
        FROM (SELECT n, now() - n * interval '1 h' AS at FROM generate_series(1, 200) n) numbers
    """,
    "minutes": """
        INSERT INTO monitoring_metricpoint (queue_id, minute, runs, claimed, succeeded, failed, retried, dead, bytes,
                                            wait_p50, wait_p95, handler_p50, handler_p95)
        SELECT q, date_trunc('minute', now()) - n * interval '1 min', 8, 1600, 1590, 10, 8, 2, 240000, 40 + n %% 50,
               120 + n %% 300, 2, 5 + n %% 9
        FROM generate_series(1, %(days)s * 1440) n CROSS JOIN unnest(%(queues)s::bigint[]) q
    """,
}


def fill(address: str, volumes: Volumes, tell: Callable[[str], None]) -> Filled:
    """Fill an empty database, and let the planner know of it."""
    queues = [Queue.objects.create(name=f"bench-{n}", **QUEUE_POLICY) for n in range(QUEUES)]
    for queue in queues:
        sync_slots(queue=queue)
    workers = [uuid.uuid5(uuid.NAMESPACE_DNS, f"worker-{n}") for n in range(WORKERS)]
    running, dying = volumes.waiting // EACH, volumes.dead // DIED
    done = volumes.batches - running - dying
    per = volumes.archived // done
    values: dict[str, Any] = {
        "queues": [queue.pk for queue in queues],
        "count": QUEUES,
        "workers": workers,
        "handler": HANDLER,
        "days": DAYS,
        "causes": CAUSES,
        "done": done,
        "per": per,
        "dying": dying,
        "running": running,
        "died": DIED,
        "each": EACH,
        "chunk": CHUNK,
        "born": done * per,
        "wait": done * per + dying * DIED,
        "late": LATE_RUNS,
        "last": done * per + dying * DIED + running * EACH,
        "tail": done + dying + running * (EACH // CHUNK),
        "trashed": volumes.trashed,
        "audits": volumes.audits,
    }
    partitions.ensure(ranges=[(1, values["last"] + volumes.trashed)])
    with bare.connect(address) as connection:
        facts = {}
        for name, text in STATEMENTS.items():
            tell(f"filling: {name}")
            facts[name] = connection.execute(text.encode(), values).rowcount
        tell("filling: what the planner knows")
        newest = {
            "queues_batch": done + dying + running,
            "queues_chunk": values["tail"] + volumes.trashed,
            "queues_run": done + LATE_RUNS,
        }
        for table, number in newest.items():
            connection.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (table, number))
        connection.execute("SELECT setval('queues_job_id_seq', %s)", (values["last"] + volumes.trashed,))
        connection.execute("VACUUM ANALYZE")
    return Filled(
        queue=queues[1].name,
        worker=str(workers[0]),
        batch_waiting=done + dying + 1,
        batch_done=done,
        batch_dead=done + 1,
        job_waiting=values["wait"] + 1,
        job_archived=per,
        job_dead=values["born"] + 1,
        cause=f"{1:016x}",
        facts=facts,
    )
