"""Retrying and deleting dead letters: those that were picked, or all that match a filter."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from monitoring.permissions import operator_required
from monitoring.views.act import act
from queues.domain.operating import Action

LIST = "dead-letters"
NOTHING = "Select dead letters first, or filter by queue, batch or cause to act on all."


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def retry(request: HttpRequest) -> HttpResponse:
    """Run them again."""
    return act(request, Action.RETRY_DEAD, otherwise=LIST, nothing=NOTHING)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def delete(request: HttpRequest) -> HttpResponse:
    """Throw them away."""
    return act(request, Action.DELETE_DEAD, otherwise=LIST, nothing=NOTHING)
