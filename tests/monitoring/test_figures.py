"""What the overview counts, against what is there."""

from datetime import timedelta

import pytest
from django.utils import timezone

from monitoring import panels, rollup
from monitoring.history import CHART, HISTORY, History
from monitoring.rollup import roll_up
from monitoring.snapshot import Snapshot
from queues.models import Chunk, Queue, Run, Worker
from queues.selectors import clock, figures, throughput
from queues.selectors.batches import batch_counts
from queues.services.enqueue import seal
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


def test_what_is_held_waits_and_says_so() -> None:
    queue = make_queue()
    held = waiting_batch(7, queue="tested", open=True)
    due = waiting_batch(4)
    line = only_line()
    assert (line.waiting, line.held, line.scheduled) == (11, 7, 0)
    assert figures.queue_estimates(clock.database_now())[queue.pk] == figures.Estimate(11, 0, 7, 0)
    for name, words in {"tiles": "+7 held", "queues": "of which 7 held"}.items():
        assert words in panels.render(panels.topic(name, "", False), Snapshot())
    # The invariant: what the queue counts is what the batches count.
    counts = batch_counts([held.pk, due.pk])
    assert sum(one.waiting for one in counts.values()) == 11
    seal(held)
    assert (only_line().waiting, only_line().held) == (11, 0)


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


def test_the_first_chart_of_a_process_takes_whole_minutes_from_where_they_are_kept() -> None:
    queue = make_queue()
    for ended in (14 * 60, 700, 300, 130, 70, 45, 5):
        run(queue, started=timedelta(seconds=ended), ended=timedelta(seconds=ended), succeeded=100, dead=10)
    # Not yet kept: all of it comes from the runs.
    assert Snapshot().series.succeeded == pytest.approx(700)
    roll_up()
    HISTORY.clear()
    series = Snapshot().series
    assert (series.succeeded, series.dead) == (pytest.approx(700), pytest.approx(70))
    # What is kept is not asked of its runs again: there may be hundreds of thousands of them.
    Run.objects.filter(finished_at__lt=timezone.now() - timedelta(seconds=200)).delete()
    HISTORY.clear()
    assert Snapshot().series.succeeded == pytest.approx(700)


def test_a_minute_that_was_kept_while_it_was_under_way_is_read_from_its_runs() -> None:
    queue = make_queue()
    run(queue, started=timedelta(seconds=90), ended=timedelta(seconds=90), succeeded=100)
    roll_up()
    # As a roll-up left it that stopped there, or while it was still to come.
    run(queue, started=timedelta(seconds=88), ended=timedelta(seconds=88), succeeded=5)
    run(queue, started=timedelta(seconds=40), ended=timedelta(seconds=40), succeeded=7)
    HISTORY.clear()
    assert Snapshot().series.succeeded == pytest.approx(112)


def test_a_roll_up_writes_all_that_the_chart_shows() -> None:
    # Otherwise a minute from before a stand-still of the roll-up would be shown as it was half written.
    assert CHART + timedelta(minutes=1) <= rollup.SPAN


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
