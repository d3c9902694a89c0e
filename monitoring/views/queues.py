"""Queues: the list, one of them, its pause."""

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import limits, minutes, queue_filters, spans
from monitoring.activity import Fact, outcome
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.confirm import Question, ask, back, who
from monitoring.views.page import show
from queues.selectors import activity, clock, figures, policy, queue_page

PAUSE_EFFECT = "Workers claim nothing more from it; what runs already is finished. Enqueueing goes on, jobs wait."
CHANGES, CHANGES_WITHIN = 8, timedelta(days=365)
SPANS = {"10m": timedelta(minutes=10), "1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(hours=24)}
SPAN_WORDS = {
    "10m": "10 minutes from now",
    "1h": "an hour from now",
    "6h": "6 hours from now",
    "24h": "24 hours from now",
}


@require_safe
@viewer_required
def queue_list(request: HttpRequest) -> HttpResponse:
    """The queues by name, a page of them."""
    asked = queue_filters.canonical(request.META.get("QUERY_STRING", ""))
    return show(
        request,
        "monitoring/queues.html",
        [("queue-list", asked)],
        {"nav": "queues", "name": request.GET.get("name", "")},
    )


@require_safe
@viewer_required
def queue_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One queue: how it stands, what comes and goes, its sizes, what runs next, its policy."""
    key = figures.queue_id(name)
    if not key:
        raise Http404(f"there is no queue {name}")
    shown = spans.chosen(request.GET)
    snapshot = Snapshot()
    wanted = [(panel, name) for panel in ("queue-now", "queue-backlog", "queue-sizes", "queue-next")]
    context = {
        "nav": "queues",
        "name": name,
        "windows": minutes.WINDOWS,
        "shown": shown,
        "policy": policy.policy(name),
        "advice": limits.attempt(lambda: policy.advice(name)),
        "changes": limits.attempt(lambda: queue_changes(name, snapshot.now)),
    }
    panels = [*wanted, ("queue-flow", f"{name} {shown.window.name}")]
    return show(request, "monitoring/queue.html", panels, context, snapshot=snapshot)


def queue_changes(name: str, now: datetime) -> list[tuple[activity.Entry, list[Fact]]]:
    """Who changed or paused it lately, and how, the last first."""
    return [(entry, outcome(entry)) for entry in activity.deeds(now - CHANGES_WITHIN, CHANGES, target=name)]


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Ask for a reason and until when, then pause."""
    key = _must_exist(name)
    if request.method != "POST":
        effect = f"{PAUSE_EFFECT} {_now(key)}"
        command = f"python manage.py queues pause {name}"
        return ask(
            request, Question(f"Pause queue {name}?", f"Pause {name}", effect, spans=SPAN_WORDS, command=command)
        )
    from queues.services import pause as service

    span = SPANS.get(request.POST.get("span", ""))
    until = clock.database_now() + span if span else None
    try:
        service.pause_queue(name=name, until=until, **who(request))
    except ValueError as error:
        messages.error(request, str(error))
    else:
        end = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        messages.success(request, f"Queue {name} is paused{end}.")
    return redirect(back(request, reverse("queue", args=[name])))


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def resume(request: HttpRequest, name: str) -> HttpResponse:
    """Ask, then resume."""
    key = _must_exist(name)
    if request.method != "POST":
        effect = f"Workers claim what waits, in its order. {_now(key)}"
        command = f"python manage.py queues resume {name}"
        return ask(request, Question(f"Resume queue {name}?", f"Resume {name}", effect, command=command))
    from queues.services import pause as service

    try:
        service.resume_queue(name=name, **who(request))
    except ValueError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Queue {name} is running.")
    return redirect(back(request, reverse("queue", args=[name])))


def _must_exist(name: str) -> int:
    key = figures.queue_id(name)
    if not key:
        raise Http404(f"there is no queue {name}")
    return key


def _now(key: int) -> str:
    """What waits and runs, so that the effect can be judged."""
    waits = queue_page.backlog(key, clock.database_now())
    due, least = sum(share.due for share in waits.shares), "" if waits.exact else "more than "
    return f"Now {least}{due:,} jobs are due in it and {figures.running_jobs().get(key, 0):,} run."
