"""A page is an ordered list of panels: what all views of pages share."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix

from monitoring import frame, limits, panels
from monitoring.permissions import may_operate
from monitoring.snapshot import Snapshot


def show(
    request: HttpRequest,
    template: str,
    wanted: Iterable[tuple[str, str]],
    context: Mapping[str, Any],
    *,
    snapshot: Snapshot | None = None,
) -> HttpResponse:
    """The page with these panels, given as (name, subject). It reads for itself, not from what is shared:
    whoever has just changed something sees it."""
    operate = may_operate(request.user)
    try:
        topics = [panels.topic(name, subject, operate) for name, subject in wanted]
        rendered = panels.render_all(topics, snapshot or Snapshot())
    except panels.Gone as error:
        raise Http404(str(error)) from None
    # The frame is drawn by the base template, from what all pages share.
    watched = urlencode([*((topic.panel, topic.subject) for topic in topics), (frame.NAME, "")])
    live = f"{get_script_prefix()}live/?{watched}" if topics else ""
    shared = {"panels": rendered, "live": live, "operate": operate, **limits.words()}
    return render(request, template, {**shared, **context})
