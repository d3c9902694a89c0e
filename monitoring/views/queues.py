"""Queues: the list, one of them, its pause."""

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import limits, minutes
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.confirm import Question, ask, back, who
from monitoring.views.page import show
from queues.selectors import clock, figures, policy, queue_page

PAUSE_EFFECT = "Workers claim nothing more from it; what runs already is finished. Enqueueing goes on, jobs wait."
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
    """All queues."""
    return show(request, "monitoring/queues.html", [("queue-list", "")], {"nav": "queues"})


@require_safe
@viewer_required
def queue_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One queue: how it stands, what comes and goes, its sizes, what runs next, its policy."""
    key = figures.queue_id(name)
    if not key:
        raise Http404(f"there is no queue {name}")
    window = request.GET.get("window", "")
    window = window if window in minutes.WINDOWS else minutes.USUAL
    snapshot = Snapshot()
    wanted = [(panel, name) for panel in ("queue-now", "queue-backlog", "queue-sizes")]
    context = {
        "nav": "queues",
        "name": name,
        "windows": minutes.WINDOWS,
        "window": window,
        "policy": policy.policy(name),
        "advice": limits.attempt(lambda: policy.advice(name)),
        "next_chunks": limits.attempt(lambda: queue_page.next_chunks(key, snapshot.now)),
        "read_at": snapshot.now,
    }
    panels = [*wanted, ("queue-flow", f"{name} {window}")]
    return show(request, "monitoring/queue.html", panels, context, snapshot=snapshot)


@require_http_methods(["GET", "POST"])
@operator_required
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Ask for a reason and until when, then pause."""
    _must_exist(name)
    if request.method != "POST":
        return ask(request, Question(f"Pause queue {name}?", f"Pause {name}", PAUSE_EFFECT, spans=SPAN_WORDS))
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


@require_http_methods(["GET", "POST"])
@operator_required
def resume(request: HttpRequest, name: str) -> HttpResponse:
    """Ask, then resume."""
    _must_exist(name)
    if request.method != "POST":
        question = Question(f"Resume queue {name}?", f"Resume {name}", "Workers claim what waits, in its order.")
        return ask(request, question)
    from queues.services import pause as service

    try:
        service.resume_queue(name=name, **who(request))
    except ValueError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Queue {name} is running.")
    return redirect(back(request, reverse("queue", args=[name])))


def _must_exist(name: str) -> None:
    if not figures.queue_id(name):
        raise Http404(f"there is no queue {name}")
