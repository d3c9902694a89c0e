"""A batch as one object, its jobs and errors one by one, and its digest of errors."""

from collections import Counter
from typing import Any

import pytest
from django.utils import timezone

from queues.collect import results
from queues.domain.error_digest import ErrorCause, ErrorDigest, from_document, merged
from queues.domain.outcomes import Fail, Return, Snooze
from queues.domain.rates import success_rate
from queues.domain.states import JobState
from queues.models import Attempt, Batch, Chunk
from queues.selectors import batch_past, batches
from queues.selectors.batch_jobs import batch_errors, batch_jobs
from queues.selectors.batch_lists import BatchQuery, batch_page, find_batches
from queues.selectors.batch_status import UnknownBatch, batch_status
from queues.services import cancel, finish, operate
from queues.services import digest as digest_service
from queues.services.archive import archive, restore
from queues.services.enqueue import JobSpec, add_jobs, enqueue, enqueue_batch, seal
from queues.waiting import wait
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import do, drain, leased, make_queue

pytestmark = pytest.mark.django_db


def _digest(batch: Batch) -> ErrorDigest:
    batch.refresh_from_db()
    assert batch.error_digest is not None
    return from_document(batch.error_digest)


def test_the_status_adds_up_at_every_moment() -> None:
    make_queue(chunk_size=2, backoff_base=3600)
    batch = enqueue_batch(do, [{"fail": 1}, {}, {"die": 1}, {}, {}, {}, {}, {}], name="eight")
    new = batch_status(batch)
    assert (new.total, new.pending, new.running, new.success_rate, new.seconds, new.rate) == (8, 8, 0, None, None, None)
    drain(runs=2, want=2)
    with leased(want=2):
        now = batch_status(batch.pk)
        assert (now.pending, now.running, now.completed, now.failed, now.dead) == (3, 2, 2, 1, 1)
        assert now.success_rate == 2 / 3
    cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    Chunk.objects.filter(state="leased").update(state="ready")
    cancel_left = Chunk.objects.filter(batch=batch, state="ready")
    cancel_left.update(state="cancelled", cancelled=2, finished_at=timezone.now())
    finish.sweep()
    end = batch_status(batch)
    assert (end.state, end.completed, end.dead, end.cancelled, end.pending, end.failed) == ("cancelled", 2, 1, 5, 0, 0)
    assert end.success_rate == 2 / 8
    assert end.ended and end.seconds is not None and end.rate == 3 / end.seconds
    assert (end.name, end.queue, end.handler) == ("eight", "tested", "tested.do")
    with pytest.raises(UnknownBatch, match="unknown batch 77777"):
        batch_status(77777)


def test_what_was_put_off_or_given_back_has_not_failed() -> None:
    make_queue(backoff_base=3600)
    batch = enqueue_batch(do, [{}] * 4)
    with leased() as execution:
        execution.note(0, Fail("no"), 0.0)
        execution.note(1, Snooze(3600), 0.0)
        execution.others[2] = Return(3600.0)
        execution.note(3, None, 0.0)
    status = batch_status(batch)
    assert (status.pending, status.completed, status.failed) == (3, 1, 1)
    # The page, and what an operation on all jobs of a state takes, go by the chunk: they say the same.
    found = Counter(job.state for job in batch_jobs(batch))
    assert found == {JobState.RETRYING: 1, JobState.SCHEDULED: 2, JobState.SUCCEEDED: 1}
    chunks = Chunk.objects.filter(batch=batch, state="ready").values_list("size", "is_retry")
    assert sorted(chunks) == [(1, True), (2, False)]
    Chunk.objects.filter(batch=batch, state="ready", is_retry=True).update(run_at=timezone.now())
    with leased() as execution:
        execution.note(0, Snooze(3600), 0.0)
    assert batch_status(batch).failed == 1  # put off, but after a failed try
    assert_sound()


def test_one_definition_of_success() -> None:
    assert success_rate(0, 0, 0) is None
    assert success_rate(3, 1, 0) == 0.75
    assert success_rate(1, 1, 2) == 0.25
    assert success_rate(0, 1, 2) == 0.0
    assert success_rate(0, 0, 5) is None


def test_what_was_cancelled_at_a_stroke_makes_no_rate() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}] * 9, name="daily")
    cancel.cancel_batch(batch_id=batch.pk, actor="a", source="api")
    end = batch_status(batch)
    assert (end.state, end.cancelled, end.rate, end.success_rate) == ("cancelled", 9, None, None)
    again = batches.batch(enqueue_batch(do, [{}], name="daily").pk)
    assert again is not None
    before = batch_past.earlier(again)
    assert before is not None and (before.id, before.rate, before.success_rate) == (batch.pk, None, None)


def test_a_parent_is_the_sum_of_its_parts(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 4
    make_queue(chunk_size=2, max_attempts=1)
    batch = enqueue_batch(
        do, [{"fail": "x"} if n % 3 == 0 else {} for n in range(10)], split=True, failure_mode="collect_errors"
    )
    drain()
    status = batch_status(batch)
    assert (status.total, status.completed, status.dead, status.state) == (10, 6, 4, "partial")
    digest = _digest(batch)
    assert (digest.tries, digest.jobs, [cause.jobs for cause in digest.causes]) == (4, 4, [4])
    assert [from_document(part.error_digest).tries for part in batch.parts.order_by("part")] == [2, 1, 1]
    jobs = list(batch_jobs(batch))
    assert [job.job_id for job in jobs] == sorted(job.job_id for job in jobs)
    assert Counter(job.state for job in jobs) == {JobState.SUCCEEDED: 6, JobState.DEAD: 4}
    assert len(list(batch_errors(batch))) == 4


def test_the_digest_groups_by_cause_and_is_there_when_the_batch_ends() -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    payloads = [{"die": n} for n in range(3)] + [{"fail": n} for n in range(2)] + [{}] * 5
    batch = enqueue_batch(do, payloads, failure_mode="collect_errors")
    drain(runs=1)
    assert Batch.objects.get(pk=batch.pk).error_digest is None
    Chunk.objects.filter(state="ready").update(run_at=timezone.now())
    drain()
    digest = _digest(batch)
    assert (digest.tries, digest.jobs, digest.more_causes, digest.exact) == (7, 5, 0, True)
    fail, die = digest.causes
    assert (fail.error_class, fail.tries, fail.jobs) == ("ValueError", 4, 2)
    assert fail.message.startswith("asked to fail")
    assert (die.tries, die.jobs) == (3, 3)
    assert Attempt.objects.filter(job_id=die.sample_job, fingerprint=die.fingerprint).exists()
    # Another batch, which does not collect, has none.
    other = enqueue_batch(do, [{"die": 1}])
    drain()
    other.refresh_from_db()
    assert (other.state, other.error_digest) == ("failed", None)


def test_a_batch_without_errors_has_an_empty_digest() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}] * 3, failure_mode="collect_errors")
    drain()
    assert _digest(batch) == ErrorDigest(tries=0, jobs=0, causes=())


def test_a_reopened_batch_loses_its_digest_and_gets_a_new_one() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch(do, [{"die": 1}, {}], failure_mode="collect_errors")
    drain()
    assert _digest(batch).tries == 1
    operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="a", source="api")
    batch.refresh_from_db()
    assert (batch.state, batch.error_digest) == ("running", None)
    drain()
    assert (_digest(batch).tries, _digest(batch).jobs) == (2, 1)


def test_the_digest_keeps_the_most_frequent_causes_and_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_service, "MOST_CAUSES", 2)
    make_queue(max_attempts=1)
    words = ["one", "two", "two", "three", "three", "three", "four"]
    batch = enqueue_batch(do, [{"fail": f"because of {word}"} for word in words], failure_mode="collect_errors")
    drain()
    digest = _digest(batch)
    assert [cause.tries for cause in digest.causes] == [3, 2]
    assert (digest.tries, digest.more_causes, digest.more_tries) == (7, 2, 2)
    monkeypatch.setattr(digest_service, "MOST_TRIES", 3)
    digest_service.write_digest(batch=batch.pk)
    assert (_digest(batch).tries, _digest(batch).exact) == (3, False)


def test_the_digest_of_an_interleaved_open_batch_is_of_its_own_jobs_only() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch(do, [{"die": 1}], open=True, failure_mode="collect_errors")
    enqueue(do, {"die": 2})
    add_jobs(batch, [{"die": 3}, {}])
    enqueue(do, {"die": 4})
    seal(batch)
    drain()
    assert (_digest(batch).tries, _digest(batch).jobs) == (2, 2)
    assert [row.job_id for row in batch_errors(batch)] == [batch.first_job_id, batch.first_job_id + 2]  # type: ignore[operator]
    assert len(list(batch_jobs(batch))) == 3


def test_digests_of_parts_are_merged_by_cause() -> None:
    def cause(name: str, tries: int, job: int) -> ErrorCause:
        return ErrorCause(name, "E", "m", tries, tries, job)

    one = ErrorDigest(5, 5, (cause("a", 3, 1), cause("b", 2, 2)), more_causes=1, more_tries=1)
    two = ErrorDigest(4, 4, (cause("b", 4, 3),), exact=False)
    both = merged([one, two])
    assert [(c.fingerprint, c.tries, c.sample_job) for c in both.causes] == [("b", 6, 3), ("a", 3, 1)]
    assert (both.tries, both.jobs, both.more_causes, both.more_tries, both.exact) == (9, 9, 1, 1, False)
    many = merged([ErrorDigest(60, 60, tuple(cause(f"{n:02}", 1, n) for n in range(60)))])
    assert (len(many.causes), many.more_causes, many.more_tries) == (50, 10, 10)
    assert from_document(many.document()) == many


def test_jobs_are_listed_by_state_wherever_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queues.selectors.batch_jobs.SLICE", 3)
    make_queue(chunk_size=4, max_attempts=1)
    payloads: list[Any] = [JobSpec({"n": n}, priority="high" if n % 2 else "low") for n in range(6)]
    batch = enqueue_batch(do, [*payloads, {"die": 1}, {"fail": 1}], key=str)
    drain()
    archive()
    jobs = list(batch_jobs(batch))
    assert len(jobs) == len({job.job_id for job in jobs}) == 8
    assert Counter(job.archived for job in jobs) == {True: 6, False: 2}
    assert [(job.state, job.attempts) for job in batch_jobs(batch, state="dead")] == [("dead", 1)] * 2
    assert Counter(job.priority for job in jobs) == {"high": 3, "low": 3, "normal": 2}
    assert [job.job_id for job in batch_jobs(batch, after=jobs[4].job_id, limit=2)] == [j.job_id for j in jobs[5:7]]
    back = jobs[0].job_id
    restore(job_ids=[back], actor="a", source="api")
    assert [job.job_id for job in batch_jobs(batch, state=JobState.WAITING)] == [back]
    with pytest.raises(ValueError, match="asleep"):
        batch_jobs(batch, state="asleep")
    assert_sound()


def test_each_error_is_the_last_of_its_job() -> None:
    make_queue(max_attempts=3, backoff_base=0, jitter=0)
    batch = enqueue_batch(do, [{"fail": 7}, {}])
    for _turn in range(3):
        Chunk.objects.filter(state="ready").update(run_at=timezone.now())
        drain(runs=1)
    [error] = batch_errors(batch)
    assert (error.job_id, error.state, error.attempts, error.kind) == (batch.first_job_id, "dead", 3, "error")
    assert (error.error_class, error.message) == ("ValueError", "asked to fail: 7")
    assert error.at == Attempt.objects.get(job_id=error.job_id, number=3).finished_at
    assert list(batch_errors(batch, after=error.job_id)) == []


def test_batches_are_found_by_their_metadata() -> None:
    make_queue()
    eu = enqueue_batch(do, [{}], metadata={"region": "eu", "n": 5, "deep": {"a": [1, 2]}})
    us = enqueue_batch(do, [{}], metadata={"region": "us", "n": "5"})
    assert [row.id for row in find_batches(metadata={"region": "eu"})] == [eu.pk]
    assert [row.id for row in find_batches(metadata={"deep": {"a": [2]}})] == [eu.pk]
    with pytest.raises(TypeError, match="metadata: names and their values are needed, not 'eu'"):
        find_batches(metadata="eu")  # type: ignore[arg-type]
    assert [row.id for row in find_batches(metadata={"n": 5})] == [eu.pk]
    assert [row.id for row in find_batches()] == [us.pk, eu.pk]

    def listed(*pairs: tuple[str, str]) -> list[int]:
        return [row.id for row in batch_page(BatchQuery(metadata=pairs)).rows]

    assert listed(("n", "5")) == [us.pk, eu.pk]
    assert listed(("n", "5"), ("region", "us")) == [us.pk]
    assert listed(("region", "NaN")) == listed(("other", "eu")) == []
    longest = enqueue_batch(do, [{}], metadata={"ü" * 200: "x"})
    assert [row.id for row in find_batches(metadata={"ü" * 200: "x"})] == [longest.pk]


def test_the_command_shows_the_digest() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch(do, [{"fail": n} for n in range(3)] + [{}], failure_mode="collect_errors")
    drain()
    told = command("batches", "show", batch.pk).out
    assert "3 failed tries of 3 jobs, by cause:" in told
    assert "ValueError" in told and "25.00%" in told
    document = command("batches", "show", batch.pk, "--json").document
    assert (document["error_digest"]["tries"], document["status"]["state"]) == (3, "partial")


@pytest.mark.parametrize("given", ["7", True, 0, 2**63, None])
@pytest.mark.parametrize("ask", [batch_status, wait, seal, lambda batch: list(results(batch))])
def test_what_is_no_batch_is_told_before_the_database_is_asked(ask: Any, given: Any) -> None:
    with pytest.raises(TypeError, match="a batch or its id is needed, not"):
        ask(given)
