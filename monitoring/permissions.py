"""Who may look and who may act. Checked on the server for every page, panel and change.

The same door gives each page its limit of time: a view that is open to people cannot be without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib.auth import get_user_model
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse

from monitoring.limits import limited

VIEW = "queues.view_console"
OPERATE = "queues.operate"
EMPTY_TRASH = "queues.empty_trash"
VIEWERS = "viewers"
OPERATORS = "operators"
ADMINISTRATORS = "administrators"

MOST_GIVERS = 5

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


@dataclass(frozen=True, slots=True)
class Right:
    """A permission: its name, what it allows, and the group that has it."""

    name: str
    allows: str
    group: str


RIGHTS = {
    right.name: right
    for right in (
        Right(VIEW, "look at the console", VIEWERS),
        Right(OPERATE, "act on jobs, batches, queues and workers", OPERATORS),
        Right(EMPTY_TRASH, "remove deleted jobs for good", ADMINISTRATORS),
    )
}


class Missing(PermissionDenied):
    """Refused for want of a right, which the page of the refusal names."""

    def __init__(self, name: str) -> None:
        self.right = RIGHTS[name]
        super().__init__(f"this needs the right to {self.right.allows}")


def who_can_give() -> list[str]:
    """Some of those who can put people into groups, by name."""
    people = get_user_model()._default_manager.with_perm("auth.change_user").filter(is_staff=True)
    return list(people.order_by("username").values_list("username", flat=True)[:MOST_GIVERS])


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
    return _guarded(view, may_view, VIEW)


def operator_required(view: View[P]) -> View[P]:
    """Only for those who may act."""
    return _guarded(view, may_operate, OPERATE)


def _guarded(view: View[P], allowed: Callable[[Any], bool], right: str) -> View[P]:
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _sign_in(request)
        if not allowed(request.user):
            raise Missing(right if may_view(request.user) else VIEW)
        return bounded(request, *args, **kwargs)

    bounded = limited(view)
    return cast(View[P], wraps(view)(guarded))


def _sign_in(request: HttpRequest) -> HttpResponse:
    # A fragment request would follow the redirect and put the sign-in page into a panel.
    if getattr(request, "htmx", False):
        return HttpResponse(status=401)
    return redirect_to_login(request.get_full_path() if request.method == "GET" else reverse("overview"))
