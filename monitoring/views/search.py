"""The search of every page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from monitoring import filters
from monitoring import find as finding
from monitoring.permissions import viewer_required
from monitoring.views.page import show


@require_safe
@viewer_required
def search(request: HttpRequest) -> HttpResponse:
    """Straight to the one thing whose whole number or name this is; else what there is, by kind."""
    text = filters.bounded(request.GET.get("q", ""))
    if len(text) > filters.LONGEST:
        problem = f"This is longer than {filters.LONGEST} characters. Shorten it; nothing was searched."
        return show(request, "monitoring/search.html", [], {"nav": "", "searched": text, "problem": problem})
    groups = finding.search(text) if text else []
    if url := finding.only(groups):
        return redirect(url)
    further = finding.elsewhere(text) if text else []
    context = {"nav": "", "searched": text, "groups": groups, "further": further}
    return show(request, "monitoring/search.html", [], context)
