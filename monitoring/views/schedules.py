"""Recurring batches: the list, and what can be told to one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import filters, moments
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.confirm import Question, ask, back, who
from monitoring.views.page import show
from queues.selectors import recurring as schedules
from queues.services import recurring
from queues.services.feed import EnqueueError


@dataclass(frozen=True, slots=True)
class Order:
    """What a schedule can be told, and what is said of it before; `does` says what came of it."""

    verb: str
    command: str
    consequence: str
    does: Callable[..., str]


@require_safe
@viewer_required
def schedule_list(request: HttpRequest) -> HttpResponse:
    """All of them by name."""
    after = filters.storable(request.GET.get("after", ""))[: filters.LONGEST]
    rows, older = schedules.schedules_page(after=after)
    snapshot = Snapshot()
    context = {
        "nav": "schedules",
        "rows": rows,
        "after": after,
        "older": older,
        "control": moments.newest(),
        "now": snapshot.now,
    }
    return show(request, "monitoring/schedules.html", [], context, snapshot=snapshot)


@require_http_methods(["GET", "POST"])
@operator_required
def act(request: HttpRequest, schedule_id: int, deed: str) -> HttpResponse:
    """Ask, then do."""
    order, found = ORDERS[deed], schedules.schedule(schedule_id)
    if found is None:
        raise Http404(f"there is no schedule {schedule_id}: it was removed")
    if request.method != "POST":
        command = f"python manage.py recurring {order.command} '{found.name}'"
        title = f"{order.verb}: {found.name}?"
        return ask(request, Question(title, order.verb, order.consequence, command=command))
    try:
        said = order.does(found.name, who(request))
    except (recurring.RecurringRefused, EnqueueError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect(back(request, "schedules"))


def _run(name: str, by: dict[str, Any]) -> str:
    batch = recurring.run_recurring(name=name, **by)
    return f"Batch {batch.pk} of {name} is made: {batch.total:,} jobs."


def _pause(name: str, by: dict[str, Any]) -> str:
    recurring.enable_recurring(name=name, enabled=False, **by)
    return f"{name} rests."


def _resume(name: str, by: dict[str, Any]) -> str:
    recurring.enable_recurring(name=name, enabled=True, **by)
    return f"{name} comes again."


ORDERS = {
    "run": Order("Run now", "run", "Its batch is made now, apart from its schedule: the next due time stays.", _run),
    "pause": Order(
        "Pause", "disable", "No batch is made until it is resumed. What is due meanwhile is not made up for.", _pause
    ),
    "resume": Order("Resume", "enable", "It is due again, for the first time after now.", _resume),
}
