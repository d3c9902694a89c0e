"""Waiting and collecting: values, errors and what is missing, woken by the end of a batch."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, connections

from queues import acollect_results, aenqueue, aenqueue_batch, await_end, collect_results, results, wait, waiting
from queues.models import Batch, Job, JobResult
from queues.services.archive import archive
from queues.services.cancel import cancel_batch
from queues.services.enqueue import EnqueueError, enqueue, enqueue_batch
from tests.queues.commanding import command
from tests.queues.working import drain, make_queue
from tests.waiting import wait_for

ONE_SESSION = pytest.mark.django_db
COMMITTED = pytest.mark.django_db(transaction=True)


def jobs_of(batch: Batch) -> list[int]:
    """The ids of its jobs."""
    return list(Job.objects.filter(batch__in=[batch, *batch.parts.all()]).order_by("pk").values_list("pk", flat=True))


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[], Any]], None]]:
    """Does something in a thread with a session of its own, as another process would."""
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def start(work: Callable[[], Any]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
            finally:
                connections.close_all()

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()
    assert not failures


def listeners() -> bool:
    """Whether somebody listens for ends of batches now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        )
        return bool(cursor.fetchone()[0])


@ONE_SESSION
@pytest.mark.parametrize("archived", [False, True])
def test_values_errors_and_what_is_missing_come_apart(archived: bool) -> None:
    make_queue(keep_results=3600, max_attempts=1)
    batch = enqueue_batch("tested.do", [{"value": [1, "x"]}, {}, {"die": 7}, {"value": 2**70}])
    drain()
    if archived:
        archive(seconds=None)
        assert Job.objects.filter(batch=batch).count() == 1  # the dead one stays
    waits = enqueue("tested.do", {})
    assert waits is not None
    first = batch.first_job_id
    assert first is not None
    found = collect_results([*range(first, first + 4), waits], timeout=0)
    assert found.values == {first: [1, "x"], first + 1: None, first + 3: 2**70}
    assert found.missing == {waits}
    assert not found.complete
    (error,) = found.errors.values()
    assert (error.kind, error.error_class, error.message) == ("dead", "Reject", "asked to die: 7")
    assert error.attempts == 1


@ONE_SESSION
def test_what_is_kept_no_longer_or_never_was_is_said() -> None:
    make_queue(keep_results=3600)
    make_queue("tested.plain")
    kept = enqueue_batch("tested.do", [{"value": 1}, {"value": 2}])
    plain = enqueue_batch("tested.do", [{"value": 1}], queue="tested.plain")
    drain()
    drain("tested.plain")
    one, two = jobs_of(kept)
    JobResult.objects.filter(pk=one).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    kept.chunk_set.update(finished_at=datetime.now(UTC) - timedelta(seconds=3601))
    found = collect_results([one, two, *jobs_of(plain), 10**12], timeout=0)
    assert found.values == {two: 2}
    assert {job: error.kind for job, error in found.errors.items()} == {
        one: "expired",
        jobs_of(plain)[0]: "none kept",
        10**12: "unknown",
    }
    assert [value for _job, value in results(kept)] == [2]


@ONE_SESSION
def test_dead_and_cancelled_jobs_are_not_waited_for() -> None:
    make_queue(keep_results=60, max_attempts=1)
    dead = enqueue_batch("tested.do", [{"fail": 1}])
    drain()
    stopped = enqueue_batch("tested.do", [1, 2])
    cancel_batch(batch_id=stopped.pk, actor="me", source="api")
    found = collect_results([*jobs_of(dead), *jobs_of(stopped)])
    assert sorted(error.kind for error in found.errors.values()) == ["cancelled", "cancelled", "dead"]
    assert found.complete


@ONE_SESSION
def test_a_batch_is_collected_with_its_parts_and_without_the_gaps_of_its_keys(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 3
    make_queue(keep_results=60, chunk_size=2)
    enqueue("tested.do", {}, key="2")
    batch = enqueue_batch(
        "tested.do", [{"value": n} for n in range(7)], split=True, key=lambda payload: str(payload["value"])
    )
    assert batch.total == 6
    partly = collect_results(batch, timeout=0)
    assert (len(partly.missing), partly.values, partly.errors) == (6, {}, {})
    drain()
    batch.refresh_from_db()
    found = collect_results(batch)
    assert sorted(found.values.values()) == [0, 1, 3, 4, 5, 6]
    assert (found.errors, found.missing) == ({}, set())


@ONE_SESSION
@pytest.mark.parametrize(
    ("of", "error", "message"),
    [
        (7, TypeError, "a Batch or the ids of jobs are needed, not int"),
        ([1, None], ValueError, "item 1: the id of a job is needed, not None"),
        ([True], ValueError, "item 0: the id of a job is needed, not True"),
        (range(1, 10_002), ValueError, "10,001 ids; at most 10,000"),
        (Batch(total=100_001), ValueError, r"100,001 jobs; at most 100,000 .* use results\(batch\)"),
    ],
)
def test_what_cannot_be_collected_is_refused(of: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        collect_results(of, timeout=0)


@ONE_SESSION
@pytest.mark.parametrize("timeout", [-1, "5", True, float("nan")])
def test_a_timeout_is_seconds(timeout: Any) -> None:
    make_queue()
    with pytest.raises(ValueError, match="timeout: seconds from 0"):
        enqueue_batch("tested.do", [1]).wait(timeout)


@ONE_SESSION
def test_waiting_ends_with_the_time() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    with pytest.raises(TimeoutError, match=f"batch {batch.pk} is still running after 0.05 s"):
        batch.wait(0.05)
    with pytest.raises(LookupError, match="unknown batch 999999999"):
        wait(999999999)
    drain()
    assert batch.wait() == "completed"


@COMMITTED
def test_waiting_is_woken_by_the_commit_that_ends_the_batch(
    elsewhere: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_EVERY", 60.0)  # only the notice can be in time
    make_queue()
    other, batch = enqueue_batch("tested.do", [1]), enqueue_batch("tested.do", [1, {"die": 1}])

    def work() -> None:
        wait_for(listeners, what="the waiting session")
        drain()

    elsewhere(work)
    started = time.monotonic()
    assert batch.wait(timeout=50) == "partial"
    assert time.monotonic() - started < 25
    assert other.wait(0) == "completed"


@COMMITTED
@pytest.mark.parametrize("lost", ["never listened", "while listening"])
def test_waiting_goes_on_when_it_cannot_listen(
    elsewhere: Callable[..., None], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    if lost == "never listened":
        real = connections["default"]
        nowhere = {**real.settings_dict, "HOST": "127.0.0.1", "PORT": "1"}
        monkeypatch.setattr(real, "copy", lambda: type(real)(nowhere, "default"))
        elsewhere(drain)
    else:

        def work() -> None:
            wait_for(listeners, what="the waiting session")
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
                )
            wait_for(lambda: not listeners(), what="the end of that session")
            drain()

        elsewhere(work)
    assert batch.wait(timeout=30) == "completed"


@COMMITTED
def test_jobs_without_a_batch_are_collected_when_another_process_has_done_them(elsewhere: Callable[..., None]) -> None:
    make_queue(keep_results=60)
    jobs = [enqueue("tested.do", {"value": n}) for n in range(3)]
    elsewhere(drain)
    found = collect_results([job for job in jobs if job], timeout=30)
    assert (list(found.values.values()), found.missing) == ([0, 1, 2], set())


@COMMITTED
def test_an_event_loop_enqueues_waits_and_collects_and_goes_on_meanwhile(elsewhere: Callable[..., None]) -> None:
    make_queue(keep_results=60)
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def main() -> None:
        ticking = asyncio.create_task(tick())
        batch = await aenqueue_batch("tested.do", ({"value": n} for n in range(3)), name="async")
        job = await aenqueue("tested.do", {"value": "one"})
        waits = asyncio.create_task(await_end(batch, timeout=30))
        collects = asyncio.create_task(acollect_results(batch, timeout=30))
        single = asyncio.create_task(acollect_results([job or 0], timeout=30))
        while not await sync_to_async(listeners)():
            await asyncio.sleep(0.01)
        elsewhere(drain)
        assert await waits == "completed"
        assert sorted((await collects).values.values()) == [0, 1, 2]
        assert (await single).values == {job: "one"}
        assert await batch.wait_async() == "completed"
        ticking.cancel()
        await sync_to_async(connections.close_all)()

    asyncio.run(main())
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    assert len(ticks) > 5
    assert max(gaps) < 0.5


@COMMITTED
def test_a_view_of_an_asgi_server_waits_on_the_session_of_its_request(elsewhere: Callable[..., None]) -> None:
    make_queue(keep_results=60)

    async def view() -> list[int]:
        # As under ASGI, the database is used in the thread that `async_to_sync` was called from.
        batch = await aenqueue_batch("tested.do", [{"value": n} for n in range(3)])
        elsewhere(drain)
        found = await acollect_results(batch, timeout=30)
        return sorted(found.values.values())

    assert async_to_sync(view)() == [0, 1, 2]


@COMMITTED
def test_an_event_loop_is_told_when_the_time_is_over_and_what_it_cannot_do() -> None:
    make_queue()

    async def items() -> Any:
        yield 1

    async def main() -> None:
        batch = await aenqueue_batch("tested.do", [1])
        with pytest.raises(TimeoutError, match=r"is still running after 0\.1 s"):
            await batch.wait_async(0.1)
        found = await acollect_results(batch, timeout=0.05)
        assert len(found.missing) == 1
        with pytest.raises(EnqueueError, match="payloads: an asynchronous iterator"):
            await aenqueue_batch("tested.do", items())
        await sync_to_async(connections.close_all)()

    asyncio.run(main())


@ONE_SESSION
def test_the_command_waits_and_its_exit_code_is_the_end() -> None:
    make_queue(max_attempts=1)
    good, bad = enqueue_batch("tested.do", [1]), enqueue_batch("tested.do", [{"die": 1}])
    late = command("batches", "wait", good.pk, "--timeout", 1, tty=True)
    assert (late.code, late.err.splitlines()[-1]) == (1, f"batch {good.pk} is still running after 1 s")
    drain()
    assert command("batches", "wait", good.pk).code == 0
    answer = command("batches", "wait", bad.pk, "--json")
    assert (answer.code, answer.document["state"]) == (1, "failed")
