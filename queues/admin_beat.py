"""The admin of django-celery-beat's tasks and times: they drive the work and keep retention, so each change is told."""

from functools import partial
from json import loads
from typing import Any

from celery import current_app
from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_celery_beat import admin as beat
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from kombu.exceptions import OperationalError

from queues.admin_confirm import asked
from queues.admin_deeds import OfEach
from queues.admin_people import Told
from queues.services import audit


class TaskRefused(ValueError):
    """The task cannot be run: the message says why."""


def _switch(*, task: int, to: bool | None, **who: str) -> None:
    """Enable or disable a task, or whatever it is not."""
    with transaction.atomic():
        row = PeriodicTask.objects.select_for_update(no_key=True).get(pk=task)
        row.enabled = not row.enabled if to is None else to
        row.save()
        _record(row, "enable" if row.enabled else "disable", who)


def _run(*, task: int, **who: str) -> None:
    """Send a task once, apart from its times."""
    current_app.loader.import_default_modules()
    row = PeriodicTask.objects.get(pk=task)
    known = current_app.tasks.get(row.task)
    if known is None:
        raise TaskRefused(f"no task {row.task!r} is known here")
    wish = {"args": loads(row.args), "kwargs": loads(row.kwargs), "headers": {"periodic_task_name": row.name}}
    with transaction.atomic():
        _record(row, "run", who)
        known.apply_async(**wish, **({"queue": row.queue} if row.queue else {}))


def _record(row: Any, verb: str, who: dict[str, str]) -> None:
    audit.record(**who, action=f"{verb} periodic task", target=f"periodic task {row}")


def _of_tasks(verb: str, past: str, consequence: str, call: Any, **more: Any) -> OfEach:
    return OfEach(
        verb=verb,
        past=past,
        thing="periodic task",
        consequence=consequence,
        call=call,
        argument="task",
        label="name",
        **more,
    )


_RESTS = "While they rest nobody does what they do: without them no work is driven, archived or purged."
_ENABLE = _of_tasks(
    "Enable",
    "enabled",
    "They come again at their times.",
    partial(_switch, to=True),
    why_not=lambda row: "it is enabled already" if row.enabled else "",
)
_DISABLE = _of_tasks(
    "Disable",
    "disabled",
    _RESTS,
    partial(_switch, to=False),
    why_not=lambda row: "" if row.enabled else "it is disabled already",
    dangerous=True,
)
_TOGGLE = _of_tasks(
    "Toggle",
    "toggled",
    f"Those that come are disabled, those that rest are enabled. {_RESTS}",
    partial(_switch, to=None),
    dangerous=True,
)
_RUN = _of_tasks(
    "Run",
    "sent",
    "Each is sent to the workers once, now. Its times stay as they are.",
    _run,
    refused=(TaskRefused, OperationalError),
)


class ToldTaskAdmin(Told, beat.PeriodicTaskAdmin):  # type: ignore[misc]
    """Tasks: the entry of a change says whether they come from then on."""

    actions = (
        asked("enable_tasks", "Enable", _ENABLE, right="change"),
        asked("disable_tasks", "Disable", _DISABLE, right="change"),
        asked("toggle_tasks", "Toggle", _TOGGLE, right="change"),
        asked("run_tasks", "Run now, apart from their times", _RUN, right="change"),
    )

    def tell(self, request: HttpRequest, verb: str, obj: Model, **more: Any) -> None:
        """With the switch."""
        super().tell(request, verb, obj, **more, enabled=getattr(obj, "enabled", None))


class ToldScheduleAdmin(Told, beat.ScheduleAdmin):  # type: ignore[misc]
    """Times. With one of them go the tasks that come by it."""

    def log_deletions(self, request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
        """The tasks first: once the times are gone nobody knows them."""
        for obj in queryset:
            for task in obj.periodictask_set.all():
                self.tell(request, "remove", task)
        return super().log_deletions(request, queryset)


class ToldClockedAdmin(ToldScheduleAdmin, beat.ClockedScheduleAdmin):  # type: ignore[misc]
    """Single times."""


class ToldCrontabAdmin(ToldScheduleAdmin, beat.CrontabScheduleAdmin):  # type: ignore[misc]
    """Crontabs."""


# Imported above, theirs are registered by now.
for model, made in (
    (PeriodicTask, ToldTaskAdmin),
    (ClockedSchedule, ToldClockedAdmin),
    (CrontabSchedule, ToldCrontabAdmin),
    (IntervalSchedule, ToldScheduleAdmin),
    (SolarSchedule, ToldScheduleAdmin),
):
    admin.site.unregister(model)
    admin.site.register(model, made)
