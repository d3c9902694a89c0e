"""Retrying and deleting dead letters: those that were picked, or all that match a filter."""

from dataclasses import dataclass
from typing import Any, Protocol

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from monitoring import filters
from monitoring.permissions import operator_required
from monitoring.views.confirm import Question, ask, back, mistyped, who
from queues.selectors import dead_letters

MOST_PICKED = 500
LIST = "dead-letters"


class Outcome(Protocol):
    """What the service tells of an operation."""

    state: str
    total: int
    changed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Deed:
    """The wording of a verb."""

    action: str
    verb: str
    past: str
    consequence: str
    dangerous: bool = False


RETRY = Deed("retry_dead", "Retry", "retried", "They run again with all their attempts, as soon as a worker is free.")
DELETE = Deed("delete_dead", "Delete", "deleted", "They are moved to the trash and do not run again.", True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was picked: single jobs, or everything under a filter."""

    job_ids: list[int]
    chosen: dict[str, str]

    @property
    def selection(self) -> dict[str, object]:
        """As the service takes it; empty when nothing was picked."""
        if self.job_ids:
            return {"job_ids": self.job_ids}
        return filters.selection(filters.dead_letter_query(self.chosen))

    @property
    def fields(self) -> list[tuple[str, str]]:
        """As a form sends it back."""
        if self.job_ids:
            return [("job", str(job_id)) for job_id in self.job_ids]
        return [("all", "1"), *self.chosen.items()]

    @property
    def scope(self) -> str:
        """In words."""
        words = {"queue": "of queue", "batch": "of batch", "cause": "with cause"}
        return " ".join(f"{words[name]} {value}" for name, value in self.chosen.items() if name in words)

    def count(self) -> int:
        """How many dead letters it is now."""
        if self.job_ids:
            return len(dead_letters.dead_letters_of(self.job_ids))
        return dead_letters.dead_letter_count(filters.dead_letter_query(self.chosen))


@require_http_methods(["GET", "POST"])
@operator_required
def retry(request: HttpRequest) -> HttpResponse:
    """Run them again."""
    return _act(request, RETRY)


@require_http_methods(["GET", "POST"])
@operator_required
def delete(request: HttpRequest) -> HttpResponse:
    """Throw them away."""
    return _act(request, DELETE)


def _act(request: HttpRequest, deed: Deed) -> HttpResponse:
    wanted = _wanted(request.POST if request.method == "POST" else request.GET)
    if not wanted.selection:
        messages.info(request, "Select dead letters first, or filter by queue, batch or cause to act on all.")
        return redirect(back(request, LIST))
    question = _question(deed, wanted)
    if request.method != "POST":
        return ask(request, question)
    if error := mistyped(request, question):
        return ask(request, question, error)
    from queues.services import operate

    try:
        outcome = operate.start(action=deed.action, selection=wanted.selection, **who(request))
    except ValueError as error:
        messages.error(request, str(error))
    else:
        _tell(request, deed, outcome)
    return redirect(back(request, LIST))


def _wanted(values: Any) -> Wanted:
    ids = [filters.whole_number(text) for text in values.getlist("job")[:MOST_PICKED]]
    chosen = filters.chosen(values) if values.get("all") and not any(ids) else {}
    return Wanted(sorted({job_id for job_id in ids if job_id}), chosen)


def _question(deed: Deed, wanted: Wanted) -> Question:
    count = wanted.count()
    things = "dead letter" if count == 1 else "dead letters"
    return Question(
        title=f"{deed.verb} {count:,} {things} {wanted.scope}".rstrip() + "?",
        verb=f"{deed.verb} {count:,} {things}",
        consequence=deed.consequence,
        count=count,
        dangerous=deed.dangerous,
        fields=wanted.fields,
    )


def _tell(request: HttpRequest, deed: Deed, outcome: Outcome) -> None:
    if outcome.state == "running":
        messages.success(request, f"{outcome.total:,} are being {deed.past} in the background.")
        return
    skipped = f", {outcome.skipped:,} no longer possible" if outcome.skipped else ""
    level = messages.SUCCESS if outcome.changed else messages.WARNING
    messages.add_message(request, level, f"{outcome.changed:,} {deed.past}{skipped}.")
