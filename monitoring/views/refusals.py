"""Pages for what was refused, not found, or failed: what it was, and the way on."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

from monitoring import request_ids
from monitoring.permissions import Missing, may_view, who_can_give


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Which right is missing, which group has it, and, for those who may look, who can give it."""
    missing = exception.right if isinstance(exception, Missing) else None
    context = {"missing": missing, "givers": who_can_give() if may_view(request.user) else []}
    return render(request, "403.html", context, status=403)


def failed(request: HttpRequest) -> HttpResponse:
    """An error of ours. Rendered without the request: what has failed may be the database, which `user` would ask."""
    text = loader.get_template("500.html").render({"request_id": request_ids.current()})
    return HttpResponse(text, status=500)
