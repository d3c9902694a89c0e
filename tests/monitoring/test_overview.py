"""The overview: its tiles, its ranges, and what it says needs attention."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring import moments, overview_panels, panels, standing
from monitoring.attention import Grade
from monitoring.findings import gather
from monitoring.history import History
from monitoring.minutes import WINDOWS
from monitoring.models import MetricPoint, Moment
from monitoring.ranges import RANGES, deaths
from monitoring.rollup import roll_up
from monitoring.snapshot import Snapshot
from queues.models import Batch, Chunk, DeadLetter, Queue, Run, SeenCause, Webhook
from queues.selectors import batch_lists, clock, overview
from queues.services import operate
from queues.services.batch_pause import pause_batch
from queues.services.enqueue import enqueue_batch
from queues.services.pause import pause_queue
from tests.monitoring.worlds import a_worker, ran_batch, run, waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("viewer")


def shown(name: str, subject: str = "", *, operate: bool = False) -> str:
    return panels.render(panels.topic(name, subject, operate), Snapshot())


def tile(name: str) -> str:
    """The text of a tile, without its tags."""
    found = re.search(rf'id="tile-{name}".*?</a>', shown("tiles"), re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", found[0].partition(">")[2]).split())


def found(kind: str) -> list[Any]:
    return [one for one in gather(Snapshot()) if one.kind == kind]


def test_each_tile_has_a_line_and_leads_to_the_list_that_yields_it(viewer: Client) -> None:
    ran_batch(succeed=3, die=1)
    html = shown("tiles")
    links = re.findall(r'class="tile-link" href="([^"]+)"', html)
    assert len(links) == html.count('class="spark"') == 8
    for link in links:
        assert viewer.get(link).status_code == 200, link


def test_a_backlog_that_nobody_works_on_is_stalled() -> None:
    waiting_batch(40)
    assert tile("waiting").startswith("40 will not drain: nothing ends")


def test_a_backlog_clears_at_the_rate_of_the_last_minute() -> None:
    queue = make_queue()
    waiting_batch(6_000)
    run(queue, started=timedelta(seconds=90), ended=timedelta(seconds=1), succeeded=9_000)
    # About 100 a second, and nothing comes steadily.
    assert re.match(r"6,000 clears in ~(1|60|6\d|5\d) (min|s)", tile("waiting"))


def test_what_comes_faster_than_it_ends_will_not_drain() -> None:
    queue = make_queue()
    run(queue, started=timedelta(seconds=60), ended=timedelta(seconds=1), succeeded=60)
    waiting_batch(60)
    now = clock.database_now()
    for number in range(12):
        batch = waiting_batch(300)
        Chunk.objects.filter(batch=batch).update(created_at=now - timedelta(seconds=30 * number + 20))
    assert overview.arrived(now - timedelta(seconds=95), now - timedelta(seconds=35)) == {queue.pk: 600}
    assert "will not drain: more arrives than ends" in tile("waiting")
    assert "never: grows" in shown("queue-list")


def test_a_backlog_in_a_paused_queue_is_paused() -> None:
    waiting_batch(5)
    pause_queue(name="tested", actor="maria", source="api", reason="moving house")
    assert tile("waiting").startswith("5 all paused or held")


def test_the_oldest_is_named_with_its_queue() -> None:
    waiting_batch(5)
    long_ago = timezone.now() - timedelta(hours=2, minutes=5)
    Chunk.objects.update(run_at=long_ago, created_at=long_ago)
    assert tile("oldest") == "2 h 05 min in tested"


def test_running_is_counted_by_workers_that_take_work() -> None:
    queue = make_queue()
    busy = a_worker()
    a_worker(name="w-2")
    a_worker(name="w-3", state="suspended")
    a_worker(name="w-4", beat=timedelta(minutes=5))
    lease = run(queue, started=timedelta(seconds=5), ended=None, claimed=30)
    Run.objects.filter(pk=lease.pk).update(worker=busy)
    assert tile("running") == "1 of 2 30 jobs claimed"
    assert tile("workers") == "3 of 4 1 dead"


def test_pending_hand_over_has_the_oldest_age() -> None:
    batch = waiting_batch(3)
    sealed = timezone.now() - timedelta(minutes=3, seconds=5)
    Batch.objects.filter(pk=batch.pk).update(queued_at=None, sealed_at=sealed, created_at=sealed)
    assert re.fullmatch(r"1 oldest for 3 min 0\d s", tile("pending"))
    Queue.objects.update(hint_failures=4, hint_error="connection refused", hint_failed_at=timezone.now())
    assert tile("pending") == "1 failing: tested"
    (one,) = found("hand-over")
    assert one.grade.word == "problem"
    assert "1 batch is not announced, the oldest for 3 minutes" in one.text
    assert "4 messages in a row could not be sent: connection refused" in one.text


@pytest.mark.parametrize("window", ["15m", "1h", "6h", "24h", "7d"])
def test_each_range_is_in_the_address_and_in_words(window: str, viewer: Client) -> None:
    ran_batch(succeed=8, die=2)
    roll_up()
    html = viewer.get(f"/?window={window}").content.decode()
    assert re.search(rf'aria-current="true"[^>]*>{window}</a>', html)
    assert re.search(r'role="img" aria-label="In the last [^"]* 8 jobs succeeded, [^"]* 2 jobs died', html)
    assert re.search(r'role="img" aria-label="Handler in the last [^"]*: the 95th percentile was between', html)
    # The live address asks for the same range.
    assert f"throughput={window}" in html
    assert html.count("<summary>Show as table</summary>") == 2


def test_an_unknown_range_is_named_beside_the_usual_one(viewer: Client) -> None:
    assert overview_panels.window("1y") == "15m"
    assert re.search('aria-current="true"[^>]*>15m<', viewer.get("/").content.decode())
    shown = viewer.get("/?window=<script>").content.decode()
    assert "Window: there is no &lt;script&gt;. It is one of 15m," in shown
    assert "The last 15 minutes" in shown


def test_a_range_sums_the_minutes_of_all_queues_and_weighs_their_medians() -> None:
    one, other = make_queue("one"), make_queue("other")
    minute = (timezone.now() - timedelta(hours=3)).replace(minute=30, second=0, microsecond=0)
    common = {"minute": minute, "claimed": 0, "failed": 0, "retried": 1, "bytes": 0}
    MetricPoint.objects.create(
        queue=one, runs=3, succeeded=10, dead=2, wait_p50=10, wait_p95=20, handler_p50=1, handler_p95=4, **common
    )
    MetricPoint.objects.create(
        queue=other, runs=1, succeeded=5, dead=0, wait_p50=50, wait_p95=90, handler_p50=None, handler_p95=None, **common
    )
    found = RANGES.read(WINDOWS["6h"], clock.database_now())
    assert len(found.times) == len(found.series.points) == 72
    assert (found.series.succeeded, found.series.retried, found.series.dead) == (15, 2, 2)
    (times,) = [times for times in found.times if times.wait_p95 is not None]
    assert (times.wait_p50, times.wait_p95, times.handler_p50, times.handler_p95) == (20, 90, 1, 4)


def test_a_range_is_read_again_when_it_may_have_changed() -> None:
    ran_batch(succeed=2)
    roll_up()
    now = clock.database_now()
    assert RANGES.read(WINDOWS["1h"], now).series.succeeded == 2
    ran_batch(succeed=3)
    roll_up()
    assert RANGES.read(WINDOWS["1h"], now + timedelta(seconds=1)).series.succeeded == 2
    assert RANGES.read(WINDOWS["1h"], now + timedelta(seconds=6)).series.succeeded == 5


def test_nothing_to_do_is_said(viewer: Client) -> None:
    assert "Nothing needs a person." in shown("attention")


def test_work_that_nobody_takes_is_the_first_thing_and_says_what_to_do() -> None:
    ran_batch(die=1)
    waiting_batch(5)
    long_ago = timezone.now() - timedelta(minutes=10)
    Chunk.objects.filter(state="ready").update(run_at=long_ago, created_at=long_ago)
    Run.objects.update(started_at=long_ago - timedelta(minutes=1))
    html = shown("attention")
    assert html.index("no worker is alive") < html.index("1 dead letter waits for a person")
    assert "manage.py work --queue tested" in html


def test_deaths_that_rise_are_a_problem_and_others_a_notice() -> None:
    queue = make_queue()
    run(queue, started=timedelta(seconds=30), ended=timedelta(seconds=20), failed=8, dead=8)
    roll_up()
    assert deaths(clock.database_now()) == {queue.pk: (8, 0)}
    (one,) = found("rising")
    assert one.text == "8 jobs died in the last 5 minutes, 0 in the 5 before"
    assert one.action.url == "/dead-letters/causes/?queue=tested"


def test_a_pause_is_forgotten_after_an_hour() -> None:
    waiting_batch(5)
    pause_queue(name="tested", actor="maria", source="api", reason="moving house")
    assert [one.grade for one in found("paused")] == [Grade.NOTICE]
    Queue.objects.update(paused_at=timezone.now() - timedelta(hours=3))
    (one,) = found("paused")
    assert one.grade is Grade.WARNING
    assert one.text == "paused by maria for 3 hours, and 5 jobs wait in it"
    # A viewer is told, an operator is offered the way out.
    assert "/queues/tested/resume/" in shown("attention", operate=True)
    assert "/queues/tested/resume/" not in shown("attention")


def test_a_short_pause_that_holds_nobody_up_is_no_news() -> None:
    make_queue()
    pause_queue(name="tested", actor="maria", source="api", reason="moving house")
    assert found("paused") == []


def test_a_worker_that_fell_silent_is_named() -> None:
    make_queue()
    worker = a_worker(name="w-7", beat=timedelta(minutes=3))
    (one,) = found("silent")
    assert one.subject == "worker w-7"
    assert one.text.startswith("not heard of for 3 minutes")
    assert (one.action.url, one.action.operate) == (f"/workers/{worker.pk}/reclaim/", True)


def test_lost_runs_are_told_though_other_workers_go_on() -> None:
    queue, calm = make_queue(), make_queue("calm")
    a_worker()
    for state, minutes_ago in (("lost", 2), ("lost", 8), ("lost", 14), ("released", 1)):
        ended = run(queue, started=timedelta(minutes=minutes_ago + 1), ended=timedelta(minutes=minutes_ago))
        Run.objects.filter(pk=ended.pk).update(state=state)
    stopped = run(calm, started=timedelta(minutes=3), ended=timedelta(minutes=2))
    Run.objects.filter(pk=stopped.pk).update(state="released")
    roll_up()
    (one,) = found("lost")
    assert (one.subject, one.weight, one.grade.word) == ("queue tested", 2, "warning")
    assert one.text == ("2 runs were lost in the last 10 minutes: a worker died or was cut off; their jobs run again")
    assert (one.action.words, one.action.url) == ("See the runs", "/runs/?queue=tested&state=lost")
    assert "2 runs were lost" in shown("attention")


def test_a_batch_that_was_stopped_names_its_cause() -> None:
    first, second = ran_batch(die=1), waiting_batch(1, name="After it")
    now = timezone.now()
    second.links_before.create(before=first)
    Batch.objects.filter(pk=second.pk).update(
        state="cancelled", stop_reason="upstream", finished_at=now - timedelta(minutes=4), sealed_at=now
    )
    (one,) = found("upstream")
    assert one.subject == "batch After it"
    assert f"batch {first.pk} did not end as it should" in one.text
    assert one.action.url == f"/batches/{first.pk}/"


def test_the_overview_costs_no_more_queries_with_more_of_everything(django_assert_max_num_queries: Any) -> None:
    for number in range(6):
        ran_batch(succeed=1, die=1, queue=f"q-{number}")
    roll_up()
    with django_assert_max_num_queries(75):
        snapshot = Snapshot()
        for name in ("tiles", "attention", "throughput", "latency", "in-progress", "queues"):
            panels.render(panels.topic(name, "", False), snapshot)


# What is kept each minute ------------------------------------------------------------------------------------------


def test_the_control_worker_writes_how_everything_stands_once_a_minute() -> None:
    waiting_batch(7)
    a_worker()
    assert standing.note()
    row = Moment.objects.get()
    assert (row.waiting, row.workers, row.slots, row.dead) == (7, 1, 1, 0)
    assert standing.note() is False
    Moment.objects.update(minute=timezone.now() - moments.RETENTION - timedelta(days=1))
    assert standing.note()
    assert Moment.objects.count() == 1


def test_a_new_web_process_knows_the_last_quarter_of_an_hour() -> None:
    now = clock.database_now()
    for minutes, waiting in ((15, 90), (10, 40), (5, 10)):
        moments.write(now - timedelta(minutes=minutes), moments.Standing(waiting=waiting), [])
    waiting_batch(30)
    found = overview_panels.tiles(panels.Ask(Snapshot(history=History())))
    assert found["changes"]["waiting"] == "−60"
    heights = {point.split(",")[1] for point in found["sparks"]["waiting"].split()}
    assert len(heights) == 4


def test_a_short_memory_claims_no_change() -> None:
    waiting_batch(30)
    assert overview_panels.tiles(panels.Ask(Snapshot(history=History())))["changes"] == {}


def test_what_is_held_is_not_counted_as_due(viewer: Client) -> None:
    waiting_batch(4)
    held = waiting_batch(3, name="later")
    pause_batch(batch_id=held.pk, actor="maria", source="api")
    assert re.match(r"4 .*\+3 held", tile("waiting"))
    assert "4 jobs" in " ".join(re.sub(r"<[^>]+>", " ", viewer.get("/jobs/?state=waiting").content.decode()).split())


def test_the_list_of_what_is_not_announced_has_each_part() -> None:
    parent = enqueue_batch("tested.do", [{"n": 1}, {"n": 2}], queue=make_queue().name, name="parts", split=True)
    waiting_batch(1, name="announced")
    now = timezone.now()
    Batch.objects.exclude(name="announced").update(queued_at=None)
    Batch.objects.filter(name="announced").update(queued_at=now)
    pending = int(tile("pending").split()[0])
    listed = batch_lists.batch_page(batch_lists.BatchQuery(state="pending")).rows
    assert pending == len(listed) == Batch.objects.filter(queued_at=None).count()
    assert parent.pk in {row.id for row in listed} or pending == 1


def test_deeds_are_marked_on_the_charts() -> None:
    queue = make_queue()
    run(queue, started=timedelta(seconds=30), ended=timedelta(seconds=20), succeeded=5)
    pause_queue(name="tested", actor="maria", source="page", reason="moving <house>")
    html = shown("throughput", "15m")
    assert html.count('class="mark"') == 1
    assert "pause queue tested by maria: moving &lt;house&gt;" in html
    assert 'class="mark"' in shown("queue-flow", "tested 1h")
    assert 'class="mark"' not in shown("queue-flow", f"{make_queue('other').name} 1h")


# Findings that no queue tells by itself ----------------------------------------------------------------------------


def test_a_cause_is_new_while_no_older_letter_is_here() -> None:
    ran_batch(die=3)
    (one,) = found("cause")
    letter = DeadLetter.objects.first()
    assert letter is not None
    assert one.text.startswith("3 jobs died of it in queue tested, the first ")
    assert one.action.url == f"/causes/{letter.fingerprint}/" or letter.fingerprint in one.action.url
    DeadLetter.objects.filter(pk=letter.pk).update(died_at=timezone.now() - timedelta(hours=2))
    assert found("cause") == []


def test_a_cause_that_was_seen_before_came_back_and_is_not_new() -> None:
    batch = ran_batch(die=2)
    assert [one.subject for one in found("cause")] == ["new cause"]
    SeenCause.objects.update(first_at=timezone.now() - timedelta(days=3))
    operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="ann", source="api")
    assert found("cause") == []
    drain()
    (one,) = found("cause")
    assert one.subject == "cause came back"
    assert one.text.startswith("2 jobs died of it again in queue tested, the first ")
    assert "ago; it was first seen 3 days ago: " in one.text
    DeadLetter.objects.filter(pk=DeadLetter.objects.earliest("pk").pk).update(
        died_at=timezone.now() - timedelta(hours=2)
    )
    assert found("cause") == [], "it has not been away"


def test_a_queue_that_refuses_says_for_how_long() -> None:
    make_queue(enqueue_rate=2.0)
    waiting_batch(100)
    (one,) = found("refusing")
    assert one.text.startswith("refuses new jobs: its limit of 2 a second is reached, for 4")
    assert one.action.operate


def test_batches_left_paused_or_open_are_told_after_an_hour() -> None:
    paused, opened = waiting_batch(2, name="paused one"), waiting_batch(2, name="open one", open=True)
    pause_batch(batch_id=paused.pk, actor="maria", source="api")
    assert found("left") == []
    long_ago = timezone.now() - timedelta(hours=3)
    Batch.objects.filter(pk=paused.pk).update(paused_at=long_ago)
    Batch.objects.filter(pk=opened.pk).update(created_at=long_ago)
    assert {(one.subject, one.action.words) for one in found("left")} == {
        ("batch paused one", "Resume"),
        ("batch open one", "Seal"),
    }


def test_a_webhook_that_is_not_taken_is_told() -> None:
    values = {"events": ["batch.finished"], "salt": "s", "last_at": timezone.now()}
    Webhook.objects.create(name="good", url="https://example.org/a", last_status="204 in 3 ms", **values)
    Webhook.objects.create(name="bad", url="https://example.org/b", last_status="500 in 9 ms: oh", **values)
    (one,) = found("webhook")
    assert one.subject == "webhook bad"
    assert one.text.endswith("500 in 9 ms: oh")


def test_a_control_worker_that_is_not_heard_of_is_a_problem_without_workers() -> None:
    make_queue()
    now = clock.database_now()
    moments.write(now - timedelta(minutes=1), moments.Standing(), [["archive", "queue tested", "is behind"]])
    assert found("control") == []
    (one,) = found("archive")
    assert (one.subject, one.text, one.grade.word) == ("queue tested", "is behind", "warning")
    Moment.objects.update(minute=now - timedelta(minutes=10))
    (one,) = found("control")
    assert one.grade.word == "problem"
    a_worker()
    assert found("control")[0].grade.word == "warning"
