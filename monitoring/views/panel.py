"""One panel by itself: for pages whose socket is down, and for whoever watches without one."""

import time

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from monitoring import panels
from monitoring.permissions import may_operate, viewer_required
from monitoring.snapshot import SHARED


@require_safe
@viewer_required
def panel(request: HttpRequest, name: str) -> HttpResponse:
    """The panel from the reading that all share: polling costs the database no more than watching."""
    try:
        topic = panels.topic(name, request.GET.get("subject", ""), may_operate(request.user))
        return HttpResponse(panels.render_calmly(topic, SHARED.get(time.monotonic())))
    except panels.Gone as error:
        raise Http404(str(error)) from None
