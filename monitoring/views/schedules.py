"""Recurring batches: the list, and what can be told to one."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import filters, moments
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views import once
from monitoring.views.confirm import Question, ask, back, who
from monitoring.views.page import show
from queues.selectors import recurring as schedules
from queues.services import recurring
from queues.services.feed import EnqueueError


@dataclass(frozen=True, slots=True)
class Order:
    """What a schedule can be told, and what is said of it before; `does` says what came of it.

    One that `makes` a batch gets a key, by which it makes it once.
    """

    verb: str
    command: str
    consequence: str
    does: Callable[..., str]
    makes: bool = False


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


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def act(request: HttpRequest, schedule_id: int, deed: str) -> HttpResponse:
    """Ask, then do."""
    order, what, by = ORDERS[deed], f"{deed} schedule {schedule_id}", who(request)
    if order.makes and (answered := once.answered(request, what)):
        return answered
    found = schedules.schedule(schedule_id)
    if found is None:
        raise Http404(f"there is no schedule {schedule_id}: it was removed")
    if order.makes and (begun := once.begun(request)):
        return begun
    if request.method != "POST":
        return ask(request, replace(_question(order, found.name), fields=once.fields(request) if order.makes else []))
    if order.makes:
        by["idempotency_key"] = once.key(request, what)
    try:
        said = order.does(found.name, by)
    except (recurring.RecurringRefused, EnqueueError) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said)
    return redirect(back(request, "schedules"))


def _question(order: Order, name: str) -> Question:
    # A name may begin with a dash: what comes after two of them is no option.
    command = shlex.join(["python", "manage.py", "recurring", order.command, *(["--"] * name.startswith("-")), name])
    return Question(f"{order.verb}: {name}?", order.verb, order.consequence, command=command)


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
    "run": Order(
        "Run now", "run", "Its batch is made now, apart from its schedule: the next due time stays.", _run, True
    ),
    "pause": Order(
        "Pause", "disable", "No batch is made until it is resumed. What is due meanwhile is not made up for.", _pause
    ),
    "resume": Order("Resume", "enable", "It is due again, for the first time after now.", _resume),
}
