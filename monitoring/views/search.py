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
    """Straight to the one thing that has this number or name; else what there is, by kind."""
    text = filters.storable(request.GET.get("q", ""))[: filters.LONGEST]
    groups = finding.search(text) if text else []
    if url := finding.only(groups):
        return redirect(url)
    further = finding.elsewhere(text) if text else []
    context = {"nav": "", "searched": text, "groups": groups, "further": further}
    return show(request, "monitoring/search.html", [], context)
