"""The pages of jobs: the list and its filters, one job in full, and what can be done from there."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from monitoring import job_filters, job_page, panels
from monitoring.snapshot import Snapshot
from queues.domain.states import JobState
from queues.models import Attempt, AuditEntry, Chunk, DeadLetter, Job, JobResult, Queue
from queues.selectors import job_totals
from queues.services import operate
from queues.services.archive import archive
from queues.services.enqueue import enqueue_batch
from queues.services.restore import restore
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import assert_harmless, ran_batch, waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db
ROW = re.compile(r'data-row id="job-(\d+)"')


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return response.content.decode()


def listed(client: Client, url: str) -> list[int]:
    return [int(number) for number in ROW.findall(page(client, url))]


def test_an_empty_list_says_what_to_do_next(operator: Client) -> None:
    assert "manage.py demo" in page(operator, "/jobs/")
    assert "No job matches this filter" in page(operator, "/jobs/?state=dead")
    assert "/archive/" in page(operator, "/jobs/?state=succeeded")


def test_the_list_shows_what_a_job_is_and_what_went_wrong(operator: Client) -> None:
    batch = ran_batch(succeed=2, die=1)
    shown = page(operator, "/jobs/")
    dead = DeadLetter.objects.get()
    assert set(map(int, ROW.findall(shown))) == set(Job.objects.values_list("pk", flat=True))
    assert "asked to die: 0" in shown
    assert ">1/3<" in shown
    assert "3 jobs, newest first" in shown
    assert f"?batch={batch.pk}" in shown
    assert listed(operator, "/jobs/?state=dead") == [dead.pk]
    assert listed(operator, f"/jobs/?batch={batch.pk}&state=succeeded") == sorted(
        Job.objects.exclude(pk=dead.pk).values_list("pk", flat=True)
    )


def test_filters_of_the_address_are_in_the_form_and_in_every_link(operator: Client) -> None:
    batch = waiting_batch(60)
    url = f"/jobs/?state=waiting&queue=tested&batch={batch.pk}&since=2h&handler=tested.do"
    shown = page(operator, url)
    assert "<option selected>tested</option>" in shown
    assert f'name="batch" value="{batch.pk}"' in shown
    assert 'name="since" value="2h"' in shown
    older = unescape(re.findall(r'rel="next"[^>]*href="([^"]*)"', shown.replace('class="button" ', ""))[0])
    for part in ("state=waiting", "queue=tested", f"batch={batch.pk}", "since=2h", "handler=tested.do", "before="):
        assert part in older
    rest = listed(operator, "/jobs/" + older)
    assert len(rest) == 10
    assert not set(rest) & set(listed(operator, url))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("state=blue", "there is no blue"),
        ("batch=x", "x is not a number"),
        ("since=yesterday", "From: write so long ago"),
        ("until=2026-13-01", "To: write so long ago"),
        ("payload=novalue", "write key=value"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_named(operator: Client, query: str, says: str) -> None:
    waiting_batch(1)
    shown = page(operator, f"/jobs/?{query}")
    assert says in shown
    assert not ROW.search(shown)


def test_a_search_that_would_read_too_much_says_how_to_narrow(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = waiting_batch(3)
    monkeypatch.setattr(job_totals, "SEARCHED", 2)
    assert "choose a batch" in page(operator, "/jobs/?payload=n%3D1")
    assert len(listed(operator, f"/jobs/?payload=n%3D1&batch={batch.pk}")) == 1


def test_the_search_jumps_to_a_number_and_filters_by_anything_else(operator: Client) -> None:
    batch = ran_batch(succeed=1)
    job = Job.objects.get().pk
    assert operator.get(f"/jobs/?q={job}")["Location"] == f"/jobs/{job}/"
    assert operator.get(f"/jobs/?q={batch.pk}")["Location"] in (f"/batches/{batch.pk}/", f"/jobs/{batch.pk}/")
    assert operator.get("/jobs/?q=a.b%3D4&state=dead")["Location"] == "/jobs/?state=dead&payload=a.b%3D4"
    assert operator.get("/jobs/?q=disk+full")["Location"] == "/jobs/?error=disk+full"
    response = operator.get("/jobs/?q=999999999", follow=True)
    assert "no job or batch 999999999" in response.content.decode()
    archive()
    assert operator.get(f"/jobs/?q={job}")["Location"] == f"/jobs/{job}/"


def test_one_job_tells_its_history_with_numbers_as_they_were_given(operator: Client) -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    big = 12345678901234567890123
    enqueue_batch("tested.do", [{"fail": "slowly", "id": big}], name="Payments")
    drain()
    drain()
    job = DeadLetter.objects.get().pk
    shown = page(operator, f"/jobs/{job}/")
    assert str(big) in shown
    assert "Payments" in shown
    order = [shown.index(text) for text in ("enqueued", "try 1 failed: error", "try 2 failed: error", "dead: it waits")]
    assert order == sorted(order)
    assert shown.count("Traceback of try") == 2
    for run in Attempt.objects.values_list("run_id", flat=True):
        assert f"run {run}" in shown
    download = operator.get(f"/jobs/{job}/payload.json")
    assert str(big) in download.content.decode()
    assert download["Content-Disposition"] == f'attachment; filename="job-{job}.json"'
    operate.start(action="retry", selection={"job_ids": [job]}, actor="maria", source="api", reason="disk is back")
    again = page(operator, f"/jobs/{job}/")
    assert "retried by maria: disk is back" in again
    assert "waiting" in again


def test_a_job_that_backs_off_says_until_when(operator: Client) -> None:
    make_queue(max_attempts=3, backoff_base=500, jitter=0)
    enqueue_batch("tested.do", [{"fail": 1}])
    drain()
    job = Job.objects.get()
    shown = page(operator, f"/jobs/{job.pk}/")
    due = Chunk.objects.get(pk=job.chunk_id).run_at
    assert "backed off until then" in shown
    assert due.strftime("%Y-%m-%d %H:%M:%S") in shown


def test_a_result_is_shown_as_long_as_it_is_kept(operator: Client) -> None:
    make_queue(keep_results=60)
    enqueue_batch("tested.do", [{"value": {"sum": 98765432109876543210}}])
    drain()
    job = Job.objects.get().pk
    assert JobResult.objects.filter(pk=job).exists()
    assert "98765432109876543210" in page(operator, f"/jobs/{job}/")
    assert operator.get(f"/jobs/{job}/result.json").content == b'{"sum":98765432109876543210}'


def test_an_archived_job_is_at_the_same_address(operator: Client) -> None:
    ran_batch(succeed=1)
    job = Job.objects.get().pk
    archive()
    assert not Job.objects.exists()
    shown = page(operator, f"/jobs/{job}/")
    assert "in the archive" in shown
    assert "ran, and succeeded" in shown
    assert "moved to the archive" in shown
    assert f"/archive/restore/?job={job}" in shown
    assert named_impossible(shown) == {"Retry", "Cancel", "Delete", "Priority", "Move"}
    assert shown.count("not possible: it is in the archive: restore it first") == 1
    assert '"n"' in unescape(page(operator, f"/jobs/{job}/"))
    restore(job_ids=[job], actor="maria", source="api", reason="again")
    assert "restored from the archive by maria: again" in page(operator, f"/jobs/{job}/")


def test_a_job_that_is_nowhere_is_a_page_that_helps(operator: Client) -> None:
    response = operator.get("/jobs/999999999/")
    assert response.status_code == 404
    assert "there are no jobs yet" in response.content.decode()
    assert "/archive/" in response.content.decode()
    assert operator.get("/jobs/999999999/payload.json").status_code == 404


def test_the_next_and_the_previous_job_are_those_of_the_list(operator: Client) -> None:
    batch = waiting_batch(3)
    ids = sorted(Job.objects.values_list("pk", flat=True))
    shown = page(operator, f"/jobs/?batch={batch.pk}")
    link = unescape(re.findall(rf'href="(/jobs/{ids[1]}/\?in=[^"]*)"', shown)[0])
    job = page(operator, link)
    following = unescape(re.findall(r'href="([^"]*)" data-next', job)[0])
    assert following.startswith(f"/jobs/{ids[2]}/")
    assert re.findall(r'href="([^"]*)" data-previous', job)[0].startswith(f"/jobs/{ids[0]}/")
    last = page(operator, following)
    assert "data-next" not in last
    assert f'href="/jobs/?batch={batch.pk}#job-{ids[2]}"' in last


def named_impossible(shown: str) -> set[str]:
    """The actions of which a page says that they are not possible, those with one reason together."""
    rows = re.findall(r'<div class="not-possible"><dt>([^<]+)</dt>', shown)
    return {verb for row in rows for verb in row.split(", ")}


@pytest.mark.parametrize(
    ("state", "possible"),
    [
        (JobState.WAITING, {"cancel", "delete", "priority", "queue"}),
        (JobState.DEAD, {"retry", "delete"}),
        (JobState.SUCCEEDED, set()),
    ],
)
def test_what_is_not_possible_says_why(operator: Client, state: JobState, possible: set[str]) -> None:
    ran_batch(succeed=1, die=1)
    waiting_batch(1)
    job = listed(operator, f"/jobs/?state={state}")[0]
    shown = page(operator, f"/jobs/{job}/")
    for action in ("retry", "cancel", "delete", "restore", "priority", "queue"):
        assert (f'id="{action}"' in shown) is (action in possible), action
    assert len(named_impossible(shown)) == 6 - len(possible)
    assert ("not possible: it is not in the trash" in shown) is True


def test_a_waiting_job_is_cancelled_and_a_selection_says_what_is_left_out(operator: Client) -> None:
    ran_batch(die=1)
    waiting_batch(2)
    dead = DeadLetter.objects.get().pk
    first, second = listed(operator, "/jobs/?state=waiting")
    asked = page(operator, f"/operations/new/cancel/?job={first}&job={dead}")
    assert "Cancel 1 job?" in asked
    assert "it is a dead letter" in asked
    done = operator.post(
        "/operations/new/cancel/", {"job": [first, dead], "reason": "mistake", "next": "/jobs/"}, follow=True
    )
    assert "1 cancelled, 1 no longer possible" in done.content.decode()
    assert listed(operator, "/jobs/?state=cancelled") == [first]
    assert listed(operator, "/jobs/?state=waiting") == [second]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.source, entry.reason) == ("operator", "page", "mistake")


def test_a_viewer_is_offered_no_deed_on_jobs(signed_in: Callable[[str], Client]) -> None:
    ran_batch(die=1)
    job = Job.objects.get().pk
    viewer = signed_in("viewer")
    for url in ("/jobs/", "/jobs/?state=dead", f"/jobs/{job}/", "/archive/", "/archive/sizes/"):
        shown = page(viewer, url)
        assert "/operations/new/" not in shown
        assert "/archive/restore/" not in shown
    assert viewer.post("/operations/new/retry/", {"job": job}).status_code == 403


def test_all_of_a_filter_can_be_meant_where_an_operation_understands_it(operator: Client) -> None:
    batch = ran_batch(die=2)
    waiting_batch(2)
    shown = page(operator, f"/jobs/?state=dead&batch={batch.pk}&error=die&since=2h")
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown.split('id="jobs"')[1]))
    del hidden["next"]
    assert hidden == {"state": "dead", "batch": str(batch.pk), "text": "die", "since": "2h"}
    asked = page(operator, f"/operations/new/retry/?all=1&{urlencode(hidden)}")
    assert "Retry 2 dead letters" in asked
    assert f"every dead letter of batch {batch.pk} with the text die of the last 2h, as of" in asked
    assert "Retry 0" in page(operator, f"/operations/new/retry/?all=1&{urlencode(hidden | {'since': '2999-01-01'})}")
    assert "all 2 that match" in page(operator, "/jobs/?state=waiting")
    # What an operation does not know as a filter must not be left out by it.
    for url, why in {
        "/jobs/": "choose a state",
        "/jobs/?state=waiting&payload=n%3D1&since=2h": "drop payload",
        "/jobs/?state=dead&payload=die%3D1&until=2999-01-01": "drop payload",
        "/jobs/?state=succeeded": "",
    }.items():
        shown = page(operator, url)
        assert "data-everything" not in shown
        assert why in shown


def test_the_panels_of_a_job_share_one_reading(operator: Client, django_assert_max_num_queries: Any) -> None:
    ran_batch(die=1)
    job = DeadLetter.objects.get().pk
    snapshot = Snapshot()
    wanted = [panels.topic(name, str(job), True) for name in job_page.NAMES]
    with django_assert_max_num_queries(30):
        shown = [panels.render(one, snapshot, pushed=True) for one in wanted]
    head, error, history, tried, about = shown
    assert f'href="/operations/new/retry/?job={job}&amp;next=/jobs/{job}/"' in head
    assert "asked to die: 0" in error and "1 with this cause" in error
    assert "dead: it waits for a person" in history and '<span class="try-number">1</span>' in tried
    assert "not possible: it is a dead letter" in about
    looking = panels.render(panels.topic("job-head", str(job), False), snapshot)
    assert "/operations/new/" not in looking and "dead" in looking
    operate.start(action="delete", selection={"job_ids": [job]}, actor="ann", source="api")
    gone = [panels.render(one, Snapshot(), pushed=True) for one in wanted]
    assert "message" not in gone[1] and "deleted by ann" in gone[2] and 'id="restore"' in gone[0]
    for subject in ("", "x", "1 2", "999999999"):
        assert operator.get("/panels/job-head/", {"subject": subject}).status_code == 404


def test_what_was_not_started_is_a_list_with_its_deeds(operator: Client) -> None:
    ran_batch(succeed=1)
    batch = waiting_batch(3)
    assert len(listed(operator, f"/jobs/?state=pending&batch={batch.pk}")) == 3
    assert "all 3 that match" in page(operator, "/jobs/?state=pending")
    offered = set(re.findall(r'data-deed="(\w+)"', page(operator, "/jobs/?state=pending")))
    assert offered == {"cancel", "delete", "priority", "queue"}
    assert "Cancel 3 waiting jobs" in page(operator, f"/operations/new/cancel/?all=1&state=pending&batch={batch.pk}")
    # The number on the page of the batch leads to the jobs that it counts; so do the cells of its chunks.
    progress = page(operator, f"/batches/{batch.pk}/")
    where = f"/jobs/?batch={batch.pk}&amp;state=pending"
    assert f'href="{where}">3</a>' in progress
    assert progress.count(where) == 2
    assert len(listed(operator, where.replace("&amp;", "&"))) == 3


def test_an_error_alone_finds_what_has_it_now_and_says_so(operator: Client) -> None:
    ran_batch(succeed=1, die=2)
    shown = page(operator, "/jobs/?error=die")
    assert "that have this error now: dead letters, latest death first" in shown
    assert len(listed(operator, "/jobs/?error=die")) == 2
    assert "Choose a state or a batch" in page(operator, "/jobs/?error=nothing+like+it")


def test_all_of_a_span_of_time_can_be_meant(operator: Client) -> None:
    waiting_batch(2)
    Chunk.objects.update(run_at=timezone.now() - timedelta(hours=3))
    waiting_batch(3)
    late, early = ("/jobs/?state=waiting&since=2h", 3), ("/jobs/?state=waiting&until=2h", 2)
    for url, count in (late, early):
        shown = page(operator, url)
        assert (len(listed(operator, url)), f"all {count} that match" in shown) == (count, True)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown.split('id="jobs"')[1]))
        asked = page(operator, f"/operations/new/cancel/?all=1&{urlencode(hidden)}")
        assert f"Cancel {count} waiting jobs" in asked
        assert f"--{'since' if count == 3 else 'before'} 20" in asked
    assert "waiting jobs before 2h" in asked
    form = dict(re.findall(r'name="(all|state|before|until|top|shown)" value="([^"]*)"', asked))
    operator.post("/operations/new/cancel/", form)
    assert len(listed(operator, "/jobs/?state=waiting")) == 3
    wrong = operator.get("/operations/new/cancel/?all=1&state=waiting&before=yesterday", follow=True)
    assert "To: write so long ago" in wrong.content.decode()


def test_the_three_ways_to_be_empty_differ(operator: Client) -> None:
    assert "No job yet" in page(operator, "/jobs/")
    filtered = page(operator, "/jobs/?state=dead&queue=tested")
    assert "No job matches this filter" in filtered
    assert 'href="?state=dead"' in filtered
    ran_batch(succeed=1)
    archive()
    assert "All jobs have ended and are in the" in page(operator, "/jobs/")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ('queue:mail state:dead batch:12 error:"disk full"', "state=dead&queue=mail&batch=12&error=disk+full"),
        ("handler:shop.send user.id=42 since:2h", "handler=shop.send&payload=user.id%3D42&since=2h"),
        ("args.user.id=42 until:2026-01-31", "payload=user.id%3D42&until=2026-01-31"),
        ('user.name="Ada L"', "payload=user.name%3DAda+L"),
        ("connection reset state:retrying", "state=retrying&error=connection+reset"),
    ],
)
def test_text_form_and_address_are_one_filter(operator: Client, text: str, address: str) -> None:
    assert operator.get("/jobs/", {"q": text})["Location"] == f"/jobs/?{address}"
    shown = page(operator, f"/jobs/?{address}")
    again = unescape(shown.split('class="jump"')[1].split('name="q" value="')[1].split('"')[0])
    assert operator.get("/jobs/", {"q": again})["Location"] == f"/jobs/?{address}"


@pytest.mark.parametrize(
    ("text", "part", "says"),
    [
        ("queue:mail foo:bar", "foo:bar", "knows no foo:"),
        ("-state:dead", "-state:dead", "there is no not"),
        ("a OR b", "OR", "no or"),
        ("attempts>3", "attempts&gt;3", "no comparisons"),
        ('error:"open', "&quot;open", "not closed"),
        ("queue:a queue:b", "queue:b", "said twice"),
        ("state:", "state:", "value is missing"),
    ],
)
def test_what_a_search_does_not_understand_is_named(operator: Client, text: str, part: str, says: str) -> None:
    waiting_batch(1)
    response = operator.get("/jobs/", {"q": text, "batch": "1"})
    shown = response.content.decode()
    assert f"<mark>{part}</mark>" in shown
    assert says in shown
    assert not ROW.search(shown)
    assert 'value="1"' in shown


def test_hostile_text_is_harmless_in_jobs(operator: Client) -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"fail": HOSTILE, HOSTILE[:60]: 1}], name=HOSTILE[:80])
    drain()
    Attempt.objects.update(message=HOSTILE, traceback=HOSTILE, error_class=HOSTILE[:90])
    DeadLetter.objects.update(message=HOSTILE, error_class=HOSTILE[:90])
    Queue.objects.update(pause_reason=HOSTILE[:90])
    job = Job.objects.get().pk
    pages = (
        "/jobs/",
        f"/jobs/?error={HOSTILE[:60]}&queue={HOSTILE[:40]}&handler={HOSTILE[:40]}",
        f"/jobs/?batch={batch.pk}&payload={HOSTILE[:60]}",
        f"/jobs/?state={HOSTILE[:60]}",
        f"/jobs/{job}/?in={HOSTILE[:60]}&at=1-1-1",
        f"/operations/new/retry/?job={job}&next={HOSTILE[:60]}",
        f"/archive/?queue={HOSTILE[:40]}&outcome={HOSTILE[:40]}&within={HOSTILE[:20]}",
    )
    for url in pages:
        shown = page(operator, url)
        assert_harmless(shown, url)


@pytest.mark.parametrize(
    "url",
    [
        "/jobs/?before=x&after=9999999999999999999-9999999999999999999-9999999999999999999",
        "/jobs/?state=dead&before=9223372036854775807-0-9223372036854775807",
        "/jobs/?before=9223372036854775807-9223372036854775807-9223372036854775807",
        "/jobs/?state=waiting&after=0-0-0",
        "/jobs/?state=running&before=0-0-0",
        "/jobs/?state=trashed&after=9223372036854775807-1-1",
        "/jobs/?batch=0",
        "/jobs/?since=99999d&until=0001-01-01",
        "/jobs/?payload=%22%3D%22&batch=1&error=%25_",
        "/archive/?before=9223372036854775807-9223372036854775807&batch=999999999999999999",
        "/archive/?after=0-0&within=99999d",
    ],
)
def test_addresses_made_up_by_hand_are_answered(operator: Client, url: str) -> None:
    waiting_batch(2)
    page(operator, url)


def test_a_list_tells_what_is_newer_than_its_top(operator: Client) -> None:
    ran_batch(die=1)
    shown = page(operator, "/jobs/?state=dead")
    top = shown.split('data-top="')[1].split('"')[0]
    ran_batch(die=2)
    news = page(operator, "/panels/job-news/?subject=state%3Ddead")
    keys = news.split('value="')[1].split('"')[0].split()
    assert len([key for key in keys if key > top]) == 2
    assert "data-top" not in page(operator, "/jobs/?state=waiting")


def test_a_time_is_so_long_ago_or_a_date() -> None:
    now = timezone.now()
    two_hours = job_filters.moment("2h", "From")
    assert two_hours is not None
    assert abs(now - timedelta(hours=2) - two_hours) < timedelta(minutes=1)
    assert str(job_filters.moment("2026-01-31 14:00", "From")) == "2026-01-31 14:00:00+00:00"
    assert str(job_filters.moment("2026-01-31T14:00+02:00", "From")) == "2026-01-31 12:00:00+00:00"
    assert settings.USE_TZ
