"""Pausing and resuming a queue."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from monitoring.permissions import operator_required
from monitoring.views.confirm import Question, ask, back, who
from queues.selectors import figures

PAUSE_EFFECT = "Workers claim nothing more from it; what runs already is finished. Enqueueing goes on, jobs wait."


@require_http_methods(["GET", "POST"])
@operator_required
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Ask for a reason, then pause."""
    _must_exist(name)
    if request.method != "POST":
        return ask(request, Question(f"Pause queue {name}?", f"Pause {name}", PAUSE_EFFECT))
    from queues.services import pause as service

    try:
        service.pause_queue(name=name, **who(request))
    except ValueError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Queue {name} is paused.")
    return redirect(back(request, "overview"))


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
    return redirect(back(request, "overview"))


def _must_exist(name: str) -> None:
    if not figures.queue_id(name):
        raise Http404(f"there is no queue {name}")
