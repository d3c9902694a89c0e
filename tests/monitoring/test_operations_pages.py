"""Operations, the trash and the causes of death, as the pages show them and act on them."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from monitoring import acting, panels
from monitoring.snapshot import Snapshot
from monitoring.views import confirm
from queues.domain.operating import Action
from queues.models import AuditEntry, Chunk, DeadLetter, Job, Operation, SeenCause, TrashedJob
from queues.selectors import causes
from queues.selectors.dead_letters import DeadLetterQuery
from queues.services import delete, operate, operate_batches
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.monitoring.worlds import ran_batch, waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def shown(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content.decode()


def form_of(page: str) -> dict[str, str]:
    return {unescape(name): unescape(value) for name, value in HIDDEN.findall(page)}


# causes


def world() -> tuple[str, str]:
    """Three letters of one cause in two queues, one of another; their fingerprints."""
    make_queue(max_attempts=1)
    make_queue("other", max_attempts=1)
    enqueue_batch("tested.do", [{"fail": "order 17 is gone"}, {"fail": "order 18 is gone"}, {"die": "no"}])
    drain()
    enqueue_batch("tested.do", [{"fail": "order 19 is gone"}], queue="other")
    drain("other")
    many = DeadLetter.objects.filter(error_class__contains="ValueError")
    assert many.values("fingerprint").distinct().count() == 1
    return many[0].fingerprint, DeadLetter.objects.get(error_class__contains="Reject").fingerprint


def test_letters_are_grouped_by_cause_with_their_trend() -> None:
    many, few = world()
    DeadLetter.objects.filter(fingerprint=few).update(died_at=timezone.now() - timedelta(hours=30))
    found = causes.cause_list(DeadLetterQuery(), timezone.now())
    assert [(row.fingerprint, row.count, sum(row.trend), len(row.trend)) for row in found.rows] == [
        (many, 3, 3, 24),
        (few, 1, 0, 24),
    ]
    first = found.rows[0]
    assert (first.message, first.queues, first.batches) == ("asked to fail: order # is gone", ["other", "tested"], 2)
    assert "working.py" in first.place
    assert (found.letters, found.exact, found.more) == (4, True, 0)
    assert causes.cause_list(DeadLetterQuery(queue="other"), timezone.now()).rows[0].count == 1


def test_the_trend_of_very_many_letters_is_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    many, _few = world()

    def day(now: datetime) -> int:
        return sum(next(row for row in causes.cause_list(DeadLetterQuery(), now).rows if row.fingerprint == many).trend)

    now = timezone.now()
    monkeypatch.setattr(causes, "FRESH", 0)
    assert day(now) == 3
    DeadLetter.objects.filter(fingerprint=many).update(died_at=now - timedelta(hours=30))
    assert day(now) == 3, "kept"
    assert day(now + timedelta(hours=1)) == 0, "of another hour"
    monkeypatch.setattr(causes, "FRESH", 4)
    assert day(now) == 0, "so few are read each time"


def test_more_letters_than_are_grouped_are_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    world()
    monkeypatch.setattr(causes, "EXACT", -2)
    monkeypatch.setattr(causes, "LOOK", 2)
    monkeypatch.setattr(causes, "GROUPED", 2)
    for query in (DeadLetterQuery(), DeadLetterQuery(queue="tested"), DeadLetterQuery(text="order")):
        found = causes.cause_list(query, timezone.now())
        assert (found.exact, found.read, found.letters <= 2) == (False, 2, True), query
    assert causes.cause_list(DeadLetterQuery(queue="other"), timezone.now()).exact


def test_the_pages_of_causes(operator: Client) -> None:
    many, _few = world()
    page = shown(operator, "/dead-letters/causes/")
    assert "order # is gone" in page
    assert f"/dead-letters/causes/{many}/" in page
    assert "<b>2</b> causes of 4 dead letters" in page
    one = shown(operator, f"/dead-letters/causes/{many}/")
    assert "Retry 3" in one
    assert "order 19 is gone" in one
    assert "Traceback" in one
    assert "2 causes" not in shown(operator, "/dead-letters/causes/?text=order")
    assert "matches this filter" in shown(operator, "/dead-letters/causes/?handler=none")
    assert operator.get("/dead-letters/causes/0000000000000000/").status_code == 404
    assert "With trends" in shown(operator, "/dead-letters/")


def links_of(page: str, path: str) -> list[str]:
    return [unescape(found) for found in re.findall(rf'href="({path}[^"]*)"', page)]


def test_letters_without_a_fingerprint_are_a_group_like_any_other(operator: Client) -> None:
    world()
    DeadLetter.objects.filter(error_class__contains="ValueError").update(fingerprint="", error_class="")
    page = shown(operator, "/dead-letters/causes/?queue=tested")
    row = page.split('id="cause-none"')[1].split("</tr>")[0]
    assert '<td class="num is-dead"><b>2</b></td>' in row
    (retry,) = links_of(row, "/dead-letters/retry/")
    assert "?all=1&queue=tested&cause=none&" in retry
    assert "Retry 2 dead letters of queue tested with cause none?" in shown(operator, retry)
    (delete,) = links_of(row, "/dead-letters/delete/")
    assert "Delete 2 dead letters of queue tested with cause none?" in shown(operator, delete)
    (cause,) = links_of(row, "/dead-letters/causes/none/")
    one = shown(operator, cause)
    assert "without a fingerprint" in one
    assert links_of(one, r"/dead-letters/\?queue=tested&amp;cause=none")
    listed = shown(operator, "/dead-letters/?queue=tested&cause=none")
    assert listed.count('<tr data-row id="job-') == 2
    operator.post("/dead-letters/retry/", form_of(shown(operator, retry)))
    assert DeadLetter.objects.filter(fingerprint="").get().queue.name == "other"
    assert DeadLetter.objects.count() == 2
    assert_sound()


def test_a_cause_that_was_retried_and_failed_again_is_as_old_as_it_is(operator: Client) -> None:
    many, few = world()
    long_ago = timezone.now() - timedelta(days=3)
    SeenCause.objects.filter(fingerprint=many, queue__name="tested").update(first_at=long_ago)
    operate.start(action="retry_dead", selection={"fingerprint": many}, actor="ann", source="api")
    drain()
    drain("other")
    assert DeadLetter.objects.filter(fingerprint=many).count() == 3
    now = timezone.now()

    def first(cause: str, **words: Any) -> datetime:
        return {row.fingerprint: row.first_at for row in causes.cause_list(DeadLetterQuery(**words), now).rows}[cause]

    assert first(many) == first(many, queue="tested") == first(many, text="order") == long_ago
    assert first(many, queue="other") > long_ago
    assert first(few) > long_ago
    one = causes.cause(DeadLetterQuery(fingerprint=many), now)
    assert one is not None
    assert one.first_at == long_ago
    moment = f'datetime="{long_ago:%Y-%m-%dT%H:%M:%S}'
    for url in ("/dead-letters/causes/", f"/dead-letters/causes/{many}/", f"/dead-letters/causes/{many}/?queue=tested"):
        assert moment in shown(operator, url), url
    # What was there before the memory of it: by its letters.
    SeenCause.objects.all().delete()
    assert first(many) > long_ago


def test_what_a_cause_hits_is_told_under_the_filter_of_the_page(operator: Client) -> None:
    many, _few = world()
    batch = DeadLetter.objects.filter(queue__name="other").values_list("batch", flat=True).get()
    now = timezone.now()
    for query, queues, batches in (
        (DeadLetterQuery(), ["other", "tested"], 2),
        (DeadLetterQuery(queue="other"), ["other"], 1),
        (DeadLetterQuery(text="order"), ["other", "tested"], 2),
        (DeadLetterQuery(text="19"), ["other"], 1),
    ):
        row = next(row for row in causes.cause_list(query, now).rows if row.fingerprint == many)
        assert (row.queues, row.batches) == (queues, batches), query
    page = shown(operator, f"/dead-letters/causes/?batch={batch}&since=1h")
    row = page.split(f'id="cause-{many}"')[1].split("</tr>")[0]
    assert links_of(row, r"\?") == [f"?batch={batch}&since=1h&queue=other"]
    one = shown(operator, f"/dead-letters/causes/{many}/?since=1h")
    assert f"/dead-letters/?since=1h&cause={many}&queue=tested" in unescape(one)


def test_a_panel_of_causes_has_one_spelling_of_its_filter_and_leads_back_to_its_page(operator: Client) -> None:
    many, _few = world()
    one = panels.topic("causes", "x=1&batch=&queue=tested&state=waiting&name=n", True)
    assert one.subject == "queue=tested"
    assert panels.topic("cause-facts", f"since=1h&cause={many}&queue=tested", True).subject == (
        f"queue=tested&cause={many}&since=1h"
    )
    for name, subject in (("cause-facts", "queue=tested"), ("cause-facts", "cause=gone"), ("causes", "why=boredom")):
        with pytest.raises(panels.Gone):
            panels.read(panels.topic(name, subject, True), Snapshot())
    polled = shown(operator, "/panels/causes/?subject=queue%3Dtested")
    assert "<b>2</b> causes of 3 dead letters" in polled
    (retry, *_) = links_of(polled.split(f'id="cause-{many}"')[1], "/dead-letters/retry/")
    assert retry.endswith("&next=%2Fdead-letters%2Fcauses%2F%3Fqueue%3Dtested")
    assert "No dead letter matches this filter" in shown(operator, "/panels/causes/?subject=queue%3Dnone")
    # The page itself is not drawn from what others look at.
    ran_batch(die=1)
    assert "causes of 4 dead letters" in shown(operator, "/dead-letters/causes/?queue=tested")


def test_the_causes_above_the_letters_are_those_under_its_filter(operator: Client) -> None:
    many, few = world()
    page = shown(operator, "/dead-letters/")
    assert page.count('<li id="cause-') == 2
    page = shown(operator, "/dead-letters/?queue=other")
    assert f'<li id="cause-{many}">' in page
    assert f'<li id="cause-{few}">' not in page
    for query in (f"cause={many}", "before=1-1", "queue=none", "why=boredom"):
        assert "panel-letter-causes" not in shown(operator, f"/dead-letters/?{query}"), query


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("text=order", 1),
        ("why=rejected+by+its+handler", 3),
        ("since=1h&queue=other", 3),
        ("handler=tested.do&since=24h", 0),
    ],
)
def test_all_under_any_filter_are_retried(operator: Client, query: str, left: int) -> None:
    world()
    url = f"/dead-letters/retry/?all=1&{query}"
    page = shown(operator, url)
    assert f"Retry {4 - left} dead letter" in page
    assert operator.post(url, form_of(page)).status_code == 302
    assert DeadLetter.objects.count() == left
    assert_sound()


# acting


def test_a_question_says_who_is_left_alone_and_names_the_command(operator: Client) -> None:
    batch = ran_batch(succeed=2, die=1)
    jobs = range(batch.first_job_id or 0, (batch.last_job_id or 0) + 1)
    page = shown(operator, acting.address("delete", jobs=jobs))
    assert "Delete 1 job?" in page
    assert "<b>2</b> not: it has succeeded" in page
    assert f"manage.py operate delete --job {jobs[0]}" in page


def test_waiting_jobs_of_a_batch_get_another_priority(operator: Client) -> None:
    batch = waiting_batch(5)
    url = acting.address("priority", state="pending", batch=batch.pk)
    page = shown(operator, url)
    assert "Change priority of 5 waiting jobs of batch" in page
    fields = form_of(page)
    assert operator.post(url, fields).status_code == 422
    waiting_batch(3)
    assert operator.post(url, {**fields, "to": "high", "reason": "first"}).status_code == 302
    assert Job.objects.filter(chunk__priority=1).count() == 5
    assert AuditEntry.deeds().get().reason == "first"
    assert_sound()


def test_what_appears_after_the_question_is_not_touched(operator: Client) -> None:
    make_queue()
    waiting_batch(4)
    url = acting.address("cancel", state="pending", queue="tested")
    fields = form_of(shown(operator, url))
    waiting_batch(2)
    operator.post(url, fields)
    assert Operation.objects.get().total == 4
    assert sum(Chunk.objects.filter(state="ready").values_list("size", flat=True)) == 2


def test_a_large_number_is_typed(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "TYPED_ABOVE", 3)
    waiting_batch(4)
    url = acting.address("cancel", state="pending", queue="tested")
    fields = form_of(shown(operator, url))
    assert operator.post(url, {**fields, "typed": "3"}).status_code == 422
    assert Operation.objects.count() == 0
    operator.post(url, {**fields, "typed": "4"})
    assert Operation.objects.get().changed == 4


@pytest.mark.parametrize(
    "url",
    ["/operations/new/explode/", "/operations/new/cancel/", "/operations/new/cancel/?all=1", "/operations/404/"],
)
def test_what_makes_no_sense_changes_nothing(operator: Client, url: str) -> None:
    waiting_batch(2)
    assert operator.post(url, {"all": "1"}).status_code in (302, 404, 405)
    assert Operation.objects.count() == 0


# the trash


def test_a_deletion_is_undone_from_its_notice(operator: Client) -> None:
    ran_batch(die=3)
    job = DeadLetter.objects.values_list("pk", flat=True)[0]
    operator.post("/dead-letters/delete/", {"job": job})
    number = Operation.objects.get().pk
    notice = shown(operator, "/dead-letters/")
    assert "1 deleted." in notice
    assert f'action="/operations/{number}/undo/"' in notice
    response = operator.post(f"/operations/{number}/undo/")
    assert response.status_code == 302
    assert "1 restored." in shown(operator, response["Location"])
    assert DeadLetter.objects.count() == 3
    operator.post(f"/operations/{number}/undo/")
    assert "Nothing of it is in the trash any more" in shown(operator, "/operations/")
    assert_sound()


def test_the_trash_lists_and_restores(operator: Client) -> None:
    batch = ran_batch(die=3)
    operate.start(action="delete_dead", selection={"batch": batch.pk}, actor="ann", source="api", reason="tidy")
    page = shown(operator, "/trash/")
    assert page.count("data-row") == 3
    assert "by ann: tidy" in page
    for job in TrashedJob.objects.values_list("pk", flat=True):
        assert f'href="/jobs/{job}/" data-open' in page
    assert "3 deleted jobs</span>; each is kept for 3 d 00 h" in page
    first = TrashedJob.objects.order_by("pk")[0].pk
    operator.post("/operations/new/restore/", {"job": first})
    assert DeadLetter.objects.get().pk == first
    url = acting.address("restore", state="trashed", queue="tested")
    operator.post(url, form_of(shown(operator, url)))
    assert (TrashedJob.objects.count(), DeadLetter.objects.count()) == (0, 3)
    assert "The trash is empty" in shown(operator, "/trash/")
    assert_sound()


def test_the_trash_is_not_called_empty_while_batches_lie_in_it(operator: Client) -> None:
    first, second = ran_batch(succeed=1), ran_batch(succeed=1, queue="other")
    assert "trashed-batches" not in shown(operator, "/trash/")
    operate_batches.start(action="delete_batches", batches=[first.pk, second.pk], actor="ann", source="api")
    page = shown(operator, "/trash/")
    assert '<a href="/batches/?state=trashed">2 batches in the trash</a>' in page
    assert "No single job is in the trash." in page and "The trash is empty" not in page
    narrow = shown(operator, "/trash/?queue=other")
    assert '<a href="/batches/?state=trashed&amp;queue=other">1 batch in the trash</a> of queue other' in narrow
    assert shown(operator, "/batches/?state=trashed&queue=other").count('name="batch" value') == 1
    operate_batches.start(action="restore_batches", batches=[first.pk, second.pk], actor="ann", source="api")
    assert "The trash is empty" in shown(operator, "/trash/")


def test_emptying_the_trash_is_a_permission_of_its_own(operator: Client, person: Callable[[str], object]) -> None:
    batch = ran_batch(die=2)
    operate.start(action="delete_dead", selection={"batch": batch.pk}, actor="ann", source="api")
    url = acting.address(Action.EMPTY.value, state="trashed")
    assert "/operations/new/empty/" not in shown(operator, "/trash/")
    assert (operator.get(url).status_code, operator.post(url).status_code) == (403, 403)
    from django.contrib.auth.models import User

    user = User.objects.get(username="operator")
    user.user_permissions.add(Permission.objects.get(codename="empty_trash"))
    assert "/operations/new/empty/" in shown(operator, "/trash/")
    operator.post(url, form_of(shown(operator, url)))
    assert TrashedJob.objects.count() == 0
    assert_sound()


# operations


def test_a_running_operation_is_watched_and_stopped(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 1)
    monkeypatch.setattr(operate, "ROUND", 2)
    batch = waiting_batch(10)
    begun = operate.start(action="cancel", selection={"batch": batch.pk, "state": "pending"}, actor="ann", source="api")
    operate.advance(operation_id=begun.pk)
    page = shown(operator, "/operations/")
    assert "<b>2</b> of 10" in page
    one = shown(operator, f"/operations/{begun.pk}/")
    assert f"/operations/{begun.pk}/stop/" in one
    asked = shown(operator, f"/operations/{begun.pk}/stop/")
    assert "Stop operation" in asked
    assert f"python manage.py operate stop --operation {begun.pk}</pre>" in asked
    told = operator.post(f"/operations/{begun.pk}/stop/", {"reason": "not now"})
    assert told["Location"] == f"/operations/{begun.pk}/"
    begun.refresh_from_db()
    assert (begun.state, begun.changed) == ("cancelled", 2)
    ended = shown(operator, f"/operations/{begun.pk}/")
    assert "stopped" in ended
    assert "<dt>not reached</dt><dd>8</dd>" in ended
    entry = AuditEntry.objects.get(action="stop operation")
    assert (entry.actor, entry.reason, entry.outcome) == ("operator", "not now", {"changed": 2, "skipped": 0})


def test_the_deletion_of_a_batch_is_not_stopped(operator: Client) -> None:
    batch = ran_batch(succeed=1)
    begun = delete.delete_batch(batch_id=batch.pk, actor="ann", source="api")
    told = operator.post(f"/operations/{begun.pk}/stop/", follow=True).content.decode()
    assert "the deletion of a batch is not stopped" in told and "Nothing was changed." in told
    begun.refresh_from_db()
    assert begun.state == "running"
    assert not AuditEntry.objects.filter(action="stop operation").exists()


def test_an_operation_shows_what_became_of_each(operator: Client) -> None:
    batch = ran_batch(succeed=1, die=1)
    jobs = [batch.first_job_id, batch.last_job_id]
    done = operate.start(action="retry", selection={"job_ids": jobs}, actor="ann", source="api")
    page = shown(operator, f"/operations/{done.pk}/")
    assert "it has succeeded" in page
    assert f"manage.py operate retry --job {jobs[0]} --job {jobs[1]}" in page


def test_operations_are_paged(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queues.selectors.operations.PAGE_SIZE", 2)
    for number in range(5):
        job = waiting_batch(1, name=str(number)).first_job_id
        operate.start(action="cancel", selection={"job_ids": [job]}, actor="ann", source="api")
    numbers = list(Operation.objects.order_by("-pk").values_list("pk", flat=True))
    page = shown(operator, "/operations/")
    assert f"before={numbers[1]}" in page
    assert f'/operations/{numbers[2]}/"' in shown(operator, f"/operations/?before={numbers[1]}")
    assert f'/operations/{numbers[0]}/"' in shown(operator, f"/operations/?after={numbers[2]}")


def test_hostile_text_is_harmless(operator: Client) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[31m"
    make_queue(max_attempts=1)
    enqueue_batch("tested.do", [{"fail": evil}, {"die": evil}], name=evil)
    drain()
    many = DeadLetter.objects.values_list("fingerprint", flat=True)[0]
    urls = ["/dead-letters/causes/", f"/dead-letters/causes/{many}/", "/dead-letters/causes/?text=%3Cscript%3Ealert"]
    gone = operate.start(action="delete_dead", selection={"queue": "tested"}, actor=evil, source="api", reason=evil)
    pages = [shown(operator, url) for url in ("/trash/", "/operations/", f"/operations/{gone.pk}/")]
    operate.undo(operation_id=gone.pk, actor="ann", source="api")
    for page in pages + [shown(operator, url) for url in urls]:
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "\x1b" not in page


def test_an_answer_that_is_sent_again_retries_no_later_death(operator: Client) -> None:
    ran_batch(die=1)
    job = DeadLetter.objects.get().pk
    url = acting.address("retry", jobs=[job])
    fields = form_of(shown(operator, url))
    for _ in range(3):
        assert operator.post(url, fields).status_code == 302
        drain()
    assert [operation.outcomes for operation in Operation.objects.order_by("pk")] == [
        {"retried": 1},
        *[{"it has died again since it was asked for": 1}] * 2,
    ]
    assert DeadLetter.objects.get().attempts == 2
