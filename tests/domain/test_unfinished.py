"""Why a batch is not finished: one sentence for each cause, and the way out."""

from datetime import UTC, datetime, timedelta

import pytest

from queues.domain.unfinished import Before, Facts, Pause, RunFact, WayOut, why

NOW = datetime(2026, 3, 5, 12, 0, 0, tzinfo=UTC)
AGO = NOW - timedelta(minutes=10)
PAUSE = Pause("ann", AGO, "wrong prices")
RUN = RunFact(7, "mail-1", AGO, NOW + timedelta(seconds=30))
BEFORE = Before(3, "load", 1)

CASES = {
    "open": (
        {"sealed": False, "held_open": 5},
        "It is still open for more jobs and 5 jobs are held until then: seal it to let it run.",
        WayOut.SEAL,
        "",
    ),
    "paused": (
        {"pause": PAUSE, "held_paused": 1},
        "It is paused by ann since 2026-03-05 11:50 UTC (wrong prices); 1 job is held.",
        WayOut.RESUME_BATCH,
        "",
    ),
    "queue paused": (
        {"due": 2, "queue": "mail", "queue_pause": Pause("bob", AGO, until=NOW + timedelta(hours=1))},
        "Its queue mail is paused by bob since 2026-03-05 11:50 UTC until 13:00:00 UTC; 2 jobs are waiting.",
        WayOut.RESUME_QUEUE,
        "mail",
    ),
    "stage": (
        {"held_stage": 9, "before": [BEFORE, Before(4, "", 1)]},
        "It waits for stage 1: batch 3 “load” and 1 more.",
        WayOut.SEE_BATCH,
        "3",
    ),
    "scheduled": (
        {"later": 4, "later_at": NOW + timedelta(days=1)},
        "4 jobs are scheduled, the next for 2026-03-06 12:00 UTC.",
        WayOut.SEE_JOBS,
        "",
    ),
    "retrying": (
        {"retrying": 1, "retrying_at": NOW + timedelta(seconds=5), "later": 4},
        "1 job is tried again after a failure, the next at 12:00:05 UTC.",
        WayOut.SEE_JOBS,
        "",
    ),
    "workers": (
        {"due": 3, "queue": "mail", "queue_stands": ("workers", "No worker that takes it is alive.")},
        "3 jobs are due in queue mail. No worker that takes it is alive.",
        WayOut.SEE_WORKERS,
        "mail",
    ),
    "limit": (
        {"due": 3, "queue": "mail", "queue_stands": ("limit", "Its limit of 2 runs at once is reached.")},
        "3 jobs are waiting in queue mail. Its limit of 2 runs at once is reached.",
        WayOut.SEE_QUEUE,
        "mail",
    ),
    "rate": (
        {"due": 3, "queue": "mail", "queue_stands": ("rate", "Its rate.")},
        "3 jobs are waiting in queue mail. Its rate.",
        WayOut.SEE_QUEUE,
        "mail",
    ),
    "waiting": (
        {"due": 3, "queue": "mail", "queue_stands": ("busy", "All workers have a run.")},
        "3 jobs are waiting for a worker in queue mail. All workers have a run.",
        WayOut.SEE_QUEUE,
        "mail",
    ),
    "running": (
        {"running": 20, "due": 3, "runs": [RunFact(8, "mail-2", NOW, RUN.lease_until), RUN]},
        "20 jobs are running since 11:50:00 UTC with worker mail-1, the oldest of 2 runs; "
        "3 jobs are waiting behind them.",
        WayOut.SEE_JOBS,
        "",
    ),
    "lost": (
        {"running": 20, "runs": [RunFact(7, "mail-1", AGO, NOW - timedelta(seconds=1))]},
        "The lease of run 7, at work since 11:50:00 UTC with worker mail-1, has ended: what it holds is "
        "taken back now.",
        WayOut.SEE_WORKERS,
        "",
    ),
    "stopping": (
        {"stop_reason": "fail_fast", "running": 2, "runs": [RUN]},
        "It is stopping, because a job of it died (fail fast): 2 jobs are still running and stop before their next "
        "job, within two seconds.",
        WayOut.NONE,
        "",
    ),
    "ending": ({}, "All its jobs have ended: its end is written within seconds.", WayOut.NONE, ""),
    "held": (
        {"held_paused": 2},
        "2 jobs are held, and nothing says by what: run `manage.py doctor --counts`.",
        WayOut.NONE,
        "",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_cause_has_its_sentence_and_its_way_out(kind: str) -> None:
    given, text, way_out, subject = CASES[kind]
    found = why(Facts(now=NOW, **given))  # type: ignore[arg-type]
    assert (found.kind, found.text, found.way_out, found.subject) == (kind, text, way_out, subject)


def test_dead_letters_do_not_hold_a_batch_and_that_is_said() -> None:
    assert why(Facts(now=NOW, dead=1)).beside == "Its 1 dead letter does not hold it: it waits for a person."
    assert why(Facts(now=NOW, dead=2_000)).beside == "Its 2,000 dead letters do not hold it: they wait for a person."
    assert why(Facts(now=NOW)).beside == ""


def test_what_runs_beside_a_pause_is_told() -> None:
    found = why(Facts(now=NOW, pause=PAUSE, held_paused=3, running=2, runs=[RUN]))
    assert found.beside == "2 jobs are running meanwhile and finish."


def test_what_holds_the_whole_batch_comes_first() -> None:
    everything = {"due": 1, "retrying": 1, "later": 1, "running": 1, "runs": [RUN], "before": [BEFORE]}
    order = [
        ({"stop_reason": "cancelled", "pause": PAUSE, "sealed": False}, "stopping"),
        ({"pause": PAUSE, "sealed": False}, "paused"),
        ({"sealed": False}, "open"),
        ({}, "stage"),
        ({"before": []}, "running"),
        ({"before": [], "running": 0, "runs": []}, "waiting"),
        ({"before": [], "running": 0, "runs": [], "due": 0}, "retrying"),
    ]
    for given, kind in order:
        assert why(Facts(now=NOW, **{**everything, **given})).kind == kind  # type: ignore[arg-type]
