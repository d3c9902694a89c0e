"""What a handler returns or raises, and what becomes of its job."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from queues.domain.outcomes import Cancel, Fail, Job, Outcome, Reject, Snooze, Success
from queues.models import Attempt, Batch, Chunk, DeadLetter, JobResult, Run
from queues.models import Job as JobRow
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db

Declare = Callable[..., Any]


@pytest.fixture(params=["returned", "raised", "returned by a coroutine", "raised in a coroutine"])
def say(request: pytest.FixtureRequest, declare: Declare) -> Callable[[Outcome], Any]:
    """Makes a handler that says one outcome, in each of the ways there are."""

    def make(outcome: Outcome) -> Any:
        def handle(job: Job) -> Outcome:
            if request.param.startswith("raised"):
                raise outcome
            return outcome

        async def handle_async(job: Job) -> Outcome:
            await asyncio.sleep(0)
            return handle(job)

        return declare()(handle_async if "coroutine" in request.param else handle)

    return make


def ran_once(handler: Any, **policy: Any) -> Batch:
    """A batch of one job after its first run."""
    make_queue(**{"backoff_base": 60, "jitter": 0, "max_attempts": 3, **policy})
    batch = enqueue_batch(handler, [{"n": 1}])
    assert drain() == 1
    batch.refresh_from_db()
    assert_sound()
    return batch


def test_success_ends_the_job_and_keeps_its_value(say: Callable[[Outcome], Any]) -> None:
    batch = ran_once(say(Success({"facts": [1, 2]})), keep_results=60)
    assert (batch.state, batch.succeeded) == ("completed", 1)
    assert json.loads(JobResult.objects.get().value) == {"facts": [1, 2]}
    assert JobResult.objects.get().expires_at > timezone.now()


def test_fail_tries_again(say: Callable[[Outcome], Any]) -> None:
    batch = ran_once(say(Fail("the mail server said no")))
    attempt = Attempt.objects.get()
    assert (attempt.kind, attempt.error_class, attempt.message) == ("error", "Fail", "the mail server said no")
    assert (batch.state, JobRow.objects.get().failures) == ("running", 1)
    retry = Chunk.objects.get(state="ready")
    assert (retry.is_retry, retry.size, retry.batch_id) == (True, 1, batch.pk)


def test_reject_makes_a_dead_letter_at_once(say: Callable[[Outcome], Any]) -> None:
    batch = ran_once(say(Reject("no such address")))
    letter = DeadLetter.objects.get()
    assert (letter.reason, letter.error_class, letter.message) == (
        "rejected by its handler",
        "Reject",
        "no such address",
    )
    assert (letter.attempts, letter.batch_id, letter.queue.name) == (1, batch.pk, "tested")
    assert letter.fingerprint and letter.fingerprint == Attempt.objects.get().fingerprint
    assert Attempt.objects.get().kind == "rejected"
    assert (batch.state, batch.dead) == ("failed", 1)
    assert Chunk.objects.get(state="parked").held_why == "dead"


@pytest.mark.parametrize("until", [timedelta(minutes=5), 300, "datetime"])
def test_snooze_waits_and_costs_no_attempt(say: Callable[[Outcome], Any], until: Any) -> None:
    at = timezone.now() + timedelta(minutes=5)
    ran_once(say(Snooze(at if until == "datetime" else until)))
    waiting = Chunk.objects.get(state="ready")
    assert abs(waiting.run_at - at) < timedelta(seconds=5)
    assert JobRow.objects.get().failures == 0
    assert not Attempt.objects.exists()
    assert Run.objects.get().returned == 1


def test_cancel_ends_the_job_as_cancelled(say: Callable[[Outcome], Any]) -> None:
    batch = ran_once(say(Cancel("not wanted any more")))
    assert JobRow.objects.get().own_state == "cancelled"
    assert (batch.cancelled, batch.succeeded) == (1, 0)
    assert not Attempt.objects.exists()


def test_any_other_value_is_a_success_with_that_value(declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> list[int]:
        return [2**70, job.attempt]

    ran_once(handle, keep_results=60)
    assert json.loads(JobResult.objects.get().value) == [2**70, 1]


def test_values_are_not_kept_unless_the_queue_says_so(declare: Declare) -> None:
    batch = ran_once(declare()(lambda job: object()))
    assert (batch.state, JobResult.objects.count()) == ("completed", 0)


def test_a_result_that_is_no_json_fails_the_job_with_the_reason(declare: Declare) -> None:
    ran_once(declare()(lambda job: object()), keep_results=60)
    attempt = Attempt.objects.get()
    assert attempt.error_class == "BadResult"
    assert "cannot be kept" in attempt.message


def test_an_error_is_recorded_with_its_traceback_and_fingerprint(declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> None:
        raise KeyError(f"user {job.id}")

    started = timezone.now()
    batch = ran_once(handle)
    attempt = Attempt.objects.get()
    assert (attempt.kind, attempt.error_class, attempt.number) == ("error", "KeyError", 1)
    assert f"user {batch.first_job_id}" in attempt.message
    assert "in handle" in attempt.traceback
    assert len(attempt.fingerprint) == 16
    assert started - timedelta(seconds=1) < attempt.started_at <= attempt.finished_at
    assert attempt.run_id == Run.objects.get().pk
    assert attempt.worker_id == Run.objects.get().worker_id


def test_errors_from_one_place_share_a_fingerprint_and_others_do_not(declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> None:
        if job.payload < 5:
            raise ValueError(f"row {job.payload} of {job.id} is bad")
        raise LookupError("other")

    make_queue(max_attempts=1)
    enqueue_batch(handle, range(10))
    drain()
    assert len(set(DeadLetter.objects.filter(error_class="ValueError").values_list("fingerprint"))) == 1
    assert len(set(DeadLetter.objects.values_list("fingerprint"))) == 2


def test_a_message_is_cleaned_and_bounded(declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> None:
        raise ValueError("zero\0byte " + "x" * 20_000 + "\udc80")

    ran_once(handle, max_attempts=1)
    for message in (Attempt.objects.get().message, DeadLetter.objects.get().message):
        assert len(message.encode()) <= 8192
        assert message.startswith("zero") and "\0" not in message


def test_a_handler_that_exits_is_a_failed_job_and_its_worker_goes_on(declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> None:
        if job.payload == 1:
            sys.exit("library decided to exit")

    make_queue(max_attempts=1)
    batch = enqueue_batch(handle, range(3))
    drain()
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead) == (2, 1)
    assert DeadLetter.objects.get().error_class == "SystemExit"


def test_an_unknown_outcome_fails_the_job(declare: Declare) -> None:
    class Perhaps(Outcome):
        pass

    ran_once(declare()(lambda job: Perhaps()))
    assert "no outcome that is known" in Attempt.objects.get().message


@pytest.mark.parametrize("until", [float("nan"), float("inf"), -float("inf"), 1e300, "soon", None, 10**30])
def test_an_unusable_snooze_fails_the_job_alone(declare: Declare, until: Any) -> None:
    @declare()
    def handle(job: Job) -> Snooze | None:
        return Snooze(until) if job.payload == 1 else None

    make_queue(max_attempts=1)
    batch = enqueue_batch(handle, range(3))
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.dead) == ("partial", 2, 1)
    assert_sound()


@pytest.mark.parametrize("until", [0, -5, 0.2, timedelta(days=-1), datetime(2000, 1, 1, tzinfo=UTC)])
def test_a_snooze_into_the_past_waits_a_second_and_spins_no_worker(declare: Declare, until: Any) -> None:
    calls: list[int] = []

    @declare()
    def handle(job: Job) -> Snooze | None:
        calls.append(job.attempt)
        return Snooze(until) if len(calls) == 1 else None

    make_queue()
    batch = enqueue_batch(handle, [0])
    before = timezone.now()
    assert drain(runs=3) == 1
    due = Chunk.objects.get(state="ready").run_at
    assert timedelta(seconds=1) <= due - before < timedelta(seconds=5)
    Chunk.objects.update(run_at=before)
    assert (drain(runs=3), calls) == (1, [1, 1])
    batch.refresh_from_db()
    assert batch.state == "completed"


def test_a_naive_snooze_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="aware"):
        Snooze(datetime(2030, 1, 1))


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [("fixed", [10, 10, 10]), ("linear", [10, 20, 25]), ("exponential", [10, 20, 25])],
)
@pytest.mark.parametrize("jitter", [0.0, 0.25])
def test_retries_wait_as_the_queue_says(backoff: str, delays: list[int], jitter: float) -> None:
    make_queue(backoff=backoff, backoff_base=10, backoff_cap=25, jitter=jitter, max_attempts=4)
    batch = enqueue_batch("tested.do", [{"fail": 1}])
    for delay in delays:
        before = timezone.now()
        assert drain() == 1
        due = Chunk.objects.get(state="ready").run_at
        assert due - timezone.now() <= timedelta(seconds=min(25, delay * (1 + jitter)))
        assert due - before >= timedelta(seconds=delay * (1 - jitter))
        Chunk.objects.filter(state="ready").update(run_at=before)
    assert drain() == 1
    batch.refresh_from_db()
    assert (batch.state, batch.dead, Attempt.objects.count()) == ("failed", 1, 4)
    assert (DeadLetter.objects.get().reason, DeadLetter.objects.get().attempts) == ("out of attempts", 4)
    assert JobRow.objects.get().failures == 4
    assert_sound()


def test_a_handler_sees_what_it_needs_of_its_job(declare: Declare) -> None:
    seen: list[tuple[Any, ...]] = []

    @declare()
    def handle(job: Job) -> None:
        seen.append((job.id, job.payload, job.attempt, job.batch_id, job.queue))
        raise ValueError

    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    payload = {"big": 2**64 + 1, "text": "ä\u2028\\ \"'", "deep": [[None, True, 1.5, -0.0]]}
    batch = enqueue_batch(handle, [payload])
    single = enqueue(handle, None)
    drain()
    assert seen == [
        (batch.first_job_id, payload, 1, batch.pk, "tested"),
        (single, None, 1, None, "tested"),
        (batch.first_job_id, payload, 2, batch.pk, "tested"),
        (single, None, 2, None, "tested"),
    ]


def test_many_failures_share_retry_chunks_of_the_queue_s_size() -> None:
    make_queue(chunk_size=20, backoff_base=60, max_attempts=3)
    enqueue_batch("tested.do", [{"fail": 1}] * 50 + [{"n": 1}] * 50)
    drain()
    assert sorted(Chunk.objects.filter(is_retry=True).values_list("size", flat=True)) == [10, 20, 20]
    assert_sound()


def test_dead_jobs_of_one_run_share_a_parked_chunk() -> None:
    make_queue(chunk_size=100)
    batch = enqueue_batch("tested.do", [{"die": n} if n % 2 else {} for n in range(100)])
    drain()
    parked = Chunk.objects.get(state="parked")
    assert (parked.size, parked.batch_id, DeadLetter.objects.count()) == (50, batch.pk, 50)
    done = Chunk.objects.get(state="done")
    assert (done.size, done.succeeded) == (50, 50)
    assert_sound()


@pytest.mark.parametrize("concurrency", [1, 4])
def test_jobs_run_one_by_one_in_order_unless_the_queue_has_lanes(declare: Declare, concurrency: int) -> None:
    barrier, threads = threading.Barrier(concurrency, timeout=10), set[str]()
    order: list[int] = []

    @declare()
    def handle(job: Job) -> None:
        barrier.wait()  # passes only when so many jobs run at the same time
        threads.add(threading.current_thread().name)
        order.append(job.payload)

    make_queue(concurrency=concurrency, chunk_size=20)
    batch = enqueue_batch(handle, range(20))
    drain()
    batch.refresh_from_db()
    assert (batch.succeeded, len(threads)) == (20, concurrency)
    if concurrency == 1:
        assert order == list(range(20))
    assert_sound()


def test_coroutines_of_a_run_share_a_loop_with_so_many_lanes(declare: Declare) -> None:
    running, most = 0, 0

    @declare()
    async def handle(job: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1
        if job.payload == 7:
            raise ValueError

    make_queue(concurrency=5, max_attempts=1)
    batch = enqueue_batch(handle, range(20))
    drain()
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead, most) == (19, 1, 5)
    assert_sound()


def test_careful_coroutines_run_one_by_one_and_are_marked_in_the_worker_s_own_session(declare: Declare) -> None:
    threads: list[set[str]] = []

    @declare()
    async def handle(job: Job) -> None:
        threads.append({thread.name for thread in threading.enumerate()})
        await asyncio.sleep(0)
        if job.payload == 1:
            raise ValueError

    make_queue(concurrency=5, max_attempts=1)
    batch = enqueue_batch(handle, range(3))
    Chunk.objects.update(solo=True)
    before = {thread.name for thread in threading.enumerate()}
    drain()
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead) == (2, 1)
    # A session of another thread could not see the run, which this test's transaction has not committed.
    assert Run.objects.get().marked_job == batch.last_job_id
    assert threads == [before] * 3
    assert_sound()


def test_the_run_records_how_long_its_jobs_took(declare: Declare) -> None:
    make_queue()
    enqueue_batch("tested.do", range(10))
    drain()
    run = Run.objects.get()
    assert 0 <= run.p50_ms <= run.p95_ms <= run.max_ms < 10_000
    assert run.finished_at >= run.started_at
    assert (run.claimed, run.chunks) == (10, 1)


@pytest.mark.parametrize("error", [GeneratorExit, asyncio.CancelledError, BaseException])
@pytest.mark.parametrize("form", ["def", "async def", "threads", "whole"])
def test_no_exception_of_a_handler_makes_its_job_run_for_ever(
    declare: Declare, error: type[BaseException], form: str
) -> None:
    def handle(job: Job) -> None:
        if job.payload == 1:
            raise error

    async def handle_async(job: Job) -> None:
        handle(job)

    def handle_all(jobs: list[Job]) -> None:
        for job in jobs:
            handle(job)

    function = {"async def": handle_async, "whole": handle_all}.get(form, handle)
    make_queue(max_attempts=1, concurrency=2 if form == "threads" else 1)
    batch = enqueue_batch(declare(whole=form == "whole")(function), range(3))
    drain(runs=5)
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead) == ((0, 3) if form == "whole" else (2, 1))


def test_an_interrupt_that_a_handler_raises_is_its_failure(declare: Declare) -> None:
    @declare()
    def handle(job: Job) -> None:
        if job.payload == 1:
            raise KeyboardInterrupt

    make_queue(max_attempts=1)
    batch = enqueue_batch(handle, range(3))
    drain()
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead) == (2, 1)
    assert Attempt.objects.get().error_class == "KeyboardInterrupt"
