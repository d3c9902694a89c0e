"""Changing the policy of a queue."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from monitoring import limits
from monitoring.filters import storable
from monitoring.permissions import operator_required
from monitoring.views.confirm import who
from monitoring.views.queues import queue_changes
from queues.selectors import clock
from queues.selectors import policy as policies
from queues.services.change_policy import FIELDS, PolicyRefused, change_policy

LONGEST = 2_000


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def queue_policy(request: HttpRequest, name: str) -> HttpResponse:
    """The form with what holds now; a post is checked as a whole, and refused field by field."""
    try:
        policy = policies.policy(name)
    except LookupError:
        raise Http404(f"there is no queue {name}") from None
    if request.method != "POST":
        return _form(request, policy, {}, {})
    given = {field: storable(request.POST[field])[:LONGEST] for field in FIELDS if field in request.POST}
    try:
        changed = change_policy(name=name, values=given, seen=request.POST.get("seen", ""), **who(request))
    except PolicyRefused as error:
        return _form(request, policy, given, error.fields)
    if changed:
        what = ", ".join(field.replace("_", " ") for field in changed)
        messages.success(request, f"Changed: {what}. It counts from the next run.")
    else:
        messages.info(request, "Nothing was different: the policy is as it was.")
    return redirect("queue", name=name)


def _form(request: HttpRequest, policy: policies.Policy, given: dict[str, str], flaws: dict[str, str]) -> HttpResponse:
    groups = [
        (title, [(field, given.get(field.name, field.value), flaws.get(field.name, "")) for field in fields])
        for title, fields in policy.groups.items()
    ]
    context = {
        "nav": "queues",
        "operate": True,
        "policy": policy,
        "groups": groups,
        "flaws": flaws,
        # As the page has them from top to bottom, and in its words.
        "wrong": [field for _title, fields in groups for field, _value, flaw in fields if flaw],
        "whole": flaws.get("", ""),
        "changes": limits.attempt(lambda: queue_changes(policy.queue, clock.database_now())),
        "advice": limits.attempt(lambda: policies.advice(policy.queue)),
        "reason": storable(request.POST.get("reason", ""))[:300],
    }
    return render(request, "monitoring/queue_policy.html", context, status=422 if flaws else 200)
