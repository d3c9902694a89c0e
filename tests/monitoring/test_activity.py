"""The activity list: what is in it, its filter, its pages, its files, and where an entry leads."""

import csv
import io
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from monitoring import activity as wording
from monitoring.panels import Ask, topic
from monitoring.snapshot import Snapshot
from queues.models import AuditEntry
from queues.selectors import activity, timeline, upkeep
from queues.services import audit
from queues.services.pause import pause_queue
from tests.monitoring.test_pages import HOSTILE
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("viewer")


def page(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200, url
    return response.content.decode()


def entry(action: str = "pause queue", target: str = "mail", ago: float = 0, **values: object) -> AuditEntry:
    facts = {"actor": "maria", "source": "page", "outcome": {}}
    at = timezone.now() - timedelta(seconds=ago)
    return AuditEntry.objects.create(**{**facts, "action": action, "target": target, "at": at, **values})


def shown(client: Client, **query: str) -> set[int]:
    text = page(client, f"/activity/?{urlencode(query)}")
    return {pk for pk in AuditEntry.objects.values_list("pk", flat=True) if f'id="entry-{pk}"' in text}


def test_an_empty_list_says_what_will_be_in_it(viewer: Client) -> None:
    assert "Nothing has been changed yet" in page(viewer, "/activity/")
    assert "No entry matches this filter" in page(viewer, "/activity/?actor=nobody")


def test_a_change_is_listed_with_who_why_and_where_to(viewer: Client) -> None:
    make_queue()
    pause_queue(name="tested", actor="maria", source="command", reason="moving house")
    text = page(viewer, "/activity/")
    for words in ("maria", "command", "pause queue", 'href="/queues/tested/"', "moving house"):
        assert words in text


def test_hostile_words_are_shown_harmlessly(viewer: Client) -> None:
    hostile = HOSTILE[:140]
    audit.record(actor=hostile, source="page", action="change", target=hostile, reason=hostile, value=hostile)
    text = page(viewer, "/activity/")
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_each_part_of_the_filter_narrows(viewer: Client) -> None:
    old = entry(ago=7200, actor="jo", source="admin", action="change queue", target="mail")
    new = entry(actor="maria", source="page", action="cancel batch", target="batch 12")
    assert shown(viewer) == {old.pk, new.pk}
    assert shown(viewer, actor="jo") == {old.pk}
    assert shown(viewer, source="page") == {new.pk}
    assert shown(viewer, action="cancel batch") == {new.pk}
    assert shown(viewer, target="MAI") == {old.pk}
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    assert shown(viewer, since=hour_ago) == {new.pk}
    assert shown(viewer, until=hour_ago) == {old.pk}
    assert shown(viewer, since="1h") == {new.pk}
    assert shown(viewer, actor="", since="3h") == {old.pk, new.pk}


def test_pages_follow_each_other_without_a_gap(viewer: Client) -> None:
    at = timezone.now()
    for number in range(130):
        entry(at=at - timedelta(seconds=number // 40), target=f"queue-{number}")
    whole = list(AuditEntry.objects.order_by("-at", "-pk").values_list("pk", flat=True))
    found, seen = activity.activity_page(activity.ActivityQuery()), []
    places = []
    while True:
        seen += [row.id for row in found.rows]
        if found.older is None:
            break
        places.append(found.older)
        found = activity.activity_page(activity.ActivityQuery(), before=found.older)
    assert seen == whole
    assert found.newer is not None
    back = activity.activity_page(activity.ActivityQuery(), after=found.newer)
    assert [row.id for row in back.rows] == whole[50:100]
    text = page(viewer, f"/activity/?actor=maria&before={wording.write_place(places[0])}")
    assert f'id="entry-{whole[50]}"' in text
    assert f'id="entry-{whole[49]}"' not in text
    assert "actor=maria&amp;before=" in text


@pytest.mark.parametrize("place", ["", "x", "1", "9" * 17 + "-1", "1-" + "9" * 19, "-1-2"])
def test_a_place_that_is_none_shows_the_first_page(place: str, viewer: Client) -> None:
    one = entry()
    assert f'id="entry-{one.pk}"' in page(viewer, f"/activity/?after={place}") or place == "9" * 17 + "-1"


def test_news_are_those_above_the_first_row(viewer: Client) -> None:
    entry(ago=60)
    other = entry(actor="jo")
    asked = topic("activity-news", "actor=maria&nonsense=1", False)
    assert asked.subject == "actor=maria"
    found = wording.activity_news(Ask(Snapshot(), asked.subject))
    assert len(found["keys"]) == 1
    top = page(viewer, "/activity/").split('data-top="')[1].split('"')[0]
    newest = AuditEntry.objects.get(pk=other.pk)
    assert top == wording.key(wording.timeline.Place(newest.at, newest.pk))
    later = entry()
    keys = wording.activity_news(Ask(Snapshot(), ""))["keys"]
    assert [key for key in keys if key > top] == [wording.key(wording.timeline.Place(later.at, later.pk))]


@pytest.mark.parametrize(
    ("action", "target", "expected"),
    [
        ("pause queue", "mail", "/queues/mail/"),
        ("change queue", "mail", "/queues/mail/"),
        ("retry dead letters", "queue mail", "/queues/mail/"),
        ("retry dead letters", "cause abc", ""),
        ("cancel batch", "batch 12", "/batches/12/"),
        ("stop worker", "w-1 (11111111-2222-4333-8444-555555555555)", "/workers/11111111-2222-4333-8444-555555555555/"),
        ("test webhook", "mail", ""),
        ("pause queue", "Not A Name", ""),
        ("cancel batch", "batch " + "9" * 30, ""),
    ],
)
def test_an_entry_leads_to_what_it_is_about(action: str, target: str, expected: str) -> None:
    made = activity.entry(entry(action, target).pk)
    assert made is not None
    assert wording.link(made) == expected


def test_a_changed_policy_is_told_from_what_to_what(viewer: Client) -> None:
    entry("change queue", outcome={"changed": {"run_size": [500, 750], "timeout": [None, 2.5]}, "until": None})
    text = page(viewer, "/activity/")
    assert "500 → 750" in text
    assert "none → 2.5" in text


def test_what_came_of_it_is_told_in_words(viewer: Client) -> None:
    entry("change priority", outcome={"operation": 8, "jobs": 3, "priority": 1})
    entry("change queue", outcome={"changed": {"default_priority": [2, 0], "run_size": [1, 2]}})
    entry("delete batch", outcome={"operation": 11, "begins": "2026-01-31T14:30:00.5+00:00", "bulk": 9})
    entry("pause batch", outcome={"operation": 12, "jobs": 4, "bulk": 12})
    entry("pause queue", outcome={"until": "2026-02-01T10:00:00+00:00", "name": "20260131"})
    text = page(viewer, "/activity/")
    assert '<span class="muted">operation</span> <a href="/operations/8/">8</a>' in text
    assert '<span class="muted">priority</span> high</span>' in text
    assert "normal → critical" in text
    assert "1 → 2" in text
    assert '<span class="muted">operation</span> <a href="/operations/11/">11</a>' in text
    assert '<span class="muted">of operation</span> <a href="/operations/9/">9</a>' in text
    assert text.count('href="/operations/12/"') == 1
    assert '<span class="muted">of operation</span> <a href="/operations/12/">12</a>' in text
    assert "bulk" not in text
    for time in ("2026-01-31 14:30:00 UTC</time>", "2026-02-01 10:00:00 UTC</time>"):
        assert time in text
    assert ">name</span> 20260131</span>" in text


def test_what_code_enqueues_does_not_hide_what_people_do(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline.page, "__kwdefaults__", {**(timeline.page.__kwdefaults__ or {}), "look": 5})
    monkeypatch.setattr(activity, "RECENT", 5)
    monkeypatch.setattr(upkeep, "LOOKED_AT", 5)
    old = entry("pause queue", ago=60, actor="jo")
    entry("archive jobs", ago=50, source="beat", outcome={"jobs": 3})
    for number in range(20):
        entry("enqueue batch", f"batch {number}", actor="code", source="api")
    assert shown(viewer, source="page") == {old.pk}
    assert shown(viewer, action="pause queue") == {old.pk}
    assert [deed.action for deed in activity.deeds(timezone.now() - timedelta(hours=1), 5)] == ["pause queue"]
    assert [run.action for run in upkeep.last_runs()] == ["archive jobs"]
    assert {"jo", "code"} <= set(activity.words().actors)


def test_the_files_hold_what_the_filter_shows(viewer: Client) -> None:
    entry(target="=HYPERLINK(1)", reason='a "quoted", reason', outcome={"jobs": 3})
    entry(actor="jo")
    answer = viewer.get("/activity/export.csv?actor=maria")
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [(row["actor"], row["target"], row["reason"]) for row in rows] == [
        ("maria", "'=HYPERLINK(1)", 'a "quoted", reason')
    ]
    assert json.loads(rows[0]["outcome"]) == {"jobs": 3}
    assert datetime.fromisoformat(rows[0]["at"]).utcoffset() == timedelta(0)
    assert answer["X-Complete"] == "yes"
    lines = viewer.get("/activity/export.jsonl").getvalue().decode().splitlines()
    assert [json.loads(line)["actor"] for line in lines] == ["jo", "maria"]
    assert json.loads(lines[1])["outcome"] == {"jobs": 3}


def test_a_file_is_bounded_and_says_so(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "EXPORTED", 2)
    for number in range(3):
        entry(ago=number, target=f"t{number}")
    answer = viewer.get("/activity/export.jsonl")
    assert [json.loads(line)["target"] for line in answer.getvalue().decode().splitlines()] == ["t0", "t1"]
    assert answer["X-Complete"] == "no"
    assert "activity-newest-2.jsonl" in answer["Content-Disposition"]


def test_an_order_to_a_worker_can_be_found_by_its_id(viewer: Client) -> None:
    worker = uuid.uuid4()
    made = entry("stop worker", f"w-1 ({worker})")
    assert shown(viewer, target=str(worker)) == {made.pk}
