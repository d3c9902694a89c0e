"""What Prometheus reads: the right figures, counters that only grow, and nobody who may not look."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from monitoring.metrics import PAGE
from monitoring.models import MetricPoint
from monitoring.rollup import RETENTION, forget, roll_up
from monitoring.totals import TOTALS
from queues.models import Batch, Queue, Run, Worker
from queues.services import workers
from queues.services.enqueue import enqueue_batch
from tests.monitoring.worlds import ran_batch, run, waiting_batch
from tests.queues.working import do, make_queue

pytestmark = pytest.mark.django_db

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
MINUTE = timedelta(minutes=1)


def samples() -> Samples:
    PAGE.clear()
    families = text_string_to_metric_families(PAGE.text().decode())
    return {
        (sample.name.removeprefix("batchconsole_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def of(found: Samples, name: str, **labels: str) -> float:
    return found[(name, tuple(sorted(labels.items())))]


def test_the_figures_are_those_of_the_queues() -> None:
    ran_batch(succeed=5, die=2)
    enqueue_batch(do, [{} for _ in range(3)])
    Batch.objects.filter(state="running").update(queued_at=None)
    Queue.objects.filter(name="tested").update(hint_failures=4, hint_error="gone")
    workers.register(identity=workers.identify(), queues=[])
    found = samples()
    states = {state: of(found, "jobs", queue="tested", state=state) for state in ("waiting", "running", "dead")}
    assert states == {"waiting": 3, "running": 0, "dead": 2}
    assert of(found, "jobs_succeeded_total", queue="tested") == 5
    assert of(found, "jobs_dead_total", queue="tested") == 2
    assert of(found, "tries_failed_total", queue="tested") == 2
    assert of(found, "runs_total", queue="tested") == of(found, "run_seconds_count", queue="tested") >= 1
    assert of(found, "run_seconds_lately", queue="tested", quantile="0.95") > 0
    assert of(found, "oldest_due_seconds", queue="tested") > 0
    assert of(found, "hand_over_pending_batches", queue="tested") == 1
    assert of(found, "hand_over_oldest_seconds", queue="tested") > 0
    assert of(found, "hand_over_failures", queue="tested") == 4
    assert of(found, "batches_running") == 1
    assert of(found, "workers", state="ready") == Worker.objects.count() == 1
    assert of(found, "queue_paused", queue="tested") == 0


def test_counters_are_the_same_whether_minutes_are_rolled_up_forgotten_or_read_by_a_new_process() -> None:
    queue = make_queue()
    run(queue, started=41 * MINUTE, ended=40 * MINUTE, succeeded=7, dead=1, wait_ms=10.4)
    run(queue, started=5 * MINUTE, ended=4 * MINUTE, succeeded=5, retried=2, wait_ms=10.4)
    run(queue, started=timedelta(seconds=3), ended=timedelta(seconds=1), succeeded=3)
    Run.objects.filter(succeeded=7).update(state="lost")

    def told() -> list[float]:
        found = samples()
        names = ("jobs_succeeded_total", "jobs_retried_total", "jobs_dead_total", "runs_lost_total", "runs_total")
        return [of(found, name, queue="tested") for name in (*names, "run_seconds_sum", "wait_seconds_sum")]

    before = told()
    assert before[:5] == [15, 2, 1, 1, 3]
    assert before[5:] == [pytest.approx(122, abs=0.01), 0.02]
    roll_up()
    assert told() == before
    TOTALS.clear()
    assert told() == before
    # The runs of the first minute go with their retention, and later the point goes too.
    Run.objects.filter(succeeded=7).delete()
    assert told() == before
    MetricPoint.objects.filter(succeeded=7).update(minute=MetricPoint.objects.earliest("minute").minute - RETENTION)
    TOTALS.clear()
    assert told() == before
    assert forget() == 1
    assert told() == before
    TOTALS.clear()
    assert told() == before
    run(queue, started=timedelta(seconds=3), ended=timedelta(seconds=0), succeeded=4)
    assert told()[0] == before[0] + 4


def test_a_run_that_ends_between_two_writings_is_counted_at_once_and_once() -> None:
    queue = make_queue()
    run(queue, started=30 * MINUTE, ended=29 * MINUTE, succeeded=1)
    roll_up()
    run(queue, started=2 * MINUTE, ended=MINUTE / 2, succeeded=10)
    assert of(samples(), "jobs_succeeded_total", queue="tested") == 11
    roll_up()
    assert of(samples(), "jobs_succeeded_total", queue="tested") == 11


def test_labels_are_names_of_queues_and_states_only() -> None:
    ran_batch(succeed=1, die=3, name="a name that nobody wants as a label")
    labels = {(name, value) for _sample, pairs in samples() for name, value in pairs}
    assert {name for name, _value in labels} == {"queue", "state", "quantile"}
    assert {value for name, value in labels if name == "queue"} == {"tested"}


def test_whoever_asks_within_a_second_gets_the_same_text(signed_in: object, django_assert_num_queries: Any) -> None:
    waiting_batch()
    PAGE.clear()
    first = PAGE.text()
    with django_assert_num_queries(0):
        assert PAGE.text() is first


def test_the_number_of_queries_does_not_grow_with_queues_or_jobs(
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(5):
        ran_batch(succeed=2, die=1, queue=f"queue-{number}")
    PAGE.clear()
    with django_assert_max_num_queries(30):
        PAGE.text()


def test_the_token_opens_and_nothing_like_it(settings: Any) -> None:
    make_queue()

    def status(header: str | None) -> int:
        headers = {"Authorization": header} if header is not None else {}
        return int(Client().get("/metrics", headers=headers).status_code)

    assert status("Bearer ") == 403  # no token is set: none fits
    settings.METRICS_TOKEN = "s3cret"
    answers = [status(header) for header in ("Bearer s3cret", "bearer  s3cret", "Bearer s3cre", "Basic s3cret", None)]
    assert answers == [200, 200, 403, 403, 403]
    response = Client().get("/metrics", headers={"Authorization": "Bearer s3cret"})
    assert response["Content-Type"].startswith("text/plain; version=")
    assert b'batchconsole_jobs{queue="tested",state="waiting"} 0.0' in response.content
