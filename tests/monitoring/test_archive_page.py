"""The archive: found by number, batch, queue, outcome and time; what it keeps; and jobs brought back from it."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.acting import MOST_PICKED
from queues.models import ArchivedJob, AuditEntry, DeadLetter, Job, Operation, Queue
from queues.selectors import archived_jobs
from queues.selectors.archived_jobs import ArchivedQuery, archived_page, archived_total
from queues.services import operate
from queues.services.archive import archive
from queues.services.enqueue import enqueue
from tests.monitoring.test_jobs import listed, page
from tests.monitoring.worlds import ran_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def world() -> tuple[int, int]:
    """Six jobs of a batch and one of another queue, archived, and one in the trash; the two batches."""
    make_queue(archive_dead_after=0, purge_after=86_400)
    first = ran_batch(succeed=5, die=2, name="First")
    second = ran_batch(succeed=1, queue="other", name="Second")
    letter = DeadLetter.objects.order_by("pk")[0]
    operate.start(action="delete_dead", selection={"job_ids": [letter.pk]}, actor="x", source="api")
    archive()
    return first.pk, second.pk


def test_an_empty_archive_says_when_jobs_come(operator: Client) -> None:
    make_queue(archive_after=7_200)
    for url in ("/archive/", "/archive/?within=all", "/archive/?queue=other"):
        shown = page(operator, url)
        assert "Nothing is archived yet" in shown
        assert "tested</a> after 2 h 00 min" in shown
        assert "manage.py archive" in shown
    assert "Nothing is archived yet" in page(operator, "/archive/sizes/")


def test_a_list_that_a_filter_empties_says_what_to_drop(operator: Client) -> None:
    world()
    shown = page(operator, "/archive/?queue=nowhere&outcome=dead&within=all")
    assert "No archived job matches this filter" in shown
    assert 'href="?outcome=dead&amp;within=all"' in shown
    assert "Nothing is archived yet" not in shown
    assert "ended within the last 7 days" in page(operator, "/archive/?queue=nowhere")


def test_what_is_typed_into_the_search_is_the_filter(operator: Client) -> None:
    _first, second = world()
    job = ArchivedJob.objects.filter(batch_id=second).get().pk
    assert operator.get(f"/archive/?q={job}")["Location"] == f"/jobs/{job}/"
    found = operator.get("/archive/?q=queue:other+since:20d+outcome:succeeded")["Location"]
    assert found == "/archive/?queue=other&outcome=succeeded&within=20d"
    assert listed(operator, found) == [job]
    assert 'value="queue:other outcome:succeeded within:20d"' in page(operator, found)
    assert "This list is not searched for words" in page(operator, "/archive/?q=disk")
    assert "To: write so long ago" in page(operator, "/archive/?until=never")


def test_the_archive_is_searched_by_each_of_its_filters(operator: Client) -> None:
    first, second = world()
    everything = set(ArchivedJob.objects.values_list("pk", flat=True))
    assert set(listed(operator, "/archive/")) == everything
    assert listed(operator, f"/archive/?batch={first}") == sorted(
        ArchivedJob.objects.filter(batch_id=first).values_list("pk", flat=True)
    )
    assert listed(operator, "/archive/?queue=other") == list(
        ArchivedJob.objects.filter(batch_id=second).values_list("pk", flat=True)
    )
    for outcome in ("succeeded", "dead", "deleted", "cancelled"):
        expected = set(ArchivedJob.objects.filter(outcome=outcome).values_list("pk", flat=True))
        assert set(listed(operator, f"/archive/?outcome={outcome}")) == expected
    job = min(everything)
    assert operator.get(f"/archive/?id={job}")["Location"] == f"/jobs/{job}/"


def test_the_archive_is_searched_by_handler_and_payload(operator: Client) -> None:
    first, second = world()
    four = ArchivedJob.objects.filter(batch_id=first).order_by("pk")[4]
    other = ArchivedJob.objects.get(batch_id=second)
    ArchivedJob.objects.filter(pk=other.pk).update(handler="shop.send")
    assert listed(operator, "/archive/?handler=shop.send") == [other.pk]
    assert listed(operator, "/archive/?payload=n%3D4") == [four.pk]
    assert listed(operator, f"/archive/?payload=n%3D4&batch={first}") == [four.pk]
    assert set(listed(operator, "/archive/?payload=n%3D0")) == {four.pk - 4, other.pk}
    assert listed(operator, "/archive/?payload=n%3D0&handler=shop.send") == [other.pk]
    assert listed(operator, "/archive/?payload=n%3D0&until=2001-01-01&within=all") == []
    typed = operator.get("/archive/?q=handler:shop.send+n%3D0+outcome:succeeded")["Location"]
    assert typed == "/archive/?outcome=succeeded&handler=shop.send&payload=n%3D0"
    shown = page(operator, typed)
    assert 'value="outcome:succeeded handler:shop.send n=0"' in shown
    assert 'name="payload" value="n=0"' in shown and '<details class="more-filters" open>' in shown
    # What an operation knows can be restored at once; the page says what it does not.
    assert "To restore all that match, drop payload" in shown
    all_of_it = page(operator, "/archive/?handler=shop.send&outcome=succeeded")
    assert 'name="handler" value="shop.send"' in all_of_it.split('id="archived"')[1]
    asked = page(operator, "/operations/new/unarchive/?all=1&state=archived&handler=shop.send&since=7d")
    assert "Restore 1 archived job of handler shop.send" in asked
    assert "Payload: write key=value" in page(operator, "/archive/?payload=oops")


def test_a_rare_payload_is_looked_for_in_bounded_steps(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ran_batch(succeed=20)
    archive()
    monkeypatch.setattr(archived_jobs, "AT_ONCE", 3)
    monkeypatch.setattr(archived_jobs, "SEARCHED", 6)
    wanted = ArchivedJob.objects.order_by("finished_at", "pk")[1].pk
    number = json.loads(ArchivedJob.objects.get(pk=wanted).payload)["n"]
    query, place, pages = ArchivedQuery(payload=("n", str(number))), None, []
    while True:
        found = archived_page(query, before=place)
        pages.append(found)
        assert found.looked <= 6
        if found.older is None:
            break
        place = found.older
    assert [row.id for found in pages for row in found.rows] == [wanted]
    assert [found.stopped for found in pages] == [True, True, True, False]
    back = archived_page(query, after=pages[-1].newer)
    assert (back.rows, back.stopped) == ([], True)
    assert archived_total(query) is None
    shown = page(operator, f"/archive/?payload=n%3D{number}")
    assert "None among the 6 jobs that were looked at so far" in shown
    further = unescape(re.findall(r'href="(\?[^"]*)">Look further', shown)[0])
    assert "None among the 6" in page(operator, f"/archive/{further}")


def test_the_time_of_the_search_is_bounded_and_says_so(operator: Client) -> None:
    world()
    ArchivedJob.objects.filter(queue__name="other").update(finished_at=timezone.now() - timedelta(days=20))
    assert '<option value="7d" selected>the last 7 days</option>' in page(operator, "/archive/")
    assert listed(operator, "/archive/?queue=other") == []
    assert "Search all times" in page(operator, "/archive/?queue=other")
    assert len(listed(operator, "/archive/?queue=other&within=30d")) == 1
    assert len(listed(operator, "/archive/?queue=other&within=all")) == 1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_of_the_archive_join_in_both_directions(size: int) -> None:
    first, _second = world()
    # Ends that differ and ends that are the same.
    for number, job in enumerate(ArchivedJob.objects.order_by("pk")):
        ArchivedJob.objects.filter(pk=job.pk).update(finished_at=timezone.now() - timedelta(minutes=number // 2))
    for query in (ArchivedQuery(), ArchivedQuery(batch=first), ArchivedQuery(queue="tested")):
        whole = [row.id for row in archived_page(query).rows]
        assert len(whole) == archived_total(query)
        pages, place = [], None
        while True:
            found = archived_page(query, before=place, size=size)
            pages.append(found)
            if found.older is None:
                break
            place = found.older
        assert [row.id for found in pages for row in found.rows] == whole
        for number in range(len(pages) - 1, 0, -1):
            back = archived_page(query, after=pages[number].newer, size=size)
            assert back.rows == pages[number - 1].rows


def test_sizes_retention_and_a_dry_run_are_told(operator: Client) -> None:
    world()
    shown = page(operator, "/archive/sizes/")
    assert "no single job is past its retention" in shown
    assert "1 d 00 h" in shown
    rows = re.findall(r'outcome=(\w+)&amp;within=all">(\w+)</a>.*?<td class="num" data-label="jobs">(\d+)</td>', shown)
    assert ("succeeded", "tested", "5") in rows
    assert ("succeeded", "other", "1") in rows
    Queue.objects.filter(name="other").update(purge_after=0)
    # Kept less long than what the longest keeps: these go one by one.
    ArchivedJob.objects.filter(queue__name="other").update(finished_at=timezone.now() - timedelta(hours=2))
    assert "would delete 1 succeeded of other" in page(operator, "/archive/sizes/")
    assert ArchivedJob.objects.filter(queue__name="other").exists()


def test_what_is_due_for_the_archive_is_told_before_it_goes(operator: Client) -> None:
    ran_batch(succeed=3)
    assert "would move 3 jobs of tested" in page(operator, "/archive/sizes/")
    assert Job.objects.count() == 3


def test_a_partition_past_all_retentions_would_be_dropped(operator: Client) -> None:
    world()
    Queue.objects.update(purge_after=60)
    ArchivedJob.objects.update(finished_at=timezone.now() - timedelta(days=400))
    assert "would drop 1 partition" in page(operator, "/archive/sizes/")
    assert ArchivedJob.objects.exists()


def test_picked_jobs_are_restored_after_a_question(operator: Client) -> None:
    world()
    one, two = ArchivedJob.objects.filter(outcome="succeeded", queue__name="tested").values_list("pk", flat=True)[:2]
    asked = page(operator, f"/archive/restore/?job={one}&job={two}&job=999999999")
    assert "Restore 2 archived jobs?" in asked
    assert "<b>1</b> not: no longer in the archive" in asked
    assert f"archived jobs {one}, {two}, 999999999" in asked
    assert f"manage.py operate unarchive --job {one} --job {two} --job 999999999</pre>" in asked
    assert "also those that had succeeded" in asked
    done = operator.post(
        "/archive/restore/", {"job": [one, two], "reason": "lost mails", "next": "/archive/"}, follow=True
    )
    assert "2 restored." in done.content.decode()
    operation = Operation.objects.get(action="unarchive")
    assert (operation.state, operation.outcomes) == ("done", {"restored": 2})
    assert set(Job.objects.filter(chunk__state="ready").values_list("pk", flat=True)) == {one, two}
    entry = AuditEntry.objects.get(action="restore archived jobs")
    assert (entry.reason, entry.target, entry.outcome["operation"]) == ("lost mails", "2 jobs", operation.pk)
    again = operator.post("/archive/restore/", {"job": one}, follow=True)
    assert "no job matches" in again.content.decode()
    assert Operation.objects.filter(action="unarchive").count() == 1


def test_a_refused_restore_says_why(operator: Client) -> None:
    make_queue("other")
    enqueue("tested.do", {}, queue="other")
    drain("other")
    archive()
    job = ArchivedJob.objects.get().pk
    ArchivedJob.objects.update(batch_id=999_999)
    done = operator.post("/archive/restore/", {"job": job}, follow=True)
    assert "0 restored, 1 not: its batch is not there any more." in done.content.decode()
    assert ArchivedJob.objects.filter(pk=job).exists()


def test_more_jobs_picked_than_can_be_are_refused_not_cut(operator: Client) -> None:
    asked = operator.post("/archive/restore/", {"job": range(1, MOST_PICKED + 2)}, follow=True)
    assert f"job: {MOST_PICKED + 1} are picked, and at most {MOST_PICKED} can be at once" in asked.content.decode()


def test_no_archived_job_is_picked(operator: Client) -> None:
    assert operator.get("/archive/restore/")["Location"] == "/archive/"
