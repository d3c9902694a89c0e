"""The one door to acting on many jobs: a question with the exact number, then the operation."""

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from monitoring import acting, filters
from monitoring.acting import Wanted
from monitoring.permissions import EMPTY_TRASH, Missing, may_empty_trash, operator_required
from monitoring.templatetags.console import duration
from monitoring.views.confirm import Question, ask, back, mistyped, who
from queues.domain.batch_deeds import BatchAction
from queues.domain.operating import Action
from queues.selectors import clock, trash
from queues.services import operate as operations
from queues.services import operation_wish
from queues.services.operate import OperationRefused
from queues.services.preview import Preview, preview_to

PAGES = {"retry", "cancel", "delete", "restore", "empty", "priority", "queue", "unarchive"}
NOTHING = "Select jobs first, or filter to act on all."


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def operate(request: HttpRequest, action: str) -> HttpResponse:
    """Do something with many jobs."""
    if action not in PAGES:
        raise Http404(f"there is no operation {action}")
    return act(request, Action(action), otherwise="operations")


def act(request: HttpRequest, action: Action, *, otherwise: str, nothing: str = NOTHING) -> HttpResponse:
    """Ask, or do it when the answer has come; then go back to where the asker came from."""
    if action is Action.EMPTY and not may_empty_trash(request.user):
        raise Missing(EMPTY_TRASH)
    posted = request.method == "POST"
    try:
        wanted = acting.wanted(action, request.POST if posted else request.GET)
    except filters.Unclear as error:
        messages.error(request, f"{error} Nothing was changed.")
        return redirect(back(request, otherwise))
    if not wanted.operation and not (posted and wanted.until):
        # From here on this is what is meant: what appears while the question is read was not asked for.
        wanted = replace(wanted, until=clock.database_now(), top=None)
    if not wanted.selection:
        messages.info(request, nothing)
        return redirect(back(request, otherwise))
    try:
        found = preview_to(action=action, selection=wanted.selection, to=wanted.to)
        return _answer(request, wanted, found, otherwise=otherwise)
    except OperationRefused as error:
        messages.error(request, str(error))
        return redirect(back(request, otherwise))


def _answer(request: HttpRequest, wanted: Wanted, found: Preview, *, otherwise: str) -> HttpResponse:
    if wanted.until and wanted.top is None and not wanted.job_ids:
        wanted = replace(wanted, top=found.selection.get("top"))
    question = _question(wanted, found)
    if request.method != "POST":
        return ask(request, question)
    error = mistyped(request, question) or _outgrown(request, wanted, question)
    if wanted.deed.option and not wanted.to:
        error = f"Choose the new {wanted.deed.option}."
    if error:
        return ask(request, question, error)
    operation = operations.start(
        action=wanted.action.value, selection=found.selection, options=wanted.options, **who(request)
    )
    tell(request, operation, wanted.deed.past)
    return redirect(back(request, otherwise))


def _outgrown(request: HttpRequest, wanted: Wanted, question: Question) -> str:
    """What is wrong with the answer to an older question: what bears an earlier time may have come to light after it,
    for its writer had not committed yet."""
    if "until" not in request.POST or wanted.job_ids:
        return ""
    if filters.unseal(request.POST["until"]) is None:
        return "This question is not one that was asked here. Look at it again."
    shown = filters.whole_number(request.POST.get("shown", ""))
    if shown is not None and question.count is not None and question.count > shown:
        return f"{question.count - shown:,} more have come to light. Look at the number again."
    return ""


def _question(wanted: Wanted, found: Preview) -> Question:
    count = found.total if wanted.action in (Action.RETRY_DEAD, Action.DELETE_DEAD) else found.eligible
    things = wanted.things[count != 1]
    least = "" if found.exact else "at least "
    later = " What dies from now on is left alone." if wanted.state == "dead" else " What comes later is left alone."
    return Question(
        title=f"{wanted.deed.verb} {least}{count:,} {things} {wanted.scope}".rstrip() + "?",
        verb=f"{wanted.deed.verb} {least}{count:,} {things}",
        consequence=wanted.deed.consequence + _way_back(wanted.action) + (later if wanted.until else ""),
        count=count,
        dangerous=wanted.deed.dangerous,
        fields=wanted.fields,
        left_alone=found.not_eligible,
        choices=operation_wish.choices(wanted.action),
        choice=wanted.to,
        choice_name=wanted.deed.option,
        command=f"python {found.command}",
        which=wanted.which,
        bound=wanted.until,
    )


def _way_back(action: Action) -> str:
    if action not in (Action.DELETE, Action.DELETE_DEAD):
        return ""
    return f" For {duration(trash.kept())} they can be brought back from there."


def tell(request: HttpRequest, operation: Any, past: str, said: str = "") -> None:
    """The outcome, with a way to undo a deletion, also one that goes on, and a link to the operation.

    `said` tells it in other words where all was done.
    """
    tags = f"operation-{operation.pk}"
    running = operation.state == "running"
    if past == "deleted" and (operation.changed or running):
        tags += " undo"
    if running:
        many = operation.total != 1
        things = ("batches" if many else "batch") if operation.action in set(BatchAction) else "jobs" if many else "job"
        text = f"{operation.total:,} {things} {'are' if many else 'is'} being {past} in the background."
        messages.success(request, text, extra_tags=tags)
        return
    if operation.action in {*BatchAction, Action.UNARCHIVE}:
        left = [f"{count} not: {why}" for why, count in sorted(operation.outcomes.items()) if why != past]
        skipped = "".join(f", {words}" for words in left)
    else:
        skipped = f", {operation.skipped:,} no longer possible" if operation.skipped else ""
    level = messages.SUCCESS if operation.changed else messages.WARNING
    text = said if said and not skipped else f"{operation.changed:,} {past}{skipped}."
    messages.add_message(request, level, text, extra_tags=tags)
