"""Batches that are put together step by step."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queues import JobBatch
from queues.models import Batch, Chunk, Job
from queues.services.enqueue import EnqueueError
from tests.checker import assert_sound
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db


def test_all_of_it_at_once() -> None:
    make_queue()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    batch = (
        JobBatch("welcome", do)
        .with_jobs({"n": n} for n in range(250))
        .with_batch_size(100)
        .with_failure_mode("collect_errors")
        .with_metadata("campaign", 7)
        .with_metadata("region", "eu")
        .with_priority("low")
        .add_job({"n": 250}, priority="critical")
        .add_job({"n": 251}, run_at=tomorrow)
        .enqueue()
    )
    assert (batch.name, batch.total, batch.failure_mode) == ("welcome", 252, "collect_errors")
    assert (batch.metadata, batch.chunk_size) == ({"campaign": 7, "region": "eu"}, 100)
    chunks = Counter(Chunk.objects.filter(batch=batch).values_list("priority", "size"))
    assert chunks == {(3, 100): 2, (3, 50): 1, (0, 1): 1, (3, 1): 1}
    assert Chunk.objects.get(run_at=tomorrow).priority == 3
    first = Job.objects.get(chunk__priority=0)
    assert first.payload == '{"n":250}'
    assert_sound()


def test_the_most_urgent_of_a_batch_runs_first() -> None:
    make_queue(chunk_size=2)
    batch = JobBatch("b", do).with_jobs([{"n": 1}, {"n": 2}]).add_job({"value": 3}, priority="high").enqueue()
    drain(runs=1, want=1)
    assert Chunk.objects.get(batch=batch, state="done").priority == 1


def test_step_by_step_in_memory_until_it_is_enqueued() -> None:
    make_queue()
    building = JobBatch("slowly", do)
    for n in range(5):
        building.add_job({"n": n})
        assert (len(building), Batch.objects.count()) == (n + 1, 0)
    batch = building.enqueue()
    assert batch.total == 5
    with pytest.raises(EnqueueError, match=f"was enqueued before, as batch {batch.pk}"):
        building.enqueue()


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: JobBatch("b", do), "at least one job"),
        (
            lambda: JobBatch("b", do).add_job(1).add_job(2, queue="other"),
            "item 1: queue 'other' found, 'tested' expected",
        ),
        (lambda: JobBatch("b", do).with_jobs([{}] * 10_001), "10,001 jobs; a batch holds at most 10,000"),
        (lambda: JobBatch("b", do).add_job({"x": float("nan")}), "item 0"),
        (lambda: JobBatch("b", do).add_job({}).with_batch_size(0), "chunk_size"),
        (lambda: JobBatch("b", do).add_job({}).with_failure_mode("never"), "failure_mode"),
        (lambda: JobBatch("b", do).add_job({}).with_priority("urgent"), "priority"),
        (lambda: JobBatch("b", do).add_job({}, priority="urgent"), "item 0: priority"),
        (lambda: JobBatch("b", do).add_job({}, run_at=datetime(2030, 1, 1)), "item 0: run_at"),
        (lambda: JobBatch("b", do).add_job({}).with_metadata("at", datetime.now(UTC)), "metadata"),
        (lambda: JobBatch("b" * 201, do).add_job({}), "name"),
        (lambda: JobBatch("b", "gone.away").add_job({}), "unknown handler"),
        (lambda: JobBatch("b", do).with_jobs({"a": 1}), "with_jobs: many are needed, not one dict"),
    ],
)
def test_what_is_wrong_is_said_at_enqueue_and_nothing_is_written(build: Any, said: str) -> None:
    make_queue()
    with pytest.raises(EnqueueError, match=said):
        build().enqueue()
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)


def test_what_was_refused_can_be_mended() -> None:
    make_queue()
    building = JobBatch("b", do).add_job({}).with_priority("urgent")
    with pytest.raises(EnqueueError):
        building.enqueue()
    assert building.with_priority("high").enqueue().total == 1


def test_too_many_become_parts_where_it_is_allowed(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue()
    batch = JobBatch("large", do).with_jobs(range(25)).with_splitting().with_options(idempotency_key="k").enqueue()
    assert (batch.is_parent, batch.total, [part.total for part in batch.parts.order_by("part")]) == (
        True,
        25,
        [10, 10, 5],
    )
    assert batch.idempotency_key == "k"
    assert_sound()
