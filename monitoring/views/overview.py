"""The overview."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring.permissions import viewer_required
from monitoring.views.page import show

PANELS = ("tiles", "throughput", "in-progress", "queues")


@require_safe
@viewer_required
def overview(request: HttpRequest) -> HttpResponse:
    """What is going on, at a glance."""
    return show(request, "monitoring/overview.html", [(name, "") for name in PANELS], {"nav": "overview"})
