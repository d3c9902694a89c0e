"""A worker that survives its handlers: their time, their exits, and what they do to its connection."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from queues.domain.outcomes import Job, JobTimeout
from queues.models import Attempt, Batch, Chunk, Queue, Run, Worker
from queues.serve import Server
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import make_queue

Declare = Callable[..., Any]


def served(server: Server, queue: Queue, batch: Batch) -> Batch:
    """The batch after a slice of work."""
    server.serve(queue.pk)
    batch.refresh_from_db()
    assert_sound()
    return batch


def test_a_worker_registers_and_leaves(transactional_db: None) -> None:
    server = Server(["tested", "other"])
    row = Worker.objects.get(pk=server.identity.id)
    assert (row.state, row.queues, row.pid) == ("ready", ["tested", "other"], server.identity.pid)
    server.leave()
    row.refresh_from_db()
    assert row.state == "stopped" and row.stopped_at is not None


def test_what_a_worker_has_done_is_on_its_row_when_it_leaves(transactional_db: None) -> None:
    server, queue = Server(), make_queue(max_attempts=1)
    enqueue_batch("tested.do", [{"fail": n} if n < 3 else {} for n in range(10)])
    assert server.serve(queue.pk) == 10
    server.leave()
    row = Worker.objects.get(pk=server.identity.id)
    assert (row.processed, row.failed) == (10, 3)


def test_an_empty_queue_and_an_unknown_one_are_no_work(server: Server) -> None:
    assert server.serve(make_queue().pk) == 0
    assert server.serve(2**40) == 0


@pytest.mark.parametrize("form", ["def", "async def", "whole"])
def test_a_job_is_interrupted_when_its_time_is_up(server: Server, declare: Declare, form: str) -> None:
    def handle(job: Job) -> None:
        if job.payload == 1:
            end = time.monotonic() + 20
            while time.monotonic() < end:
                with suppress(Exception):  # a broad except does not swallow it
                    time.sleep(0.01)

    async def handle_async(job: Job) -> None:
        if job.payload == 1:
            await asyncio.sleep(20)

    def handle_all(jobs: list[Job]) -> None:
        for job in jobs:
            handle(job)

    function = {"async def": handle_async, "whole": handle_all}.get(form, handle)
    queue = make_queue(timeout=0.15, max_attempts=1)
    batch = served(server, queue, enqueue_batch(declare(whole=form == "whole")(function), range(3)))
    dead = 3 if form == "whole" else 1
    assert (batch.succeeded, batch.dead) == (3 - dead, dead)
    attempt = Attempt.objects.order_by("job_id")[dead // 2]
    assert (attempt.kind, attempt.error_class, attempt.job_id) == ("timeout", "Timeout", batch.first_job_id + 1)
    assert "0.15 s" in attempt.message
    assert attempt.finished_at > attempt.started_at


def test_a_handler_s_own_alarm_takes_no_timeout_from_the_jobs_after_it(server: Server, declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> None:
        if job.payload == 0:
            signal.signal(signal.SIGALRM, lambda *_: None)
        if job.payload == 1:
            end = time.monotonic() + 1
            while time.monotonic() < end:
                time.sleep(0.01)

    queue = make_queue(timeout=0.15, max_attempts=1)
    batch = served(server, queue, enqueue_batch(handle, range(3)))
    assert (batch.succeeded, batch.dead) == (2, 1)
    assert Attempt.objects.get().kind == "timeout"


def test_a_job_that_is_quick_enough_is_not_interrupted_nor_its_neighbour(server: Server, declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> None:
        if job.payload % 2:
            time.sleep(0.02)

    queue = make_queue(timeout=0.2, max_attempts=1)
    batch = served(server, queue, enqueue_batch(handle, range(30)))
    time.sleep(0.25)  # a late alarm would hit this
    assert (batch.state, batch.succeeded) == ("completed", 30)


def test_a_handler_s_own_timeout_error_is_an_error(server: Server, declare: Declare) -> None:
    @declare()
    async def handle(job: Job) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)

    served(server, make_queue(timeout=10, max_attempts=1), enqueue_batch(handle, [1]))
    assert Attempt.objects.get().kind == "error"


def break_by_terminating(_job: Job) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def break_by_closing(_job: Job) -> None:
    connection.close()


def break_by_closing_underneath(_job: Job) -> None:
    connection.ensure_connection()
    connection.connection.close()


def leave_atomic_open(_job: Job) -> None:
    transaction.atomic().__enter__()
    Queue.objects.update(pause_reason="never committed")


def leave_begin_open(_job: Job) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    Queue.objects.update(pause_reason="never committed")


def leave_failed_begin_open(_job: Job) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT 1 / 0")


def leave_autocommit_off(_job: Job) -> None:
    transaction.set_autocommit(False)
    Queue.objects.update(pause_reason="never committed")


def leave_psycopg_s_autocommit_off(_job: Job) -> None:
    connection.ensure_connection()
    connection.connection.autocommit = False
    connection.connection.execute("UPDATE queues_queue SET pause_reason = 'never committed'")


BREAKS = [
    break_by_terminating,
    break_by_closing,
    break_by_closing_underneath,
    leave_atomic_open,
    leave_begin_open,
    leave_failed_begin_open,
    leave_autocommit_off,
    leave_psycopg_s_autocommit_off,
]


@pytest.mark.parametrize("breaking", BREAKS)
@pytest.mark.parametrize("which", ["first", "last"])
def test_a_handler_may_leave_the_connection_in_any_state(
    server: Server, declare: Declare, breaking: Callable[[Job], None], which: str
) -> None:
    @declare()
    def handle(job: Job) -> None:
        if job.payload == (0 if which == "first" else 4):
            breaking(job)

    queue = make_queue(max_attempts=1)
    batch = enqueue_batch(handle, range(5))
    server.serve(queue.pk)
    with psycopg.connect(**connection.get_connection_params()) as other:  # what is committed, seen from outside
        state, succeeded, dead = other.execute("SELECT state, succeeded, dead FROM queues_batch").fetchone()
        reasons = other.execute("SELECT pause_reason FROM queues_queue").fetchall()
    # A job that leaves a transaction open has failed: what it wrote there is rolled back. Its neighbours have not.
    fails = breaking not in (break_by_closing, break_by_closing_underneath)
    assert (state, succeeded, dead) == (("partial", 4, 1) if fails else ("completed", 5, 0))
    assert reasons == [("",)]
    batch.refresh_from_db()
    assert Run.objects.get().state == "done"
    after = served(server, queue, enqueue_batch("tested.do", range(5)))
    assert after.state == "completed"


def test_jobs_of_an_unknown_handler_wait_and_cost_no_attempt(server: Server, declare: Declare) -> None:
    from queues import handlers

    @declare()
    def handle(job: Job) -> None: ...

    queue = make_queue(backoff_base=60, jitter=0)
    batch = enqueue_batch(handle, range(5))
    known = handlers._handlers.pop(handle.handler_name)
    served(server, queue, batch)
    chunk = Chunk.objects.get()
    assert (chunk.state, chunk.size, chunk.tries) == ("ready", 5, 1)
    assert not Attempt.objects.exists()
    assert (chunk.run_at - Run.objects.get().finished_at).total_seconds() > 50
    handlers._handlers[handle.handler_name] = known
    Chunk.objects.update(run_at="2000-01-01T00:00Z")
    assert served(server, queue, batch).state == "completed"


def test_a_slice_ends_in_time_and_the_rest_waits(server: Server, declare: Declare) -> None:
    queue = make_queue(chunk_size=1, run_size=1)
    batch = enqueue_batch(declare()(lambda job: time.sleep(0.02)), range(100))
    started = time.monotonic()
    ended = server.serve(queue.pk, seconds=0.3)
    assert 0 < ended < 100
    assert time.monotonic() - started < 5
    batch.refresh_from_db()
    assert batch.state == "running"
    assert_sound()


def test_the_timeout_is_no_ordinary_exception() -> None:
    assert not issubclass(JobTimeout, Exception)


def test_a_neighbour_s_writes_survive_a_handler_that_leaves_a_transaction_open(
    server: Server, declare: Declare
) -> None:
    @declare()
    def handle(job: Job) -> None:
        if job.payload == 2:
            leave_begin_open(job)
        else:
            Queue.objects.create(name=f"made-{job.payload}")

    batch = enqueue_batch(handle, range(5)) if make_queue(max_attempts=1) else None
    assert batch is not None
    server.serve(Queue.objects.get(name="tested").pk)
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead) == (4, 1)
    assert Attempt.objects.get().error_class == "OpenTransaction"
    assert sorted(Queue.objects.filter(name__startswith="made").values_list("name", flat=True)) == [
        f"made-{n}" for n in (0, 1, 3, 4)
    ]


def test_a_handler_may_change_the_session_s_settings(server: Server, declare: Declare) -> None:
    @declare()
    def handle(_job: Job) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = on")

    queue = make_queue()
    batch = served(server, queue, enqueue_batch(handle, range(3)))
    assert (batch.state, batch.succeeded) == ("completed", 3)
    assert served(server, queue, enqueue_batch("tested.do", range(3))).state == "completed"


@pytest.mark.parametrize("way", ["exits", "returns", "raises"])
def test_a_child_that_a_handler_forks_does_not_work_on(
    server: Server, declare: Declare, way: str, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    seen.touch()

    @declare()
    def handle(job: Job) -> None:
        with seen.open("a") as file:
            file.write(f"{job.payload}\n")
        if job.payload == 1:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            elif way == "exits":
                sys.exit(0)
            elif way == "raises":
                raise ValueError("in the child")

    queue = make_queue()
    batch = served(server, queue, enqueue_batch(handle, range(4)))
    assert (batch.state, batch.succeeded) == ("completed", 4)
    assert seen.read_text().split() == ["0", "1", "2", "3"]


def test_coroutines_that_ignore_their_time_are_seen_in_every_lane(transactional_db: None, declare: Declare) -> None:
    from queues.execution import TIMEOUT_GRACE
    from tests.queues.working import leased

    @declare()
    async def handle(_job: Job) -> None:
        pass

    make_queue(timeout=1.0, concurrency=3, max_attempts=1)
    batch = enqueue_batch(handle, range(4))
    ended = []
    with pytest.MonkeyPatch.context() as patch, leased() as execution:
        patch.setattr("queues.execution.os._exit", ended.append)
        execution.succeeded += [0, 3]
        long_ago = time.monotonic() - 1.0 - TIMEOUT_GRACE - 1
        # Job 0 comes back at the very moment at which it is given up; job 1 does not; job 2 has time left.
        execution.running.update({0: long_ago, 1: long_ago, 2: time.monotonic()})
        execution.tick()
    assert ended == [70]
    batch.refresh_from_db()
    assert sorted(Attempt.objects.values_list("kind", flat=True)) == ["timeout", "timeout"]
    assert Chunk.objects.get(batch=batch, state="ready").succeeded == 1
    assert_sound()
