"""Why a batch is not finished: one sentence for each cause, and the way out."""

from datetime import UTC, datetime, timedelta

import pytest

from queues.domain.states import BatchState, StopReason
from queues.domain.unfinished import Before, Facts, Pause, RunFact, WayOut, short_of_success, why

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
        "It is paused by ann since 2026-03-05 11:50:00 UTC (wrong prices); 1 job is held.",
        WayOut.RESUME_BATCH,
        "",
    ),
    "queue paused": (
        {"due": 2, "queue": "mail", "queue_pause": Pause("bob", AGO, until=NOW + timedelta(hours=1))},
        "Its queue mail is paused by bob since 2026-03-05 11:50:00 UTC until 2026-03-05 13:00:00 UTC; 2 jobs are "
        "waiting.",
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
        "4 jobs are scheduled, the next for 2026-03-06 12:00:00 UTC.",
        WayOut.RUN_NOW,
        "scheduled",
    ),
    "retrying": (
        {"retrying": 1, "retrying_at": NOW + timedelta(seconds=5), "later": 4},
        "1 job is tried again after a failure, the next at 2026-03-05 12:00:05 UTC.",
        WayOut.RUN_NOW,
        "retrying",
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
        WayOut.CHANGE_POLICY,
        "mail",
    ),
    "rate": (
        {"due": 3, "queue": "mail", "queue_stands": ("rate", "Its rate.")},
        "3 jobs are waiting in queue mail. Its rate.",
        WayOut.CHANGE_POLICY,
        "mail",
    ),
    "flush": (
        {"due": 3, "queue": "mail", "queue_stands": ("flush", "Its flush rule.")},
        "3 jobs are waiting in queue mail. Its flush rule.",
        WayOut.CHANGE_POLICY,
        "mail",
    ),
    "suspended": (
        {"due": 3, "queue": "mail", "queue_stands": ("workers", "None."), "suspended": [("w-id", "mail-1")]},
        "3 jobs are due in queue mail, and no worker takes them: worker mail-1 is suspended.",
        WayOut.RESUME_WORKER,
        "w-id",
    ),
    "hand-over": (
        {
            "due": 1,
            "queue": "mail",
            "queue_stands": ("starting", "Due work waits for the next hint."),
            "pending_hand_over": True,
            "hand_over_error": "OperationalError: refused",
        },
        "The broker has not been told of it yet: OperationalError: refused; it is told again every second. "
        "1 job is due.",
        WayOut.SEE_QUEUE,
        "mail",
    ),
    "silent": (
        {"running": 20, "runs": [RUN, RunFact(8, "mail-2", AGO, NOW + timedelta(seconds=9), "w-id", AGO)]},
        "Worker mail-2 has not been heard of since 2026-03-05 11:50:00 UTC: what run 8 holds is taken back when its "
        "lease ends, at 2026-03-05 12:00:09 UTC.",
        WayOut.RECLAIM,
        "w-id",
    ),
    "waiting": (
        {"due": 3, "queue": "mail", "queue_stands": ("busy", "All workers have a run.")},
        "3 jobs are waiting for a worker in queue mail. All workers have a run.",
        WayOut.SEE_QUEUE,
        "mail",
    ),
    "elsewhere": (
        {"due": 3, "queue": "mail", "queue_stands": ("elsewhere", "Due work waits: all 2 workers are busy.")},
        "3 jobs are waiting for a worker in queue mail. Due work waits: all 2 workers are busy.",
        WayOut.SEE_WORKERS,
        "mail",
    ),
    "running": (
        {"running": 20, "due": 3, "runs": [RunFact(8, "mail-2", NOW, RUN.lease_until), RUN]},
        "20 jobs are running since 2026-03-05 11:50:00 UTC with worker mail-1, the oldest of 2 runs; "
        "3 jobs are waiting behind them.",
        WayOut.SEE_JOBS,
        "",
    ),
    "lost": (
        {"running": 20, "runs": [RunFact(7, "mail-1", AGO, NOW - timedelta(seconds=1))]},
        "The lease of run 7, at work since 2026-03-05 11:50:00 UTC with worker mail-1, has ended: what it holds is "
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


@pytest.mark.parametrize(
    ("state", "stop", "counts", "text", "way_out"),
    [
        ("completed", "", (0, 0, 0), None, None),
        ("partial", "", (3, 1, 2), "It is partial: of its 9 jobs 3 died, 1 were cancelled and 2 were deleted.", "dead"),
        ("failed", "", (9, 0, 0), "It is failed: of its 9 jobs 9 died.", "dead"),
        ("failed", "fail_fast", (1, 8, 0), "It was stopped by its first dead job (fail fast): of its 9 jobs 1", ""),
        (
            "cancelled",
            "cancelled",
            (0, 9, 0),
            "It was cancelled by somebody: of its 9 jobs 9 were cancelled.",
            "cancelled",
        ),
        ("partial", "", (0, 4, 1), "It is partial: of its 9 jobs 4 were cancelled and 1 were deleted.", "cancelled"),
        ("partial", "", (0, 0, 2), "It is partial: of its 9 jobs 2 were deleted.", "again"),
        ("cancelled", "upstream", (0, 0, 0), "It was stopped, because a batch before it has not ended", "again"),
    ],
)
def test_an_ended_batch_says_what_it_is_short_of(
    state: str, stop: str, counts: tuple[int, int, int], text: str | None, way_out: str | None
) -> None:
    dead, cancelled, deleted = counts
    for archived in (False, True):
        found = short_of_success(
            state=BatchState(state),
            stop=StopReason(stop),
            total=9,
            dead=dead,
            cancelled=cancelled,
            deleted=deleted,
            archived=archived,
        )
        if found is None:
            assert text is None
            continue
        assert text is not None and found.text.startswith(text)
        back = WayOut.RESTORE_CANCELLED if archived else WayOut.RETRY_CANCELLED
        ways = {"again": WayOut.RUN_AGAIN, "cancelled": back}
        assert found.way_out is ways.get(way_out or "", WayOut.RETRY_DEAD)


def test_every_way_out_is_somebodys() -> None:
    ways = {way_out for _given, _text, way_out, _subject in CASES.values()}
    ways |= {WayOut.RETRY_DEAD, WayOut.RETRY_CANCELLED, WayOut.RESTORE_CANCELLED, WayOut.RUN_AGAIN}
    assert ways == set(WayOut)
