"""Who may look and who may act. Checked on the server for every page, panel and change.

The same door gives each page its limit of time: a view that is open to people cannot be without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import urlencode, urlsplit

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import get_script_prefix, reverse
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme

from monitoring.filters import Unclear
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
        try:
            return bounded(request, *args, **kwargs)
        except Unclear as error:
            # Of a page that has no place to say so, or of a file.
            return render(request, "monitoring/unclear.html", {"nav": "", "problem": str(error)}, status=400)

    bounded = limited(view)
    return cast(View[P], wraps(view)(guarded))


def _sign_in(request: HttpRequest) -> HttpResponse:
    # A fragment request would follow the redirect and put the sign-in page into a panel.
    if getattr(request, "htmx", False):
        return HttpResponse(status=401)
    if request.method in ("GET", "HEAD"):
        return redirect_to_login(request.get_full_path())
    # Said on the page of the form, where it is to be sent again; the sign-in page says it by its address.
    messages.warning(request, "Your sign-in had ended: nothing was sent. Look at it and send it again.")
    return redirect(f"{reverse('login')}?{urlencode({'next': _form_of(request), 'unsent': 1})}")


def _form_of(request: HttpRequest) -> str:
    """The page of this site that held the form; the overview where the browser does not say it."""
    given, host = request.headers.get("Referer", ""), {request.get_host()}
    if url_has_allowed_host_and_scheme(given, host, require_https=request.is_secure()):
        parts = urlsplit(given)
        path = iri_to_uri(parts._replace(scheme="", netloc="", fragment="").geturl())
        # One that begins with two slashes were the name of a host; back from the door to the door is a circle.
        if path.startswith(get_script_prefix()) and not path.startswith(("//", reverse("login"))):
            return path
    return reverse("overview")
