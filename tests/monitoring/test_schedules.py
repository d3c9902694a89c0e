"""The page of schedules: what recurs, when, with what outcome, and what a person can tell it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from queues.models import AuditEntry, Batch, Recurring
from queues.selectors import recurring as schedules
from queues.services.recur import recur
from queues.services.recurring import recurring
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def nightly(name: str = "nightly") -> Recurring:
    return recurring(name, "tested.do", [{"n": 1}, {"n": 2}], cron="30 2 * * *", timezone="Europe/Berlin")


def shown(client: Client, url: str = "/schedules/") -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def test_without_any_the_page_says_how_to_make_one(operator: Client) -> None:
    assert "manage.py recurring add" in shown(operator)


def test_a_schedule_is_told_with_its_time_zone_and_its_last_outcomes(operator: Client) -> None:
    make_queue()
    row = nightly()
    assert recur() is False  # computes the first due time
    day = timedelta(days=1)
    Recurring.objects.update(next_due_at=timezone.now() - day)
    recur()
    drain()
    Batch.objects.update(due_at=F("due_at") - day)
    Recurring.objects.update(next_due_at=timezone.now() - day)
    recur()
    (found,) = schedules.schedules_page()[0]
    assert [made.state for made in found.made] == ["running", "completed"]
    html = shown(operator)
    assert "30 2 * * * Europe/Berlin" in html
    assert "a fixed list of jobs" in html
    for made in found.made:
        assert f"/batches/{made.id}/" in html
    assert f"/schedules/{row.pk}/run/" in html


def test_what_was_run_by_hand_is_among_its_outcomes_and_marked(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_queue()
    row = nightly()
    operator.post(f"/schedules/{row.pk}/run/")
    drain()
    operator.post(f"/schedules/{row.pk}/run/")
    first, second = Batch.objects.order_by("pk")
    (found,) = schedules.schedules_page()[0]
    assert [(made.id, made.state, made.by_hand) for made in found.made] == [
        (second.pk, "running", True),
        (first.pk, "completed", True),
    ]
    assert found.last_by_hand == second.created_at
    html = shown(operator)
    html = html[html.index('data-label="last"') : html.index("</tbody>")]
    assert "by hand</span>" in html and "never" not in html
    assert html.count('aria-label="by hand"') == 2
    assert f'title="By hand {first.created_at:%Y-%m-%d %H:%M} UTC: completed"' in html
    # One that was due between the two, and one after both.
    Batch.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(days=2))
    day_ago = timezone.now() - timedelta(days=1)
    due = Batch.objects.create(
        queue=second.queue, handler="tested.do", name="nightly", chunk_size=1, total=1, recurring=row, due_at=day_ago
    )
    Recurring.objects.update(last_due_at=day_ago)
    (found,) = schedules.schedules_page()[0]
    assert [(made.id, made.by_hand) for made in found.made] == [(second.pk, True), (due.pk, False), (first.pk, True)]
    assert found.last_by_hand == second.created_at
    Recurring.objects.update(last_due_at=timezone.now())
    assert schedules.schedules_page()[0][0].last_by_hand is None, "it was due since"
    monkeypatch.setattr(schedules, "OUTCOMES", 2)
    assert [made.id for made in schedules.schedules_page()[0][0].made] == [second.pk, due.pk]


def test_a_viewer_is_told_and_offered_nothing(signed_in: Callable[[str], Client]) -> None:
    make_queue()
    nightly()
    html = shown(signed_in("viewer"))
    assert "nightly" in html
    assert "/run/" not in html


def test_its_batch_is_made_now_and_the_due_time_stays(operator: Client) -> None:
    make_queue()
    row = nightly()
    assert "manage.py recurring run nightly</pre>" in shown(operator, f"/schedules/{row.pk}/run/?form={'0' * 32}")
    answer = operator.post(f"/schedules/{row.pk}/run/", {"reason": "missed it"}, follow=True)
    batch = Batch.objects.get(recurring=row)
    assert (batch.total, batch.due_at, batch.name) == (2, None, "nightly")
    assert f"Batch {batch.pk} of nightly is made: 2 jobs." in answer.content.decode()
    entry = AuditEntry.objects.get(action="run recurring")
    assert (entry.source, entry.reason, entry.outcome) == ("page", "missed it", {"batch": batch.pk})


def test_it_rests_and_comes_again(operator: Client) -> None:
    make_queue()
    row = nightly()
    operator.post(f"/schedules/{row.pk}/pause/", {"reason": "holidays"})
    row.refresh_from_db()
    assert not row.enabled
    assert f"/schedules/{row.pk}/resume/" in shown(operator)
    operator.post(f"/schedules/{row.pk}/resume/")
    row.refresh_from_db()
    assert row.enabled
    deeds = AuditEntry.objects.filter(target="recurring nightly").order_by("pk").values_list("action", "reason")
    assert list(deeds)[-2:] == [("disable recurring", "holidays"), ("enable recurring", "")]


def test_what_cannot_be_made_is_refused_with_the_reason(operator: Client) -> None:
    make_queue()
    row = nightly()
    Recurring.objects.update(payloads="[]", source="gone.source")
    answer = operator.post(f"/schedules/{row.pk}/run/", follow=True)
    assert "unknown source &#x27;gone.source&#x27;" in answer.content.decode()
    assert operator.get("/schedules/987654/run/").status_code == 404


def test_many_are_paged_by_name(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "PAGE_SIZE", 2)
    make_queue()
    rows = [nightly(name) for name in ("a & b", "c", "d")]
    first, last = shown(operator), f'id="schedule-{rows[2].pk}"'
    assert "?after=c" in first
    assert last not in first
    assert last in shown(operator, "/schedules/?after=c")
