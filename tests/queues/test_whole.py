"""Handlers that take all jobs of a run in one call, and the four ways to acknowledge them."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from queues.domain.outcomes import Cancel, Fail, Job, Reject, Snooze, Success
from queues.models import Attempt, Batch, Chunk, DeadLetter, JobResult, Run
from queues.models import Job as JobRow
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db

Declare = Callable[..., Any]
ANSWERS: dict[str, Callable[[list[Job]], Any]] = {
    "nothing": lambda jobs: None,
    "one for all": lambda jobs: Success(),
    "mapping of those that matter": lambda jobs: {jobs[2].id: Reject("bad")},
    "sequence": lambda jobs: [Reject("bad") if job.payload == 2 else None for job in jobs],
    "sequence with exceptions": lambda jobs: [ValueError("bad") if job.payload == 2 else job.id for job in jobs],
}


def ran(handler: Any, payloads: Any = range(5), *, runs: int = 1, **policy: Any) -> Batch:
    """A batch after some runs."""
    make_queue(**{"max_attempts": 1, "backoff_base": 0, "jitter": 0, **policy})
    batch = enqueue_batch(handler, payloads)
    drain(runs=runs)
    batch.refresh_from_db()
    assert_sound()
    return batch


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("is_async", [False, True])
def test_the_answer_names_the_outcome_of_each_job(declare: Declare, answer: str, is_async: bool) -> None:
    calls: list[list[Any]] = []

    def handle(jobs: list[Job]) -> Any:
        calls.append([job.payload for job in jobs])
        return ANSWERS[answer](jobs)

    async def handle_async(jobs: list[Job]) -> Any:
        return handle(jobs)

    batch = ran(declare(whole=True)(handle_async if is_async else handle))
    assert calls == [[0, 1, 2, 3, 4]]
    bad = answer.startswith(("mapping", "sequence"))
    assert (batch.succeeded, batch.dead) == ((4, 1) if bad else (5, 0))
    if bad:
        assert DeadLetter.objects.get().job_id == batch.first_job_id + 2


@pytest.mark.parametrize("answer", [{"not": "a job"}, [1, 2], "text", 7, {1, 2, 3, 4, 5}, {-1: None}])
def test_an_answer_of_the_wrong_shape_fails_all_with_the_reason(declare: Declare, answer: Any) -> None:
    batch = ran(declare(whole=True)(lambda jobs: answer))
    assert (batch.state, batch.dead) == ("failed", 5)
    messages = set(DeadLetter.objects.values_list("message", flat=True))
    assert len(messages) == 1
    assert messages.pop().startswith("the handler")


def test_what_a_call_raises_counts_for_each_job(declare: Declare) -> None:
    @declare(whole=True)
    def handle(jobs: list[Job]) -> None:
        raise OSError("the server is away")

    batch = ran(handle, max_attempts=2)
    assert (batch.state, Attempt.objects.count()) == ("running", 5)
    assert set(Attempt.objects.values_list("error_class", "message")) == {("OSError", "the server is away")}
    assert len(set(Attempt.objects.values_list("fingerprint"))) == 1


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [(Fail("no"), "dead"), (Reject("no"), "dead"), (Cancel(), "cancelled"), (Success(), "succeeded")],
)
def test_a_raised_outcome_counts_for_each_job(declare: Declare, outcome: Exception, ending: str) -> None:
    @declare(whole=True)
    def handle(jobs: list[Job]) -> None:
        raise outcome

    assert getattr(ran(handle), ending) == 5


def test_a_raised_snooze_counts_for_each_job(declare: Declare) -> None:
    @declare(whole=True)
    def handle(jobs: list[Job]) -> None:
        raise Snooze(600)

    ran(handle)
    assert Chunk.objects.get(state="ready").size == 5


def test_one_call_takes_several_small_chunks(declare: Declare) -> None:
    calls: list[int] = []
    handler = declare(whole=True)(lambda jobs: calls.append(len(jobs)))
    ran(handler, range(90), chunk_size=10, run_size=1000)
    assert calls == [90]


def test_per_job_retries_the_failed_ones_only(declare: Declare) -> None:
    calls: list[list[int]] = []

    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        calls.append([job.payload for job in jobs])
        return [Fail("odd") if job.payload % 2 and job.attempt == 1 else None for job in jobs]

    batch = ran(handle, runs=9, max_attempts=2)
    assert calls == [[0, 1, 2, 3, 4], [1, 3]]
    assert (batch.state, Attempt.objects.count()) == ("completed", 2)


def test_best_effort_never_tries_again(declare: Declare) -> None:
    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        return {jobs[1].id: Fail("no")}

    batch = ran(handle, runs=9, max_attempts=5, acknowledge="best_effort")
    assert (batch.succeeded, batch.dead, Run.objects.count()) == (4, 1, 1)
    assert DeadLetter.objects.get().attempts == 1


def test_all_or_nothing_puts_the_whole_chunk_back_and_backs_off(declare: Declare) -> None:
    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        return {jobs[1].id: Fail("no"), jobs[3].id: Cancel()}

    ran(handle, acknowledge="all_or_nothing", max_attempts=3, backoff_base=60)
    chunk, run = Chunk.objects.get(), Run.objects.get()
    assert (chunk.state, chunk.size, chunk.succeeded, chunk.cancelled, chunk.tries) == ("ready", 5, 0, 0, 1)
    assert 50 < (chunk.run_at - run.finished_at).total_seconds() < 70
    assert (run.returned, run.succeeded, run.failed) == (5, 0, 0)
    assert Attempt.objects.get().message == "no"
    assert not JobRow.objects.filter(failures__gt=0).exists()


def test_all_or_nothing_parks_the_failing_and_keeps_the_rest_when_its_tries_are_used_up(declare: Declare) -> None:
    calls: list[int] = []

    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        calls.append(len(jobs))
        return [Fail("no") if job.payload in (1, 2) else Success(job.payload) for job in jobs]

    batch = ran(handle, runs=9, acknowledge="all_or_nothing", max_attempts=3, keep_results=60)
    assert calls == [5, 5, 5]
    assert (batch.state, batch.succeeded, batch.dead) == ("partial", 3, 2)
    assert set(DeadLetter.objects.values_list("reason", "attempts")) == {("out of attempts", 3)}
    assert sorted(JobResult.objects.values_list("value", flat=True)) == ["0", "3", "4"]


@pytest.mark.parametrize("acknowledge", ["all_or_nothing", "last_successful"])
def test_a_rejected_job_parks_at_once_and_the_others_go_on_without_it(declare: Declare, acknowledge: str) -> None:
    calls: list[list[int]] = []

    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        calls.append([job.payload for job in jobs])
        return [Reject("never") if job.payload == 2 else None for job in jobs]

    batch = ran(handle, runs=9, acknowledge=acknowledge, max_attempts=3)
    assert calls == [[0, 1, 2, 3, 4], [0, 1, 3, 4] if acknowledge == "all_or_nothing" else [3, 4]]
    assert (batch.state, batch.succeeded, batch.dead) == ("partial", 4, 1)
    letter = DeadLetter.objects.get()
    assert (letter.job_id, letter.reason, letter.attempts) == (batch.first_job_id + 2, "rejected by its handler", 1)
    assert Attempt.objects.count() == 1


def test_all_or_nothing_accepts_the_call_that_fails_nowhere(declare: Declare) -> None:
    calls: list[int] = []

    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        calls.append(len(jobs))
        return Fail("not the first time") if len(calls) == 1 else None

    batch = ran(handle, runs=9, acknowledge="all_or_nothing", max_attempts=3)
    assert (batch.state, calls) == ("completed", [5, 5])


def test_all_or_nothing_never_mixes_batches_in_a_call(declare: Declare) -> None:
    calls: list[set[int | None]] = []
    handler = declare(whole=True)(lambda jobs: calls.append({job.batch_id for job in jobs}))
    make_queue(acknowledge="all_or_nothing", chunk_size=2)
    batches = [enqueue_batch(handler, range(6)) for _ in range(3)]
    drain()
    assert calls == [{batch.pk} for batch in batches]


def test_last_successful_keeps_what_came_before_the_first_failure(declare: Declare) -> None:
    calls: list[list[int]] = []

    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        calls.append([job.payload for job in jobs])
        return [Fail("no") if job.payload == 3 and len(calls) < 3 else None for job in jobs]

    batch = ran(handle, range(6), runs=9, acknowledge="last_successful", max_attempts=4)
    assert calls == [[0, 1, 2, 3, 4, 5], [3, 4, 5], [3, 4, 5]]
    assert (batch.state, Attempt.objects.count()) == ("completed", 2)


def test_last_successful_parks_the_stumbling_block_and_goes_on_afresh(declare: Declare) -> None:
    calls: list[list[int]] = []

    @declare(whole=True)
    def handle(jobs: list[Job]) -> Any:
        calls.append([job.payload for job in jobs])
        return [Fail("no") if job.payload in (1, 3) else None for job in jobs]

    batch = ran(handle, range(5), runs=20, acknowledge="last_successful", max_attempts=2)
    assert calls == [[0, 1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4], [3, 4], [4]]
    assert (batch.state, batch.succeeded, batch.dead) == ("partial", 3, 2)
    dead = set(DeadLetter.objects.values_list("job_id", "attempts"))
    assert {job for job, _ in dead} == {batch.first_job_id + 1, batch.first_job_id + 3}


def test_successes_of_a_call_are_not_recorded_before_it_has_ended(declare: Declare) -> None:
    make_queue(acknowledge="all_or_nothing")
    handler = declare(whole=True)(lambda jobs: None)
    enqueue_batch(handler, range(5))
    from tests.queues.working import leased

    with leased() as execution:
        execution.holds_successes = True
        execution.succeeded += range(5)
        execution._renewed = 0.0
        execution.tick()
        assert (Chunk.objects.get().succeeded, Run.objects.get().step) == (0, 0)
    assert Counter(Chunk.objects.values_list("state", "succeeded")) == {("done", 5): 1}
