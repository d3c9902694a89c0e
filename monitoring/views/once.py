"""Questions whose answer makes a new batch: however often one is answered, it is made once.

Such a question has a token of its own, in its address and in its form. Who goes back to it has the same token, whether
the browser has kept the page or asks for it anew, and is led to the batch that was made.
"""

import secrets

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from monitoring import uploads
from queues.selectors import batches

FIELD = "form"


def token(request: HttpRequest) -> str:
    """The token of the question that is asked or answered; nothing where there is none."""
    given = request.POST if request.method == "POST" else request.GET
    found = given.get(FIELD, "")
    return found if uploads.TOKEN.fullmatch(found) else ""


def key(request: HttpRequest, what: str) -> str | None:
    """The idempotency key of what the answer makes; None for an answer to no question, as a script may send it."""
    found = token(request)
    return f"{what} {found}" if found else None


def fields(request: HttpRequest) -> list[tuple[str, str]]:
    """What the form of the question carries."""
    return [(FIELD, token(request))]


def answered(request: HttpRequest, what: str) -> HttpResponse | None:
    """The way to the batch that an answer to this question has made already."""
    found = key(request, what)
    made = batches.batch_of_key(found) if found else None
    if made is None:
        return None
    messages.info(request, f"This question was answered already: batch {made} was made then, and nothing more now.")
    return redirect("batch", batch_id=made)


def begun(request: HttpRequest) -> HttpResponse | None:
    """The way to a question of one's own, for who asks without a token."""
    if request.method == "POST" or token(request):
        return None
    given = request.GET.copy()
    given[FIELD] = secrets.token_hex(16)
    return redirect(f"{request.path}?{given.urlencode()}")
