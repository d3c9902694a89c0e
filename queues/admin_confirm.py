"""The page between an action of the admin and its deed: with how many, with which not and why, and for what reason.

Django calls an action with the rows that were ticked, or with all of a list. The first call shows the question; its
form comes back to the same list with the keys that were meant then, so that what appeared meanwhile is not touched.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from queues.domain.confirming import LONGEST_REASON, TYPED_ABOVE, mistyped
from queues.domain.text import clean
from queues.selectors.clock import database_now
from queues.services.selection import OperationRefused

SEALED = Signer(salt="queues.admin_confirm")
# Of those that are meant, the first are named; and as many commands are shown, where each takes one.
NAMED = 10

# A level of Django's messages, and what is said.
Notice = tuple[int, str]
Act = Callable[[Any, HttpRequest, "QuerySet[Any]"], HttpResponse | None]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `count` are those with which it is possible; `jobs`, where it is about jobs, may have to be typed.

    `left_alone` are the others, by reason; `choices` what is chosen in the form, called `choice_name`; `command` does
    the same on a terminal.
    """

    title: str
    verb: str
    consequence: str
    which: str
    count: int
    jobs: int = 0
    left_alone: Mapping[str, int] = field(default_factory=dict)
    choices: Sequence[str] = ()
    choice_name: str = ""
    command: str = ""
    dangerous: bool = False

    @property
    def typed(self) -> bool:
        """Whether the number of jobs must be typed."""
        return self.jobs > TYPED_ABOVE

    @property
    def left(self) -> list[tuple[str, str]]:
        """Those that are left alone: how many, and why."""
        return [(f"{count:,}", why) for why, count in self.left_alone.items()]


class Deed(Protocol):
    """What an action does with rows, at most `most` of them; `to` is what was chosen in the form."""

    @property
    def most(self) -> int: ...

    def ask(self, rows: "QuerySet[Any]", keys: list[Any], to: str) -> Question: ...

    def do(
        self, rows: "QuerySet[Any]", keys: list[Any], to: str, asked_at: str, who: Mapping[str, str]
    ) -> list[Notice]: ...


def asked(name: str, words: str, deed: Deed, *, right: str = "operate") -> Act:
    """An action of the admin that asks before it does its deed; `words` stand in the list of actions."""

    def action(page: "admin.ModelAdmin[Any]", request: HttpRequest, queryset: "QuerySet[Any]") -> HttpResponse | None:
        try:
            return _answer(page, request, queryset, name, deed)
        except OperationRefused as error:
            page.message_user(request, f"{error}. Nothing was changed.", messages.ERROR)
            return None

    action.__name__ = name
    return admin.action(description=words, permissions=[right])(action)


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its word."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def named(labels: Sequence[object]) -> str:
    """The first of many, and how many more."""
    more = f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else ""
    return clean(", ".join(map(str, labels[:NAMED]))) + more


def _answer(
    page: "admin.ModelAdmin[Any]", request: HttpRequest, queryset: "QuerySet[Any]", name: str, deed: Deed
) -> HttpResponse | None:
    keys, to = _keys(request, queryset, deed.most), request.POST.get("to", "")
    rows = queryset.filter(pk__in=keys)
    question = deed.ask(rows, keys, to)
    error = ""
    if "confirmed" in request.POST and question.count:
        error = _flaw(request, question, to)
        if not error:
            for level, text in deed.do(rows, keys, to, _asked_at(request), _who(request)):
                page.message_user(request, text, level)
            return None
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "media": page.media,
        "title": question.title,
        "question": question,
        "action": name,
        "checkbox": ACTION_CHECKBOX_NAME,
        "keys": keys,
        "asked_at": SEALED.sign(database_now().isoformat()),
        "to": to,
        "reason": request.POST.get("reason", "")[:LONGEST_REASON],
        "longest": LONGEST_REASON,
        "error": error,
    }
    return TemplateResponse(request, "admin/queues/confirm.html", context, status=422 if error else 200)


def _keys(request: HttpRequest, queryset: "QuerySet[Any]", most: int) -> list[Any]:
    """Which rows are meant. They come back in one field: ten thousand are more fields than a form may have."""
    if "confirmed" not in request.POST:
        keys = list(queryset.order_by("pk").values_list("pk", flat=True)[: most + 1])
    else:
        key = queryset.model._meta.pk
        try:
            keys = [key.clean(text, None) for text in request.POST.get("keys", "").split(",")]
        except ValidationError:
            raise OperationRefused("what was confirmed is not what was asked here") from None
    if len(keys) > most:
        raise OperationRefused(f"at most {most:,} at once; of jobs the console and `manage.py operate` take any number")
    return keys


def _flaw(request: HttpRequest, question: Question, to: str) -> str:
    if question.choices and to not in question.choices:
        return f"Choose the new {question.choice_name}."
    given = {name: request.POST.get(name, "") for name in ("typed", "shown")}
    return mistyped(question.jobs, **given) if question.typed else ""


def _asked_at(request: HttpRequest) -> str:
    """When it was asked, as ISO text: what happens later was not meant. One question has one such time."""
    try:
        return SEALED.unsign(request.POST.get("asked_at", ""))
    except BadSignature:
        raise OperationRefused("what was confirmed is not what was asked here") from None


def _who(request: HttpRequest) -> dict[str, str]:
    """Whom the activity list will name, and the reason given."""
    reason = clean(request.POST.get("reason", "")).strip()[:LONGEST_REASON]
    return {"actor": request.user.get_username(), "source": "admin", "reason": reason}
