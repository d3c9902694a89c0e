"""The page between wish and deed: what will happen, to how many, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.utils.encoding import iri_to_uri
from django.utils.http import url_has_allowed_host_and_scheme

from monitoring.filters import storable
from queues.domain import confirming
from queues.domain.confirming import LONGEST_REASON, TYPED_ABOVE


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked; `fields` are sent back with the answer. `spans` are times after which it ends by itself.

    `left_alone` are those with whom it is not possible, by reason; `choices` what is chosen in the form; `command` does
    the same on a terminal. `which` are meant, in words, as they stood at `bound`.
    """

    title: str
    verb: str
    consequence: str
    count: int | None = None
    dangerous: bool = False
    fields: Iterable[tuple[str, str]] = ()
    spans: Mapping[str, str] = field(default_factory=dict)
    left_alone: Mapping[str, int] = field(default_factory=dict)
    choices: Iterable[str] = ()
    choice: str = ""
    choice_name: str = ""
    command: str = ""
    which: str = ""
    bound: datetime | None = None

    @property
    def typed(self) -> bool:
        """Whether the number must be typed."""
        return self.count is not None and self.count > TYPED_ABOVE


def ask(request: HttpRequest, question: Question, error: str = "") -> HttpResponse:
    """Show the question; the form posts to the same address."""
    context = {
        "question": question,
        "back": back(request, "overview"),
        "error": error,
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
    }
    return render(request, "monitoring/confirm.html", context, status=422 if error else 200)


def mistyped(request: HttpRequest, question: Question) -> str:
    """What is wrong with the typed number, if one was asked for: it must be the number that was shown."""
    if not question.typed:
        return ""
    given = {name: request.POST.get(name, "") for name in ("typed", "shown")}
    return confirming.mistyped(question.count or 0, **given)


def who(request: HttpRequest) -> dict[str, Any]:
    """Whom the audit will name, and the reason given."""
    reason = storable(request.POST.get("reason", ""))[:LONGEST_REASON]
    return {"actor": request.user.get_username(), "source": "page", "reason": reason}


def back(request: HttpRequest, otherwise: str) -> str:
    """Where the asker came from, when it is a page of this site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    host = {request.get_host()}
    secure = request.is_secure()
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, host, require_https=secure):
        return iri_to_uri(wanted)
    return resolve_url(otherwise)
