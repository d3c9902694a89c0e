"""Recurring batches: exactly one for each due time, whoever rings, whoever dies, whatever is missed."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.db import connections
from django_celery_beat.models import CrontabSchedule, IntervalSchedule

from queues import bells, foreground, handlers, store
from queues.domain.cron import Cron, Every
from queues.models import AuditEntry, Batch, Job, Recurring
from queues.selectors.clock import database_now
from queues.services import recur as service
from queues.services.recur import recur
from queues.services.recurring import (
    RecurringRefused,
    enable_recurring,
    recurring,
    remove_recurring,
    run_recurring,
)
from tests.checker import assert_sound
from tests.conftest import PROJECT
from tests.queues.admin_asking import act
from tests.queues.commanding import command
from tests.queues.working import do, make_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db
ALL = {"days": frozenset(range(1, 32)), "months": frozenset(range(1, 13)), "weekdays": frozenset(range(7))}
BERLIN = ZoneInfo("Europe/Berlin")


def _cron(minutes: set[int], hours: set[int], zone: Any = UTC, **other: Any) -> Cron:
    return Cron(minutes=frozenset(minutes), hours=frozenset(hours), zone=zone, **{**ALL, **other})


def _due(row: Recurring, ago: float) -> datetime:
    """Let a row have been due so many seconds ago."""
    due = database_now() - timedelta(seconds=ago)
    Recurring.objects.filter(pk=row.pk).update(next_due_at=due)
    return due


@pytest.fixture
def source() -> Iterator[Any]:
    before = dict(handlers._sources)
    yield handlers.source
    handlers._sources.clear()
    handlers._sources.update(before)


# when


def test_a_local_time_stays_that_time_through_the_year() -> None:
    daily = _cron({30}, {6}, BERLIN)
    winter = daily.next(datetime(2026, 1, 10, 12, tzinfo=UTC))
    summer = daily.next(datetime(2026, 7, 10, 12, tzinfo=UTC))
    assert winter == datetime(2026, 1, 11, 5, 30, tzinfo=UTC)
    assert summer == datetime(2026, 7, 11, 4, 30, tzinfo=UTC)


def test_the_hour_that_is_left_out_in_spring_is_due_after_the_leap_once() -> None:
    daily = _cron({30}, {2}, BERLIN)
    days = list(daily.due_times(datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC)))
    assert days == [
        datetime(2026, 3, 28, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
    ]
    quarter = _cron({0, 15, 30, 45}, set(range(24)), BERLIN)
    found = list(quarter.due_times(datetime(2026, 3, 29, 0, 0, tzinfo=UTC), datetime(2026, 3, 29, 3, 0, tzinfo=UTC)))
    assert found == [datetime(2026, 3, 29, 0, 15, tzinfo=UTC) + n * timedelta(minutes=15) for n in range(12)]


def test_the_hour_that_comes_twice_in_autumn_is_due_once_or_where_every_hour_is_twice() -> None:
    daily = _cron({30}, {2}, BERLIN)
    found = list(daily.due_times(datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 12, tzinfo=UTC)))
    assert found == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]
    hourly = _cron({0}, set(range(24)), BERLIN)
    found = list(hourly.due_times(datetime(2026, 10, 24, 23, 30, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)))
    assert found == [datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in range(4)]


def test_rare_days_are_found_and_days_that_never_come_are_not() -> None:
    leap = _cron({0}, {0}, days=frozenset({29}), months=frozenset({2}), weekdays=frozenset({1}))
    assert leap.next(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2044, 2, 29, tzinfo=UTC)
    assert _cron({0}, {0}, days=frozenset({30}), months=frozenset({2})).next(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_the_latest_due_time_and_those_before_it() -> None:
    first, now = datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
    assert _cron({0}, set(range(24))).latest(first, now) == (datetime(2026, 1, 1, 12, tzinfo=UTC), 2)
    assert _cron({0}, set(range(24))).latest(first, first) == (first, 0)
    every = Every(timedelta(minutes=40))
    assert every.latest(first, now) == (datetime(2026, 1, 1, 12, tzinfo=UTC), 3)
    assert every.latest(first, first) == (first, 0)


# exactly one


def test_each_due_time_makes_one_batch_as_it_was_set() -> None:
    make_queue()
    row = recurring(
        "hourly",
        do,
        [{"n": 1}, 12345678901234567890123],
        cron="0 * * * *",
        priority="high",
        metadata={"a": 1},
        failure_mode="collect_errors",
    )
    assert recur() is False
    row.refresh_from_db()
    assert row.next_due_at is not None and row.next_due_at > database_now()
    assert (row.next_due_at.minute, row.next_due_at.second, Batch.objects.count()) == (0, 0, 0)
    due = _due(row, 1)
    recur()
    recur()
    batch = Batch.objects.get()
    assert (batch.recurring_id, batch.due_at, batch.name, batch.created_by) == (row.pk, due, "hourly", "schedule")
    assert (batch.total, batch.metadata, batch.failure_mode) == (2, {"a": 1}, "collect_errors")
    assert list(Job.objects.order_by("pk").values_list("payload", flat=True)) == ['{"n":1}', "12345678901234567890123"]
    row.refresh_from_db()
    assert row.last_due_at == due and row.next_due_at is not None and row.next_due_at > database_now()
    assert_sound()


def test_an_interval_counts_from_the_due_time_before() -> None:
    make_queue()
    row = recurring("often", do, [{}], every=3600)
    due = _due(row, 5)
    recur()
    row.refresh_from_db()
    assert row.next_due_at == due + timedelta(hours=1)


def test_two_rings_at_once_make_one_batch(transactional_db: None) -> None:
    make_queue()
    rows = [recurring(f"r{n}", do, [{}] * 50, every=3600) for n in range(5)]
    for row in rows:
        _due(row, 1)
    start = threading.Barrier(4)

    def ring() -> None:
        try:
            start.wait()
            recur()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(Batch.objects.values_list("name", flat=True)) == [f"r{n}" for n in range(5)]
    assert_sound()


@pytest.mark.parametrize("step", ["insert_batch", "copy_jobs", "complete_batch", "link", "save", "commit"])
def test_killed_at_any_step_there_is_one_batch_in_the_end(
    step: str, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    make_queue()
    row = recurring("r", do, [{}] * 3, every=3600)
    due = _due(row, 1)

    class Killed(BaseException):
        pass

    def dying(verb: Any) -> Any:
        def call(name: str, /, *args: Any, **values: Any) -> Any:
            found = verb(name, *args, **values)
            if name == step:
                raise Killed
            return found

        return call

    def linked(*_args: Any, **_values: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        for verb in ("one", "run", "copy", "row", "rows"):
            patched.setattr(store, verb, dying(getattr(store, verb)))
        if step == "link":
            patched.setattr("queues.services.recur.log.info", linked)
        if step == "save":
            patched.setattr(Recurring, "save", linked)
        if step == "commit":
            made = service._one()
            assert made
        else:
            with pytest.raises(Killed):
                recur()
    assert Batch.objects.count() == (1 if step == "commit" else 0)
    assert Job.objects.count() == (3 if step == "commit" else 0)
    recur()
    recur()
    assert list(Batch.objects.values_list("due_at", flat=True)) == [due]
    assert_sound()


def test_two_processes_ring_and_one_is_killed_again_and_again(worker_env: dict[str, str]) -> None:
    make_queue()
    row = recurring("r", do, [{"n": n} for n in range(200)], every=1)
    due = _due(row, 0)
    code = (
        "import django; django.setup(); import tests.queues.working\n"
        "from queues.services.recur import recur\n"
        "print('up', flush=True)\n"
        "while True: recur()"
    )
    seen = 0
    for _turn in range(2):
        processes = [
            subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, env=worker_env, stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None and process.stdout.readline()
        wait_for(lambda wanted=seen + 2: Batch.objects.count() >= wanted, 30)  # type: ignore[misc]
        for process in processes:
            process.kill()
            process.communicate()
        seen = Batch.objects.count()
    dues = list(Batch.objects.order_by("due_at").values_list("due_at", flat=True))
    assert len(dues) == len(set(dues)) >= 4
    assert all((moment - due) % timedelta(seconds=1) == timedelta(0) for moment in dues)
    assert set(Batch.objects.values_list("total", "state")) == {(200, "running")}
    assert_sound()


def test_a_due_time_that_was_turned_back_is_not_made_twice() -> None:
    make_queue()
    row = recurring("r", do, [{}], every=3600)
    due = _due(row, 1)
    recur()
    Recurring.objects.filter(pk=row.pk).update(next_due_at=due)
    recur()
    row.refresh_from_db()
    assert (Batch.objects.count(), Job.objects.count(), row.last_error) == (1, 1, "")
    assert row.next_due_at == due + timedelta(hours=1)


def test_missed_times_make_one_batch_for_the_latest_and_a_note_of_the_others() -> None:
    make_queue()
    row = recurring("r", do, [{}], every=60)
    first = _due(row, 60 * 60 + 5)
    recur()
    latest = first + timedelta(minutes=60)
    assert [batch.due_at for batch in Batch.objects.all()] == [latest]
    entry = AuditEntry.objects.get(action="skip due times")
    assert (entry.outcome["missed"], entry.outcome["first"]) == (60, first.isoformat())
    row.refresh_from_db()
    assert row.next_due_at == latest + timedelta(minutes=1)


# what goes wrong


def test_a_source_that_fails_is_noted_and_does_not_stop_the_others(source: Any) -> None:
    make_queue()
    calls: list[int] = []

    @source("tests.fails")
    def fails() -> Iterator[Any]:
        yield {"n": 1}
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the other system is away")

    @source("tests.nothing")
    def nothing() -> list[Any]:
        return []

    bad = recurring("bad", do, source=fails, every=60)
    empty = recurring("empty", do, source="tests.nothing", every=60)
    good = recurring("good", do, [{}], every=60)
    for row in (bad, empty, good):
        _due(row, 1)
    recur()
    assert [batch.name for batch in Batch.objects.all()] == ["good"]
    assert Job.objects.count() == 1
    bad.refresh_from_db()
    assert bad.last_error == "RuntimeError: the other system is away"
    assert bad.next_due_at is not None and bad.next_due_at > database_now()
    empty.refresh_from_db()
    assert (empty.last_error, empty.last_due_at is not None) == ("", True)
    _due(bad, 1)
    recur()
    bad.refresh_from_db()
    assert (bad.last_error, Batch.objects.filter(name="bad").count()) == ("", 1)
    assert_sound()


def test_a_source_that_fails_when_a_person_asks_is_a_refusal(source: Any) -> None:
    make_queue()

    @source("tests.fails")
    def fails() -> Iterator[Any]:
        yield {"n": 1}
        raise RuntimeError("the other system is away")

    recurring("bad", do, source=fails, every=60)
    with pytest.raises(RecurringRefused, match="recurring 'bad': RuntimeError: the other system is away"):
        run_recurring(name="bad", actor="ann", source="api")
    refused = command("recurring", "run", "bad")
    assert (refused.code, "the other system is away" in refused.err) == (1, True)
    assert (Batch.objects.count(), Job.objects.count()) == (0, 0)


def test_a_handler_that_is_gone_is_noted() -> None:
    make_queue()
    row = recurring("r", do, [{}], every=60)
    Recurring.objects.update(handler="gone.away")
    _due(row, 1)
    recur()
    row.refresh_from_db()
    assert row.last_error.startswith("EnqueueError: unknown handler 'gone.away'")
    assert row.next_due_at is not None and row.next_due_at > database_now()


def test_a_source_with_more_than_one_batch_holds_is_split(source: Any, settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 10
    make_queue()

    @source("tests.many")
    def many() -> Iterator[int]:
        yield from range(25)

    row = recurring("r", do, source=many, every=60)
    _due(row, 1)
    recur()
    batch = Batch.objects.get(parent=None)
    assert (batch.total, batch.is_parent, batch.recurring_id) == (25, True, row.pk)
    assert batch.parts.filter(recurring=None).count() == 3


# setting


def test_it_is_made_once_and_changed_by_its_name() -> None:
    make_queue()
    row = recurring("r", do, [{}], cron="30 6 * * mon-fri", timezone="Europe/Berlin")
    recur()
    row.refresh_from_db()
    due = row.next_due_at
    assert due is not None and due.astimezone(BERLIN).hour == 6 and due.astimezone(BERLIN).isoweekday() <= 5
    same = recurring("r", do, [{}], cron="30 6 * * mon-fri", timezone="Europe/Berlin")
    assert (same.pk, same.next_due_at, AuditEntry.objects.count()) == (row.pk, due, 1)
    other = recurring("r", do, [{"x": 1}], cron="30 6 * * mon-fri", timezone="Europe/Berlin")
    assert (other.next_due_at, other.payloads) == (due, '[{"x":1}]')
    changed = recurring("r", do, [{"x": 1}], every=timedelta(minutes=5))
    assert (changed.pk, changed.next_due_at, changed.crontab_id) == (row.pk, None, None)
    assert (Recurring.objects.count(), CrontabSchedule.objects.filter(minute="30").count()) == (1, 1)
    assert IntervalSchedule.objects.get(pk=changed.interval_id).every == 300


def test_a_changed_crontab_is_heard_at_once() -> None:
    make_queue()
    row = recurring("r", do, [{}], cron="0 0 1 1 *")
    recur()
    line = CrontabSchedule.objects.get(pk=row.crontab_id)
    line.month_of_year = line.day_of_month = line.hour = line.minute = "*"
    line.save()
    recur()
    row.refresh_from_db()
    assert row.next_due_at is not None and row.next_due_at - database_now() <= timedelta(minutes=1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cron": "61 * * * *"}, "cron: minute"),
        ({"cron": "* * *"}, "five fields are needed, 3 found"),
        ({"cron": "0 0 30 2 *"}, "never occurs"),
        ({"cron": "0 0 * * *", "timezone": "Europe/Nowhere"}, "timezone: 'Europe/Nowhere'"),
        ({"cron": "0 0 * * *", "every": 5}, "either cron or every"),
        ({}, "either cron or every"),
        ({"every": 0}, "every: whole seconds"),
        ({"every": 0.5}, "every: whole seconds"),
        ({"every": 60, "payloads": []}, "at least one item"),
        ({"every": 60, "payloads": "abc"}, "many are needed"),
        ({"every": 60, "name": "a\0"}, "name: text of 1 to 200"),
        ({"every": 60, "name": 5}, "name: text of 1 to 200"),
        ({"every": 60, "metadata": [1]}, "metadata: an object is needed"),
        ({"every": 60, "metadata": {"k" * 201: 1}}, "metadata: .*a key of 201 characters"),
        ({"every": 60, "failure_mode": []}, "failure_mode: \\[\\] is not one of"),
        ({"every": 60, "payloads": [1, float("nan")]}, "item 1"),
        ({"every": 60, "source": "tests.unknown", "payloads": None}, "unknown source 'tests.unknown'"),
        ({"every": 60, "handler": "tests.unknown"}, "unknown handler"),
        ({"every": 60, "queue": "unknown"}, "unknown queue"),
        ({"every": 60, "priority": "urgent"}, "priority"),
        ({"every": 60, "failure_mode": "never"}, "failure_mode"),
        ({"every": 60, "name": " "}, "name"),
    ],
)
def test_what_cannot_work_is_refused_with_the_place(values: dict[str, Any], said: str) -> None:
    make_queue()
    values = {"name": "r", "handler": do, "payloads": [{}], **values}
    with pytest.raises(RecurringRefused, match=said):
        recurring(**values)
    assert (Recurring.objects.count(), AuditEntry.objects.count()) == (0, 0)


def test_the_row_itself_refuses_what_cannot_work() -> None:
    queue = make_queue()
    interval = IntervalSchedule.objects.create(every=5, period="microseconds")
    row = Recurring(name="r", queue=queue, handler="gone", interval=interval, payloads='{"a": 1}', metadata=[])
    with pytest.raises(ValidationError) as refusal:
        row.full_clean()
    assert {"handler", "interval", "payloads", "metadata"} <= set(refusal.value.message_dict)


def test_resting_enabling_running_and_removing() -> None:
    make_queue()
    row = recurring("r", do, [{}, {}], every=60)
    enable_recurring(name="r", enabled=False, actor="ann", source="api")
    Recurring.objects.update(next_due_at=database_now() - timedelta(days=1))
    recur()
    assert Batch.objects.count() == 0
    enable_recurring(name="r", enabled=True, actor="ann", source="api")
    recur()
    assert Batch.objects.count() == 0
    batch = run_recurring(name="r", actor="ann", source="api")
    batch.refresh_from_db()
    assert (batch.recurring_id, batch.due_at, batch.total, batch.created_by) == (row.pk, None, 2, "ann")
    run_recurring(name="r", actor="ann", source="api")
    remove_recurring(name="r", actor="ann", source="api")
    assert (Recurring.objects.count(), Batch.objects.filter(recurring=None).count()) == (0, 2)
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == [f"{verb} recurring" for verb in ("add", "disable", "enable", "run", "run", "remove")]
    with pytest.raises(RecurringRefused, match="no recurring batch is called 'r'"):
        run_recurring(name="r", actor="ann", source="api")


def test_the_command() -> None:
    make_queue()
    answer = command(
        "recurring", "add", "nightly", "tested.do", "--cron", "0 2 * * *", "--payloads", '[{"a": 1}]', "--json"
    )
    assert answer.code == 0, answer
    assert (answer.document["schedule"], answer.document["queue"]) == ("0 2 * * * UTC", "tested")
    assert "nightly" in command("recurring", "list").out
    assert command("recurring", "run", "nightly", "--json").document["jobs"] == 1
    assert command("recurring", "disable", "nightly", "--json").document == {"name": "nightly", "enabled": False}
    assert command("recurring", "list", "--json").document[0]["enabled"] is False
    assert command("recurring", "enable", "nightly").out == "recurring nightly is enabled\n"
    refused = command("recurring", "add", "x", "tested.do", "--cron", "99 * * * *", "--payloads", "[1]")
    assert (refused.code, "cron: minute" in refused.err) == (1, True)
    refused = command("recurring", "add", "x", "tested.do", "--every", "5m", "--payloads", "{}")
    assert (refused.code, "--payloads: a JSON list" in refused.err) == (2, True)
    assert command("recurring", "remove", "nightly").code == 0
    assert command("recurring", "remove", "nightly").code == 1


def test_it_is_rung_by_beat_and_where_beat_is_gone() -> None:
    from batchconsole.celery import RINGS

    assert RINGS["recur"] == ("queues.tasks.recur", 2)
    assert bells.ERRANDS["queues.tasks.recur"][0] is recur
    assert foreground.ERRANDS["recur"][0] is recur


def test_the_admin_sets_changes_switches_and_runs(admin_client: Any) -> None:
    queue = make_queue()
    every = IntervalSchedule.objects.create(every=5, period="minutes")
    page = "/admin/queues/recurring/"
    form = {
        **{"name": "r", "queue": queue.pk, "handler": "tested.do", "interval": every.pk, "payloads": '[{"a": 1}]'},
        **{"metadata": "{}", "failure_mode": "continue", "enabled": "on", "source": "", "priority": "", "crontab": ""},
    }
    assert b"a JSON list is needed" in admin_client.post(page + "add/", {**form, "payloads": "{}"}).content
    assert admin_client.post(page + "add/", form).status_code == 302
    row = Recurring.objects.get()
    recur()
    row.refresh_from_db()
    assert row.next_due_at is not None
    assert b"every 5 minutes" in admin_client.get(page).content
    admin_client.post(f"{page}{row.pk}/change/", {**form, "payloads": "[1, 2]"})
    row.refresh_from_db()
    assert (row.payloads, row.next_due_at is None) == ("[1, 2]", False)
    for action, enabled in [("disable", False), ("enable", True)]:
        act(admin_client, page, action, [row.pk])
        row.refresh_from_db()
        assert (row.enabled, row.next_due_at) == (enabled, None)
    act(admin_client, page, "run", [row.pk], reason="once more")
    assert Batch.objects.get().total == 2
    admin_client.post(f"{page}{row.pk}/delete/", {"post": "yes"})
    assert (Recurring.objects.count(), Batch.objects.get().recurring_id) == (0, None)
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert actions == {f"{verb} recurring" for verb in ("add", "change", "disable", "enable", "run", "remove")}
    assert AuditEntry.objects.get(action="run recurring").reason == "once more"
