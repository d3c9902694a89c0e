"""Help."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from monitoring.permissions import viewer_required, who_can_give


@require_safe
@viewer_required
def help_page(request: HttpRequest) -> HttpResponse:
    """The keys and the words, for those without the dialog; and who may do what."""
    return render(request, "monitoring/help.html", {"nav": "", "givers": who_can_give()})
