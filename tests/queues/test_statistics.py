"""Figures over a window, from runs and finished batches."""

from datetime import datetime, timedelta

import pytest
from django.db.models import F

from queues.models import Batch, Chunk, Run
from queues.selectors.clock import database_now
from queues.selectors.statistics import performance_report, queue_statistics
from queues.services.enqueue import enqueue_batch
from tests.queues.commanding import command
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db


def test_a_queue_over_a_window() -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    make_queue("idle")
    enqueue_batch(do, [{}] * 6 + [{"fail": 1}] * 2)
    drain()
    Chunk.objects.filter(state="ready").update(run_at=database_now())
    drain()
    enqueue_batch(do, [{}] * 2)
    drain()
    found = queue_statistics("tested", 60)
    assert (found.runs, found.processed, found.succeeded, found.failed) == (Run.objects.count(), 12, 8, 4)
    assert (found.retried, found.dead, found.cancelled, found.batches, found.mean_batch_size) == (2, 2, 0, 2, 5.0)
    assert (found.jobs_per_second, found.error_rate) == (12 / 60, 4 / 12)
    times = (found.mean_run_ms, found.wait_ms_p50, found.wait_ms_p95, found.handler_ms_p50, found.handler_ms_p95)
    assert all(value is not None and value >= 0 for value in times)
    assert (found.until - found.since) == timedelta(seconds=60)
    idle = queue_statistics("idle")
    assert (idle.runs, idle.processed, idle.error_rate, idle.mean_run_ms, idle.mean_batch_size) == (
        0,
        0,
        None,
        None,
        None,
    )
    Run.objects.update(
        started_at=F("started_at") - timedelta(hours=1), finished_at=F("finished_at") - timedelta(hours=1)
    )
    assert queue_statistics("tested", 60).processed == 0
    assert queue_statistics("tested", 7_200).processed == 12
    for name, seconds, error in [
        ("none", 60, LookupError),
        ("tested", 0, ValueError),
        ("tested", float("nan"), ValueError),
    ]:
        with pytest.raises(error):
            queue_statistics(name, seconds)


def test_the_performance_of_batches() -> None:
    make_queue(max_attempts=1)
    make_queue("other")
    one = enqueue_batch(do, [{}] * 3 + [{"die": 1}])
    two = enqueue_batch(do, [{}] * 4)
    enqueue_batch(do, [{}] * 2, queue="other")
    drain()
    now = database_now()
    Batch.objects.filter(pk=one.pk).update(
        started_at=now - timedelta(seconds=10), finished_at=now - timedelta(seconds=4)
    )
    Batch.objects.filter(pk=two.pk).update(
        started_at=now - timedelta(seconds=8), finished_at=now - timedelta(seconds=6)
    )
    report = performance_report(queue="tested")
    assert (report.batches, report.tasks, report.seconds, report.tasks_per_second) == (2, 8, 6.0, 8 / 6)
    assert (report.mean_batch_seconds, report.error_rate, report.success_rate) == (4.0, 12.5, 7 / 8)
    assert performance_report(batches=[two.pk]).error_rate == 0
    assert performance_report(since=now - timedelta(seconds=5)).batches == 1
    empty = performance_report(queue="other")
    assert (empty.batches, empty.tasks, empty.seconds, empty.error_rate, empty.success_rate) == (0, 0, None, None, None)
    with pytest.raises(LookupError, match="unknown batch 77"):
        performance_report(batches=[two.pk, 77])


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="since: 2030-01-31T08:00:00 has no time zone"):
        performance_report(since=datetime(2030, 1, 31, 8))


def test_the_command() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}] * 3)
    drain()
    document = command("report", "--json").document
    assert (document["batches"], document["tasks"], document["error_rate"]) == (1, 3, 0)
    assert [queue["processed"] for queue in document["queues"]] == [3]
    assert command("report", "--batch", batch.pk, "--json").document["tasks"] == 3
    assert "tested" in command("report", "--queue", "tested", "--since", "12h").out
    assert command("report", "--queue", "nowhere").code == 1
    assert command("report", "--since", "+5m").code == 2
