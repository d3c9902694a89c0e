"""Workers and runs: who is there, doing what, and what they can be told."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.panels import Ask, Gone, topic
from monitoring.rollup import roll_up
from monitoring.snapshot import Snapshot
from monitoring.worker_panels import worker_list
from queues.models import AuditEntry, Queue, Run, Worker
from queues.selectors import runs, timeline
from queues.services.enqueue import enqueue_batch
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import a_worker, run
from tests.queues.working import do, leased, make_queue

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=5)


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def page(client: Client, url: str, status: int = 200) -> str:
    response = client.get(url)
    assert response.status_code == status, url
    return response.content.decode()


def a_run(queue: Queue, worker: Worker | None = None, *, ago: float = 60, state: str = "done", **counts: Any) -> Run:
    """A run that ended so many seconds ago, or still runs since then."""
    ended = None if state == "running" else timedelta(seconds=ago)
    made = run(queue, started=timedelta(seconds=ago + 2), ended=ended, **counts)
    made.state, made.worker_id = state, worker.pk if worker else uuid.uuid4()
    made.save()
    return made


# Workers ---------------------------------------------------------------------------------------------------------


def test_without_workers_the_page_says_how_to_start_one(operator: Client) -> None:
    assert "manage.py work" in page(operator, "/workers/")
    assert "No run yet" in page(operator, "/runs/")


def test_each_worker_says_whether_it_lives_and_what_it_does(operator: Client) -> None:
    queue = make_queue()
    here, silent, gone = (
        a_worker(name="here"),
        a_worker(name="silent", beat=timedelta(seconds=30)),
        a_worker(name="gone", beat=LONG_AGO, version="0.9"),
    )
    a_worker(name="left", state="stopped", stopped_at=timezone.now())
    a_run(queue, here, state="running", claimed=40, succeeded=12, failed=1, retried=1)
    a_run(queue, here, ago=30, succeeded=90, dead=10, failed=10)
    a_run(queue, gone, ago=30, state="lost", claimed=5)
    found = worker_list(Ask(Snapshot(), operate=True))
    rows = {row.seen.name: row for row in found["rows"]}
    assert list(rows) == ["here", "silent", "gone"]
    assert [row.seen.health for row in rows.values()] == ["healthy", "silent", "dead"]
    assert [(one.run.ended, one.run.claimed) for one in rows["here"].doing] == [(13, 40)]
    # What runs counts with what has ended: 12 + 90 of 102 and 10 dead.
    assert rows["here"].seen.figures.success_rate == pytest.approx(102 / 112)
    assert (rows["here"].lost, rows["gone"].lost) == (0, 1)
    assert found["versions"] == ["0.9", "1.2.3"]
    shown = page(operator, "/workers/")
    for words in (
        "13 of 40 jobs",
        "1 silent",
        "1 dead",
        "Workers of different versions",
        f"/workers/{here.pk}/suspend/",
    ):
        assert words in shown
    assert f"/workers/{gone.pk}/reclaim/" in shown
    assert f"/workers/{silent.pk}/reclaim/" in shown
    assert f"/workers/{here.pk}/reclaim/" not in shown


def test_a_worker_in_full(operator: Client) -> None:
    queue = make_queue()
    worker = a_worker(name=HOSTILE[:150], queues=["tested"], late=3, processed=77)
    a_run(queue, worker, ago=30, succeeded=5)
    going = a_run(queue, worker, state="running", claimed=9)
    shown = page(operator, f"/workers/{worker.pk}/")
    assert "<script>alert" not in shown
    for words in (str(going.pk), "0 of 9 jobs ended", 'href="/queues/tested/"', "4711", "alpha", "77"):
        assert words in shown
    for deed in ("suspend", "stop"):
        assert f"/workers/{worker.pk}/{deed}/" in shown
    assert f"/workers/{worker.pk}/resume/" not in shown


def test_workers_are_filtered_by_host_and_by_what_they_take(operator: Client) -> None:
    make_queue()
    for name, host, queues in (("a", "alpha", []), ("b", "beta", ["tested"]), ("c", "beta", ["other"])):
        a_worker(name=name, host=host, queues=queues)

    def names(query: str) -> list[str]:
        found = worker_list(Ask(Snapshot(), topic("worker-list", query, False).subject))
        return [row.seen.name for row in found["rows"]]

    assert names("") == ["a", "b", "c"]
    assert names("host=beta&nonsense=1") == ["b", "c"]
    assert names("queue=tested") == ["a", "b"]
    assert names("host=gamma") == []
    html = page(operator, "/workers/?host=beta")
    assert 'href="?host=alpha"' in html
    assert "fits this filter" in page(operator, "/workers/?host=gamma")


def test_runs_that_were_lost_are_told_also_when_their_worker_is_gone(operator: Client) -> None:
    queue = make_queue()
    a_run(queue, state="released")
    assert "lost in the last 10 minutes:" not in page(operator, "/workers/")
    a_run(queue, state="lost")
    alone = page(operator, "/workers/")
    assert '<a href="/runs/?state=lost">1 run</a> was lost in the last 10 minutes' in alone
    a_run(queue, state="lost")
    a_run(queue, state="lost", ago=900)
    a_worker()
    assert '<a href="/runs/?state=lost">2 runs</a> were lost in the last 10 minutes' in page(operator, "/workers/")


def test_a_queue_with_work_and_no_worker_is_named(operator: Client) -> None:
    make_queue()
    enqueue_batch("tested.do", [{"n": 1}] * 4, queue="tested")
    a_worker(queues=["other"])
    assert "manage.py work --queue tested" in page(operator, "/workers/")
    a_worker(name="w-2")
    assert "manage.py work --queue tested" not in page(operator, "/workers/")


def test_a_run_that_takes_much_longer_than_usual_is_told() -> None:
    queue, worker = make_queue(), a_worker()
    for ago in (100, 200):
        a_run(queue, worker, ago=ago, succeeded=5)
    roll_up()
    a_run(queue, worker, ago=90, state="running", claimed=5)
    (row,) = worker_list(Ask(Snapshot()))["rows"]
    (one,) = row.doing
    assert one.usual == timedelta(seconds=2)
    assert one.long


def test_before_an_order_it_is_told_what_comes_back(operator: Client) -> None:
    queue, worker = make_queue(), a_worker()
    a_run(queue, worker, state="running", claimed=40, succeeded=12)
    html = page(operator, f"/workers/{worker.pk}/stop/")
    assert "It holds 1 run with 28 jobs that have not ended." in html
    assert f"manage.py workers stop {worker.pk}" in html


def test_an_unknown_worker_is_not_found(operator: Client) -> None:
    assert "There is no worker" in page(operator, f"/workers/{uuid.uuid4()}/", 404)
    assert "There is no worker" in page(operator, f"/workers/{uuid.uuid4()}/stop/", 404)
    with pytest.raises(Gone):
        topic("worker", "not-a-worker", True)


def test_a_viewer_is_offered_no_deed(signed_in: Callable[[str], Client]) -> None:
    worker = a_worker()
    viewer = signed_in("viewer")
    for url in ("/workers/", f"/workers/{worker.pk}/"):
        shown = page(viewer, url)
        for deed in ("suspend/", "resume/", "stop/", "reclaim/"):
            assert deed not in shown, (url, deed)


@pytest.mark.parametrize(
    ("deed", "state", "command"),
    [("suspend", "ready", "suspend"), ("resume", "suspended", "resume"), ("stop", "ready", "stop")],
)
def test_an_order_reaches_the_worker_with_its_reason(deed: str, state: str, command: str, operator: Client) -> None:
    worker = a_worker(state=state)
    url = f"/workers/{worker.pk}/{deed}/"
    assert worker.name in page(operator, url)
    answer = operator.post(url, {"reason": "disk full", "next": f"/workers/{worker.pk}/"})
    assert answer["Location"] == f"/workers/{worker.pk}/"
    worker.refresh_from_db()
    assert (worker.command, worker.commanded_by) == (command, "operator")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason, entry.source) == (f"{command} worker", "disk full", "page")
    assert f"told to {command} by operator" in page(operator, f"/workers/{worker.pk}/")


def test_an_order_that_makes_no_sense_is_refused_with_the_reason(operator: Client) -> None:
    worker = a_worker(name="w-9")
    answer = operator.post(f"/workers/{worker.pk}/resume/", {"next": "/workers/"}, follow=True)
    assert "worker w-9 is not suspended" in answer.content.decode()
    answer = operator.post(f"/workers/{worker.pk}/reclaim/", {"next": "/workers/"}, follow=True)
    assert "it lives; stop it, or force" in answer.content.decode()
    assert not AuditEntry.objects.exists()


def test_what_a_dead_worker_holds_is_taken_back(operator: Client) -> None:
    make_queue()
    enqueue_batch(do, [{}] * 3)
    with leased() as execution:
        worker = a_worker(id=execution.claim.worker_id, name="gone", beat=LONG_AGO)
        shown = page(operator, f"/workers/{worker.pk}/")
        assert "Reclaim what it holds" in shown
        answer = operator.post(f"/workers/{worker.pk}/reclaim/", {"next": "/workers/"}, follow=True)
        assert "runs taken back: 1" in answer.content.decode()
        assert Run.objects.get().state == "lost"


# Runs ------------------------------------------------------------------------------------------------------------


def test_runs_are_filtered_by_queue_worker_and_state(operator: Client) -> None:
    one, other = make_queue(), make_queue("other")
    worker = a_worker(name="w-7", started_at=timezone.now() - timedelta(hours=1))
    made = {
        "mine": a_run(one, worker, ago=10),
        "lost": a_run(one, worker, ago=20, state="lost"),
        "other": a_run(other, ago=30),
        "released": a_run(other, ago=40, state="released"),
        "running": a_run(one, worker, state="running", claimed=3),
    }
    expected = {
        "": {"mine", "lost", "other", "released", "running"},
        "queue=other": {"other", "released"},
        "worker=w-7": {"mine", "lost", "running"},
        f"worker={str(worker.pk)[:8]}": {"mine", "lost", "running"},
        "worker=nobody": set(),
        "state=lost": {"lost"},
        "state=running": {"running"},
        "state=done&queue=tested": {"mine"},
        "state=nonsense": set(),
        "queue=unknown": set(),
    }
    for query, names in expected.items():
        shown = page(operator, f"/runs/?{query}")
        assert {name for name, one in made.items() if f'id="run-{one.pk}"' in shown} == names, query
    assert "No run matches this filter" in page(operator, "/runs/?queue=unknown")


def test_runs_are_paged_without_a_gap_also_where_times_are_equal(operator: Client) -> None:
    queue, at = make_queue(), timezone.now()
    for number in range(120):
        a_run(queue, ago=number)
    Run.objects.filter(pk__in=list(Run.objects.values_list("pk", flat=True)[:90])).update(finished_at=at)
    whole = list(Run.objects.order_by("-finished_at", "-pk").values_list("pk", flat=True))
    first = runs.run_page(runs.RunQuery())
    second = runs.run_page(runs.RunQuery(), before=first.older)
    third = runs.run_page(runs.RunQuery(), before=second.older)
    seen = [row.id for found in (first, second, third) for row in found.rows]
    assert seen == whole
    assert (first.newer, third.older) == (None, None)
    back = runs.run_page(runs.RunQuery(), after=third.newer)
    assert [row.id for row in back.rows] == [row.id for row in second.rows]
    assert [row.id for row in runs.run_page(runs.RunQuery(), after=back.newer).rows] == whole[:50]
    assert 'rel="next"' in page(operator, "/runs/")


def test_a_rare_run_is_looked_for_in_bounded_steps(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make_queue()
    lost = a_run(queue, ago=500, state="lost")
    for number in range(25):
        a_run(queue, ago=number)
    real = timeline.page
    monkeypatch.setattr(timeline, "page", lambda *args, **options: real(*args, **{**options, "look": 10}))
    found, steps = runs.run_page(runs.RunQuery(state="lost")), 1
    assert (found.rows, found.looked) == ([], True)
    assert "look further back" in page(operator, "/runs/?state=lost")
    while found.older and not found.rows:
        found, steps = runs.run_page(runs.RunQuery(state="lost"), before=found.older), steps + 1
    assert [row.id for row in found.rows] == [lost.pk]
    assert steps == 3


def test_a_run_outlives_its_worker_and_queue_in_the_list(operator: Client) -> None:
    queue = make_queue("brief")
    gone = a_run(queue)
    queue.delete()
    row = runs.run_page(runs.RunQuery()).rows[0]
    assert (row.id, row.queue, row.worker) == (gone.pk, "", "")
    assert page(operator, "/runs/").count(">gone<") == 2
