"""The overview."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import minutes, ranges, spans
from monitoring.permissions import viewer_required
from monitoring.views.page import show

PANELS = ("tiles", "attention", "throughput", "in-progress", "latency", "queues")


@require_safe
@viewer_required
def overview(request: HttpRequest) -> HttpResponse:
    """What is going on, at a glance."""
    shown = spans.chosen(request.GET, ranges.USUAL)
    wanted = [(name, shown.window.name if name in ("throughput", "latency") else "") for name in PANELS]
    context = {"nav": "overview", "windows": minutes.WINDOWS, "shown": shown}
    return show(request, "monitoring/overview.html", wanted, context)
