"""Beat's own tasks in the admin: whoever stops retention is in the activity list."""

from typing import Any

import pytest
from celery.signals import before_task_publish
from django.contrib.auth.models import Permission, User
from django.test import Client
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from queues.models import AuditEntry
from tests.queues.admin_asking import act, ask, said
from tests.queues.test_admin import boss

pytestmark = pytest.mark.django_db
__all__ = ["boss"]

TASKS = "/admin/django_celery_beat/periodictask/"


@pytest.fixture
def purge() -> PeriodicTask:
    hourly = IntervalSchedule.objects.create(every=1, period="hours")
    task: PeriodicTask = PeriodicTask.objects.create(name="purge", task="queues.tasks.purge", interval=hourly)
    return task


def told() -> list[tuple[Any, ...]]:
    facts = ("actor", "source", "action", "target", "reason")
    return list(AuditEntry.objects.order_by("pk").values_list(*facts))


def test_tasks_are_switched_after_a_question_and_told(boss: Client, purge: PeriodicTask) -> None:
    question = ask(boss, TASKS, "disable_tasks", [purge.pk])
    assert "without them no work is driven, archived or purged" in question.content.decode()
    purge.refresh_from_db()
    assert (purge.enabled, told()) == (True, [])
    assert "1 disabled." in said(act(boss, TASKS, "disable_tasks", [purge.pk], reason="the disk is being copied"))
    purge.refresh_from_db()
    assert not purge.enabled
    assert "1 not: it is disabled already" in said(act(boss, TASKS, "disable_tasks", [purge.pk]))
    assert "1 enabled." in said(act(boss, TASKS, "enable_tasks", [purge.pk]))
    assert "1 toggled." in said(act(boss, TASKS, "toggle_tasks", [purge.pk]))
    purge.refresh_from_db()
    assert not purge.enabled
    name = "periodic task purge: every hour"
    assert told() == [
        ("boss", "admin", "disable periodic task", name, "the disk is being copied"),
        ("boss", "admin", "enable periodic task", name, ""),
        ("boss", "admin", "disable periodic task", name, ""),
    ]


def test_a_task_is_run_once_and_told(boss: Client, purge: PeriodicTask) -> None:
    sent = []

    def hear(sender: str, headers: dict[str, Any], **_signal: Any) -> None:
        sent.append((sender, headers["periodic_task_name"]))

    before_task_publish.connect(hear)
    try:
        assert "1 sent." in said(act(boss, TASKS, "run_tasks", [purge.pk], reason="now"))
        PeriodicTask.objects.filter(pk=purge.pk).update(task="nobody.knows")
        assert "no task 'nobody.knows' is known here" in said(act(boss, TASKS, "run_tasks", [purge.pk]))
    finally:
        before_task_publish.disconnect(hear)
    assert sent == [("queues.tasks.purge", "purge")]
    assert told() == [("boss", "admin", "run periodic task", "periodic task purge: every hour", "now")]


def test_edits_and_removals_of_tasks_and_times_are_told(boss: Client, purge: PeriodicTask) -> None:
    form = {"name": "purge", "regtask": "", "task": "queues.tasks.purge", "interval": purge.interval_id}
    form |= {"args": "[]", "kwargs": "{}", "headers": "{}"}
    answer = boss.post(f"{TASKS}{purge.pk}/change/", form)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("change periodic task", "periodic task purge: every hour")
    assert entry.outcome["enabled"] is False
    assert any("Enabled" in field for field in entry.outcome["fields"])
    page = "/admin/django_celery_beat/intervalschedule/"
    boss.post(f"{page}{purge.interval_id}/delete/", {"post": "yes"})
    assert PeriodicTask.objects.count() == 0
    noon = {"minute": "0", "hour": "12", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    inline = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
    page = "/admin/django_celery_beat/crontabschedule/"
    assert boss.post(f"{page}add/", {**noon, "timezone": "UTC", **inline}).status_code == 302
    assert CrontabSchedule.objects.count() == 1
    assert [(action, target.split(" (")[0]) for _, _, action, target, _ in told()[1:]] == [
        ("remove periodic task", "periodic task purge: every hour"),
        ("remove interval", "interval every hour"),
        ("add crontab", "crontab 0 12 * * *"),
    ]


def test_who_may_only_look_at_tasks_switches_none(client: Client, purge: PeriodicTask) -> None:
    person = User.objects.create_user("someone", password="x", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_periodictask"))
    client.force_login(person)
    assert client.get(TASKS).status_code == 200
    act(client, TASKS, "disable_tasks", [purge.pk])
    purge.refresh_from_db()
    assert (purge.enabled, told()) == (True, [])
