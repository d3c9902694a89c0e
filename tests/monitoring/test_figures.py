"""What the overview counts, against what is there."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring.history import HISTORY, History
from monitoring.snapshot import Snapshot
from queues.models import Chunk, Queue, Worker
from queues.selectors import clock, figures, throughput
from tests.monitoring.worlds import ran_batch, run, waiting_batch
from tests.queues.working import leased, make_queue

pytestmark = pytest.mark.django_db


def only_line() -> figures.QueueFigures:
    (line,) = figures.queue_figures(clock.database_now())
    return line


def test_waiting_scheduled_and_dead_are_told_apart() -> None:
    ran_batch(succeed=2, die=3)
    waiting_batch(5)
    Chunk.objects.filter(size=5).update(run_at=timezone.now() + timedelta(hours=1))
    waiting_batch(4)
    line = only_line()
    assert (line.waiting, line.scheduled, line.dead) == (4, 5, 3)
    assert line.exact
    assert line.dead_exact


def test_a_claimed_job_is_running_and_no_longer_waiting() -> None:
    waiting_batch(6)
    with leased():
        assert figures.running_jobs() == {Queue.objects.get().pk: 6}
        assert only_line().waiting == 0


def test_a_long_backlog_is_the_least_there_can_be_until_it_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=1)
    waiting_batch(9)
    monkeypatch.setattr(figures, "CHUNK_ROWS", 4)
    monkeypatch.setattr(figures, "CHUNK_ROWS_EACH", 4)
    assert not only_line().exact
    (line,) = Snapshot().queues
    assert line.waiting == 9
    assert line.about
    assert not line.least


def test_an_estimate_that_takes_too_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=1)
    waiting_batch(9)
    monkeypatch.setattr(figures, "CHUNK_ROWS", 4)
    monkeypatch.setattr(figures, "CHUNK_ROWS_EACH", 4)

    def slow(now: object) -> None:
        from django.db import OperationalError

        raise OperationalError("canceling statement due to statement timeout")

    monkeypatch.setattr(figures, "queue_estimates", slow)
    (line,) = Snapshot(history=History()).queues
    assert line.waiting == 5
    assert line.least


def test_a_statement_that_takes_too_long_is_cancelled() -> None:
    from django.db import OperationalError, connection

    with pytest.raises(OperationalError, match="statement timeout"), clock.bounded(0.05):
        connection.cursor().execute("SELECT pg_sleep(2)")
    with clock.bounded(5):
        pass
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_pause_that_has_run_out_is_none() -> None:
    queue = make_queue()
    now = timezone.now()
    Queue.objects.update(paused_at=now - timedelta(hours=2), paused_by="maria", paused_until=now - timedelta(hours=1))
    assert only_line().pause is None
    Queue.objects.update(paused_until=now + timedelta(hours=1))
    pause = only_line().pause
    assert pause is not None
    assert pause.by == "maria"
    with pytest.raises(LookupError):
        figures.queue_pause("none", now)
    assert figures.queue_pause(queue.name, now) == pause


def test_workers_that_have_gone_quiet_are_not_alive() -> None:
    import uuid

    now = timezone.now()
    common = {"host": "h", "machine": "m", "pid": 1, "process_started": 0.0, "version": "1"}
    for name, state, beat in (("a", "ready", 1), ("b", "ready", 90), ("c", "stopped", 1), ("d", "ready", 90_000)):
        Worker.objects.create(
            id=uuid.uuid4(), name=name, state=state, heartbeat_at=now - timedelta(seconds=beat), **common
        )
    assert figures.workers(now) == figures.Workers(alive=1, silent=1)


def test_a_run_that_ended_in_the_window_counts_with_the_part_that_lies_in_it() -> None:
    queue = make_queue()
    # Twenty seconds of life, of which ten lie in the window: half of its work.
    run(queue, started=timedelta(seconds=20), ended=timedelta(0), succeeded=190, failed=10)
    rate = throughput.rates(clock.database_now(), timedelta(seconds=10))[queue.pk]
    assert rate == pytest.approx(10, rel=0.05)


def test_a_long_run_is_seen_while_it_runs() -> None:
    queue = make_queue()
    run(queue, started=timedelta(seconds=60), ended=None, succeeded=600, claimed=10_000)
    rate = throughput.rates(clock.database_now(), timedelta(seconds=10))[queue.pk]
    assert rate == pytest.approx(10, rel=0.05)


def test_an_instant_run_counts_whole() -> None:
    queue = make_queue()
    run(queue, started=timedelta(seconds=1), ended=timedelta(seconds=1), succeeded=50)
    assert throughput.rates(clock.database_now(), timedelta(seconds=10))[queue.pk] == pytest.approx(5)


def test_a_run_before_the_window_counts_nothing() -> None:
    queue = make_queue()
    run(queue, started=timedelta(seconds=40), ended=timedelta(seconds=30), succeeded=50)
    assert throughput.rates(clock.database_now(), timedelta(seconds=10)) == {}


def test_the_chart_holds_all_work_of_its_time_whether_remembered_or_read_anew() -> None:
    queue = make_queue()
    run(queue, started=timedelta(minutes=12), ended=timedelta(minutes=12), succeeded=100)
    run(queue, started=timedelta(minutes=5), ended=timedelta(minutes=4), succeeded=200, failed=4, retried=3, dead=1)
    run(queue, started=timedelta(seconds=20), ended=timedelta(seconds=5), succeeded=300)
    run(queue, started=timedelta(seconds=20), ended=None, succeeded=50, claimed=100)
    run(queue, started=timedelta(minutes=40), ended=timedelta(minutes=30), succeeded=9_999)
    for _ in range(2):
        series = Snapshot().series
        assert series.succeeded == pytest.approx(650)
        assert (series.retried, series.dead) == (pytest.approx(3), pytest.approx(1))


def test_a_run_that_commits_late_is_seen_late_but_not_missed() -> None:
    queue = make_queue()
    assert Snapshot().series.succeeded == 0
    # Its end lies before the last reading, as if its transaction had been slow.
    run(queue, started=timedelta(seconds=31), ended=timedelta(seconds=30), succeeded=70)
    assert Snapshot().series.succeeded == pytest.approx(70)


def test_figures_of_one_snapshot_are_read_once(django_assert_num_queries: object) -> None:
    ran_batch(succeed=2)
    HISTORY.clear()
    snapshot = Snapshot()
    first = (snapshot.queues, snapshot.series, snapshot.workers, snapshot.in_progress)
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert (snapshot.queues, snapshot.series, snapshot.workers, snapshot.in_progress) == first
