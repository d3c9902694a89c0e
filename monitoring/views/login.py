"""The door: signing in by link or by password."""

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from monitoring.login_links import consume_login_link


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@csrf_protect
@sensitive_post_parameters("token")
def login_link(request: HttpRequest) -> HttpResponse:
    """GET shows one button, so that a preview or a scanner uses nothing up; POST consumes the link.

    The page keeps the site's policy for the Referer: under `no-referrer` browsers post `Origin: null`, which
    the check against forged requests refuses. There is nothing to keep back, the fragment is never sent.
    """
    if request.method != "POST":
        return render(request, "registration/login_link.html")
    user = consume_login_link(request.POST.get("token", ""))
    if user is None:
        return render(request, "registration/login_link.html", {"refused": True}, status=410)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    response = redirect(settings.LOGIN_REDIRECT_URL)
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
