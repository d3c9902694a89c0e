"""What Django refuses before any view sees it."""

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.views.defaults import bad_request as refused

from monitoring.permissions import may_operate
from monitoring.views.submit import show_form


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The page for a malformed request; for too many pasted lines the form again, and the way out.

    The lines are read first by the check against forged requests, so that no view can catch this. The request is
    not read again here: what was left of it is gone.
    """
    too_big = isinstance(exception, RequestDataTooBig) and request.path == reverse("new-batch")
    if not too_big or not may_operate(request.user):
        return refused(request, exception)
    limit = filesizeformat(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    return show_form(
        request,
        f"The lines are more than {limit}, which is the most that can be pasted. Save them as a .jsonl or .csv file "
        "and choose it under File: a file may be larger. Nothing was enqueued.",
        given={},
        status=413,
    )
