"""One job, one cause and the upkeep of the archive, told as they were."""

from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client

from queues.models import ArchivedJob, AuditEntry, DeadLetter, Job, Queue
from queues.selectors import upkeep as reads
from queues.selectors.gone import gone
from queues.services import operate, upkeep
from queues.services.archive import archive
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.restore import restore
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return response.content.decode()


def _order(shown: str, *words: str) -> bool:
    places = [shown.index(word) for word in words]
    return places == sorted(places)


def test_a_deleted_job_was_enqueued_before_it_was_deleted(operator: Client) -> None:
    make_queue(max_attempts=1)
    enqueue_batch("tested.do", [{"die": 1}])
    drain()
    job = DeadLetter.objects.get().pk
    operate.start(action="delete_dead", selection={"job_ids": [job]}, actor="ann", source="page", reason="junk")
    shown = page(operator, f"/jobs/{job}/")
    assert _order(shown, "<p>enqueued", "try 1 failed: rejected", "deleted by ann: junk")
    assert "backing off" not in shown, "a job that is dead does not back off"


def test_a_restored_job_keeps_the_runs_of_its_first_life(operator: Client) -> None:
    make_queue()
    enqueue_batch("tested.do", [{}])
    drain()
    job = Job.objects.get().pk
    archive()
    restore(job_ids=[job], actor="ann", source="page")
    drain()
    shown = page(operator, f"/jobs/{job}/")
    assert _order(shown, "<p>enqueued", "in a run that ended", "restored from the archive by ann", "ran, and succeeded")


def test_waiting_and_backing_off_are_told_apart_and_the_same_error_is_named(operator: Client) -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    enqueue_batch("tested.do", [{"fail": 1}])
    drain()
    drain()
    shown = page(operator, f"/jobs/{DeadLetter.objects.get().pk}/")
    assert "the same as in try 1" in shown
    assert "frame of libraries" in shown or "frames of libraries" in shown, "the runner is not the project"
    assert "took " in shown


def test_a_death_is_told_also_after_somebody_has_retried_it(operator: Client) -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    enqueue_batch("tested.do", [{"fail": 1}])
    drain()
    drain()
    job = DeadLetter.objects.get().pk
    for died in (1, 2):
        operate.start(action="retry", selection={"job_ids": [job]}, actor="ann", source="page")
        shown = page(operator, f"/jobs/{job}/")
        assert (shown.count("dead: it waited for a person"), "dead: it waits" in shown) == (died, False)
        assert _order(shown, "try 2 failed", "dead: it waited", "retried by ann")
        drain()
        assert page(operator, f"/jobs/{job}/").count("dead: it waited") == died
        drain()
        shown = page(operator, f"/jobs/{job}/")
        assert (shown.count("dead: it waited"), shown.count("dead: it waits")) == (died, 1)
    operate.start(action="delete", selection={"job_ids": [job]}, actor="ann", source="page")
    assert page(operator, f"/jobs/{job}/").count("dead: it waited") == 3


def test_what_was_cancelled_or_pulled_forward_has_not_died(operator: Client) -> None:
    make_queue(max_attempts=3, backoff_base=600, jitter=0)
    enqueue_batch("tested.do", [{"fail": 1}])
    drain()
    job = Job.objects.get().pk
    operate.start(action="retry", selection={"job_ids": [job]}, actor="ann", source="page")
    drain()
    for action in ("cancel", "retry"):
        operate.start(action=action, selection={"job_ids": [job]}, actor="ann", source="page")
    shown = page(operator, f"/jobs/{job}/")
    assert _order(shown, "try 1 failed", "retried by ann", "try 2 failed", "cancelled by ann")
    assert "dead: it waited" not in shown


def test_what_can_be_said_of_a_job_that_is_gone(operator: Client) -> None:
    assert gone(5) == "no job 5: there are no jobs yet"
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"die": 1}, {}])
    drain()
    dead = DeadLetter.objects.get().pk
    operate.start(action="delete_dead", selection={"job_ids": [dead]}, actor="ann", source="page")
    operate.start(action="empty", selection={"job_ids": [dead]}, actor="eve", source="page", reason="for good")
    archive()
    ArchivedJob.objects.all().delete()
    Job.objects.all().delete()
    response = operator.get(f"/jobs/{dead}/")
    assert response.status_code == 404
    assert f"Job {dead} was removed by eve at" in response.content.decode()
    newest = enqueue("tested.do", {})
    assert newest is not None
    assert gone(dead + 1) == f"job {dead + 1} of batch {batch.pk} was purged when its time in the archive was over"
    assert gone(newest + 1) == f"no job {newest + 1} yet: the newest is {newest}"


def test_a_cause_tells_what_differs_where_it_strikes_and_offers_to_try_some_first(operator: Client) -> None:
    make_queue(max_attempts=1)
    enqueue_batch("tested.do", [{"die": f"u{n}@example.org on mx{n % 2}"} for n in range(12)])
    drain()
    cause = DeadLetter.objects.values_list("fingerprint", flat=True).distinct().get()
    shown = unescape(page(operator, f"/dead-letters/causes/{cause}/"))
    assert "What differs" in shown
    assert "asked to die:" in shown
    assert "mx0" in shown
    assert "Retry 10 first" in shown
    assert "workers that are gone" in shown, "the tests' worker has no row"
    link = shown.split('id="retry-some"')[1].split('href="')[1].split('"')[0]
    assert "Retry 10 dead letters" in operator.get(link).content.decode()


def test_upkeep_shows_its_last_runs_its_next_ones_and_who_says_how_long(operator: Client) -> None:
    make_queue()
    assert "Nothing has been archived or purged lately" in page(operator, "/archive/sizes/")
    enqueue_batch("tested.do", [{}, {}, {}])
    drain()
    upkeep.archive()
    ArchivedJob.objects.update(finished_at="2020-01-01T00:00:00Z")
    Queue.objects.update(purge_after=3_600.0)
    AuditEntry.objects.create(actor="ann", source="page", action="pause queue", target="tested")
    shown = page(operator, "/archive/sizes/")
    assert "3 jobs" in shown
    assert "system" in shown
    assert "would delete 3 jobs one by one" in shown
    assert "its policy, changed" in shown
    upkeep.purge_all(actor="ann", source="command")
    runs = reads.last_runs()
    assert [(run.action, run.actor) for run in runs] == [("purge", "ann"), ("archive jobs", "system")]
    assert runs[0].counts, "the jobs, or the partition in which nothing else was"
    assert runs[1].until is not None


def test_the_next_run_is_never_in_the_past() -> None:
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    from queues.selectors.clock import database_now

    now = database_now()
    minute = IntervalSchedule.objects.create(every=60, period="seconds")
    last = now - timedelta(seconds=150)
    PeriodicTask.objects.create(name="archive", task="queues.tasks.archive", interval=minute, last_run_at=last)
    assert reads.next_runs(now) == {"archive": last + timedelta(seconds=180)}


def test_a_deleted_single_job_says_nothing_that_it_does_not_know(operator: Client) -> None:
    make_queue()
    job = enqueue("tested.do", {})
    operate.start(action="delete", selection={"job_ids": [job]}, actor="ann", source="page")
    shown = page(operator, f"/jobs/{job}/")
    assert "<p>enqueued" not in shown
    assert "deleted by ann" in shown
