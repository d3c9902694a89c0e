"""All archived jobs that match, several batches, and the undo of a deletion that goes on, as the pages act on them."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.views import confirm
from queues.models import ArchivedJob, AuditEntry, Batch, DeadLetter, Job, Operation, TrashedJob
from queues.selectors.batch_trash import in_trash
from queues.services import operate
from tests.checker import assert_sound
from tests.monitoring.test_archive_page import world
from tests.monitoring.test_operations_pages import form_of, shown
from tests.monitoring.worlds import ran_batch, waiting_batch

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


# the archive


def everything_of(page: str) -> dict[str, str]:
    """What the list sends when all that match are meant."""
    form = page[page.index('id="archived"') :]
    return {**form_of(form), "all": "1"}


@pytest.mark.parametrize(
    "query",
    ["", "queue=other", "outcome=dead&within=all", "within=all&queue=tested", "until=1d&within=30d", "batch=first"],
)
def test_all_that_match_means_what_the_list_shows(operator: Client, query: str) -> None:
    first, _second = world()
    ArchivedJob.objects.filter(outcome="dead").update(finished_at=timezone.now() - timedelta(days=10))
    page = shown(operator, f"/archive/?{query.replace('first', str(first))}")
    listed = set(map(int, re.findall(r'name="job" value="(\d+)"', page)))
    assert 0 < len(listed) < 7
    assert f"all {len(listed)} that match</label>" in page
    wanted = everything_of(page)
    asked = operator.get("/archive/restore/", wanted).content.decode()
    things = "archived job" if len(listed) == 1 else "archived jobs"
    assert f"Restore {len(listed)} {things}" in asked
    assert "also those that had succeeded" in asked
    assert re.search(r"manage.py operate unarchive .*--state archived", asked)
    done = operator.post("/archive/restore/", form_of(asked), follow=True).content.decode()
    assert f"{len(listed)} restored." in done
    assert set(Job.objects.values_list("pk", flat=True)) >= listed
    assert not ArchivedJob.objects.filter(pk__in=listed).exists()
    assert_sound()


def test_the_question_tells_what_stays_and_a_large_number_is_typed(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "TYPED_ABOVE", 3)
    first, second = world()
    operator.post(f"/batches/{second}/delete/", {})
    assert in_trash(second)
    asked = operator.get("/archive/restore/?all=1&state=archived").content.decode()
    assert "<b>1</b> not: its batch is in the trash" in asked
    fields = form_of(asked)
    number = ArchivedJob.objects.filter(batch_id=first).count()
    assert f"Restore {number} archived jobs" in asked
    assert operator.post("/archive/restore/", {**fields, "typed": "2"}).status_code == 422
    assert Operation.objects.filter(action="unarchive").count() == 0
    operator.post("/archive/restore/", {**fields, "typed": str(number)})
    operation = Operation.objects.get(action="unarchive")
    assert operation.outcomes == {"restored": number, "its batch is in the trash": 1}
    assert ArchivedJob.objects.filter(batch_id=second).count() == 1
    page = shown(operator, f"/operations/{operation.pk}/")
    assert "its batch is in the trash" in page
    assert "restore archived jobs" in page.lower()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("outcome=exploded", "Outcome: there is no exploded"),
        ("before=soon", "To: write so long ago"),
        ("batch=x", "batch: x is not a number"),
        ("since=never", "since: write so long ago"),
    ],
)
def test_a_filter_that_is_none_means_nothing(operator: Client, query: str, said: str) -> None:
    world()
    jobs = ArchivedJob.objects.count()
    for ask in (operator.get, operator.post):
        answer = ask(f"/archive/restore/?all=1&state=archived&{query}", {"all": "1", **dict([query.split("=")])})
        assert answer.status_code == 302
        assert said in shown(operator, "/archive/")
    assert ArchivedJob.objects.count() == jobs


# the undo of a deletion that goes on


def test_undo_is_in_the_first_notice_and_works_in_the_middle(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 1)
    monkeypatch.setattr(operate, "ROUND", 4)
    ran_batch(succeed=1, die=10)
    url = "/dead-letters/delete/?all=1&queue=tested"
    operator.post(url, form_of(shown(operator, url)))
    operation = Operation.objects.get()
    notice = shown(operator, "/dead-letters/")
    assert "10 jobs are being deleted in the background." in notice
    assert f'action="/operations/{operation.pk}/undo/"' in notice
    assert operate.advance(operation_id=operation.pk)
    assert (DeadLetter.objects.count(), TrashedJob.objects.count()) == (6, 4)
    page = shown(operator, f"/operations/{operation.pk}/")
    assert f"/operations/{operation.pk}/stop/" in page
    assert f"/operations/{operation.pk}/undo/" in page
    asked = shown(operator, f"/operations/{operation.pk}/undo/")
    assert "4 of 10 jobs are deleted so far" in asked
    assert f"python manage.py operate undo --operation {operation.pk}" in asked
    response = operator.post(f"/operations/{operation.pk}/undo/")
    back = Operation.objects.get(action="restore")
    assert response["Location"] == f"/operations/{back.pk}/"
    # Pressed once more, it is the same undoing.
    assert operator.post(f"/operations/{operation.pk}/undo/")["Location"] == f"/operations/{back.pk}/"
    assert operate.advance_all() >= 1
    assert not operate.advance(operation_id=operation.pk)
    operation.refresh_from_db()
    back.refresh_from_db()
    assert (operation.state, operation.changed, back.outcomes) == ("cancelled", 4, {"restored": 4})
    assert (DeadLetter.objects.count(), TrashedJob.objects.count()) == (10, 0)
    entries = AuditEntry.deeds().order_by("pk").values_list("action", "actor")
    assert list(entries) == [
        ("delete dead letters", "operator"),
        ("stop operation", "operator"),
        ("restore deleted jobs", "operator"),
    ]
    assert_sound()


def test_an_undo_before_the_first_round_only_stops(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 1)
    batch = waiting_batch(5)
    operation = operate.start(
        action="delete", selection={"batch": batch.pk, "state": "pending"}, actor="ann", source="api"
    )
    page = operator.post(f"/operations/{operation.pk}/undo/", follow=True).content.decode()
    assert "The deletion is stopped. Nothing had been deleted yet." in page
    operation.refresh_from_db()
    assert (operation.state, operation.changed, TrashedJob.objects.count()) == ("cancelled", 0, 0)
    assert Operation.objects.count() == 1
    assert_sound()


def test_an_undo_does_not_bring_back_what_others_have_deleted(operator: Client) -> None:
    batch = ran_batch(die=3)
    jobs = list(DeadLetter.objects.order_by("pk").values_list("pk", flat=True))
    mine = operate.start(action="delete_dead", selection={"batch": batch.pk}, actor="ann", source="api")
    operate.start(action="restore", selection={"job_ids": jobs[:1]}, actor="bob", source="api")
    operate.start(action="delete", selection={"job_ids": jobs[:1]}, actor="bob", source="api")
    operator.post(f"/operations/{mine.pk}/undo/")
    assert list(TrashedJob.objects.values_list("pk", "deleted_by")) == [(jobs[0], "bob")]
    assert_sound()


# several batches


def test_selected_batches_are_cancelled_after_one_question(operator: Client) -> None:
    over = [ran_batch(succeed=1), ran_batch(succeed=1)]
    going = [waiting_batch(3) for _ in range(3)]
    page = shown(operator, "/batches/")
    assert page.count('<input type="checkbox" name="batch"') == 5
    for deed in ("cancel", "pause", "resume", "retry", "delete"):
        assert f'formaction="/batches/selected/{deed}/"' in page
    query = "&".join(f"batch={batch.pk}" for batch in (*over, *going))
    asked = shown(operator, f"/batches/selected/cancel/?{query}&next=/batches/")
    assert "<h1>Cancel 3 of 5 batches?</h1>" in asked
    assert "3 of 5 can be cancelled: 2 not (it has ended)." in asked
    assert "<b>2</b> not: it has ended" in asked
    assert "manage.py operate cancel_batches --batches " in asked
    assert set(Batch.objects.filter(state="running")) == set(going)
    fields = {"batch": [batch.pk for batch in (*over, *going)], "reason": "wrong file", "next": "/batches/"}
    done = operator.post("/batches/selected/cancel/", fields, follow=True).content.decode()
    assert "3 cancelled, 2 not: it has ended." in done
    assert not Batch.objects.filter(state="running").exists()
    entries = AuditEntry.objects.filter(action="cancel batch")
    assert {(entry.actor, entry.reason) for entry in entries} == {("operator", "wrong file")}
    assert len({entry.outcome["bulk"] for entry in entries}) == 1
    assert_sound()


def test_deleted_batches_are_undone_from_the_notice(operator: Client) -> None:
    batches = [ran_batch(succeed=1), ran_batch(succeed=2)]
    fields = {"batch": [batch.pk for batch in batches]}
    asked = operator.get("/batches/selected/delete/", fields).content.decode()
    assert "Delete 2 batches?" in asked
    assert "For 3 d 00 h they can be restored." in asked
    done = operator.post("/batches/selected/delete/", fields, follow=True).content.decode()
    operation = Operation.objects.get(action="delete_batches")
    assert "2 deleted." in done
    assert f'action="/operations/{operation.pk}/undo/"' in done
    assert all(in_trash(batch.pk) for batch in batches)
    trash = shown(operator, "/batches/?state=trashed")
    assert 'formaction="/batches/selected/restore/"' in trash
    assert 'formaction="/batches/selected/delete/"' not in trash
    back = operator.post(f"/operations/{operation.pk}/undo/", follow=True).content.decode()
    assert "2 restored." in back
    assert "<b>2</b> of <b>2</b> batches" in back
    assert not any(in_trash(batch.pk) for batch in batches)
    again = operator.post(f"/operations/{operation.pk}/undo/", follow=True).content.decode()
    assert "Nothing of it is in the trash any more" in again
    assert_sound()


def test_many_jobs_of_selected_batches_are_typed(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "TYPED_ABOVE", 3)
    batches = [waiting_batch(2), waiting_batch(3)]
    fields = {"batch": [batch.pk for batch in batches]}
    asked = operator.get("/batches/selected/cancel/", fields).content.decode()
    assert "Type 5 to confirm" in asked
    given = {**fields, "shown": "5", "typed": "2"}
    assert operator.post("/batches/selected/cancel/", given).status_code == 422
    assert Batch.objects.filter(state="running").count() == 2
    operator.post("/batches/selected/cancel/", {**given, "typed": "5"})
    assert Batch.objects.filter(state="running").count() == 0


def test_what_makes_no_sense_changes_nothing(operator: Client) -> None:
    batch = ran_batch(succeed=1)
    assert operator.get("/batches/selected/explode/").status_code == 404
    for given, said in (
        ({}, "Select batches first."),
        ({"batch": ["x", "-1", "9" * 40]}, "Select batches first."),
        ({"batch": list(range(1, 52))}, "At most 50 batches at once: 51 were selected."),
        ({"batch": [batch.pk, 2**40]}, "Nothing was changed: 1 not (it has ended), 1 not (not there any more)."),
    ):
        answer = operator.post("/batches/selected/pause/", given, follow=True)
        assert said in answer.content.decode()
    asked = operator.get("/batches/selected/pause/", {"batch": batch.pk}).content.decode()
    assert "Nothing of this is possible" in asked
    assert Operation.objects.count() == 0


def test_who_only_looks_sees_no_boxes(signed_in: Callable[[str], Client]) -> None:
    batch = ran_batch(succeed=1)
    viewer = signed_in("viewer")
    page = shown(viewer, "/batches/")
    assert 'name="batch" value' not in page
    assert "/batches/selected/" not in page
    assert viewer.post("/batches/selected/delete/", {"batch": batch.pk}).status_code == 403
    assert in_trash(batch.pk) is None
