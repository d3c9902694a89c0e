"""Who may look and who may act. Checked on the server for every page, panel and change.

The same door gives each page its limit of time: a view that is open to people cannot be without it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from monitoring.limits import limited

VIEW = "queues.view_console"
OPERATE = "queues.operate"
EMPTY_TRASH = "queues.empty_trash"
VIEWERS = "viewers"
OPERATORS = "operators"

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def may_view(user: Any) -> bool:
    """Whether the console may be looked at."""
    return bool(user.is_authenticated and user.has_perm(VIEW))


def may_operate(user: Any) -> bool:
    """Whether jobs may be retried, cancelled, deleted and queues paused. Acting includes looking."""
    return may_view(user) and bool(user.has_perm(OPERATE))


def may_empty_trash(user: Any) -> bool:
    """Whether deleted jobs may be removed for good."""
    return may_operate(user) and bool(user.has_perm(EMPTY_TRASH))


def viewer_required(view: View[P]) -> View[P]:
    """Only for those who may look."""
    return _guarded(view, may_view)


def operator_required(view: View[P]) -> View[P]:
    """Only for those who may act."""
    return _guarded(view, may_operate)


def _guarded(view: View[P], allowed: Callable[[Any], bool]) -> View[P]:
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _sign_in(request)
        if not allowed(request.user):
            raise PermissionDenied
        return bounded(request, *args, **kwargs)

    bounded = limited(view)
    return cast(View[P], wraps(view)(guarded))


def _sign_in(request: HttpRequest) -> HttpResponse:
    # A fragment request would follow the redirect and put the sign-in page into a panel.
    if getattr(request, "htmx", False):
        return HttpResponse(status=401)
    return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")
