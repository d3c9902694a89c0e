"""Figures for Prometheus: for whoever has the token, or may look at the console."""

import hmac

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from monitoring.metrics import PAGE
from monitoring.permissions import may_view


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures, at most a second old. A scraper cannot sign in, so there is no way to the sign-in page."""
    if not (_has_token(request) or may_view(request.user)):
        raise PermissionDenied
    try:
        return HttpResponse(PAGE.text(), content_type=CONTENT_TYPE_LATEST)
    except DatabaseError:
        return HttpResponse("the database does not answer in time\n", content_type="text/plain", status=503)


def _has_token(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not token or scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())
