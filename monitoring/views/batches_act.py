"""One deed with the batches that were picked in their list, or with all that match its filter: one question, one
operation, one notice at its end."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from monitoring import batch_filters, filters, list_panels
from monitoring.job_offers import Everything, Offer
from monitoring.permissions import operator_required
from monitoring.snapshot import Snapshot
from monitoring.templatetags.console import duration
from monitoring.views.act import tell
from monitoring.views.confirm import Question, ask, back, mistyped, who
from queues.domain.batch_deeds import BATCH_DEEDS, MOST, BatchAction
from queues.selectors import batch_lists, clock, trash
from queues.selectors.batch_lists import PAGE_SIZE, TRASHED
from queues.selectors.job_totals import Total
from queues.services import operate_batches
from queues.services.operate import OperationRefused
from queues.services.operate_batches import BatchPreview

DEEDS = {action.value.removesuffix("_batches"): action for action in BatchAction}
# What a list of batches offers, and what that of the trash does: action, word and drawing.
_OFFERED = [
    Offer("cancel", "Cancel", "slash"),
    Offer("pause", "Pause", "pause"),
    Offer("resume", "Resume", "play"),
    Offer("retry", "Retry failed", "retry"),
    Offer("delete", "Delete", "trash"),
]
_IN_TRASH = [Offer("restore", "Restore", "undo")]
# Of those that were picked, the first are named in words.
NAMED = 10


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def act(request: HttpRequest, deed: str) -> HttpResponse:
    """Ask, then do it with each batch whose state allows it; the others are left alone, and counted by reason."""
    if deed not in DEEDS:
        raise Http404(f"there is no {deed} of batches")
    posted = request.method == "POST"
    values = request.POST if posted else request.GET
    try:
        named = _named(values, posted=posted)
    except filters.Unclear as unclear:
        messages.error(request, f"{unclear} Nothing was changed.")
        return redirect(back(request, "batches"))
    if not named:
        messages.info(request, "Select batches first.")
        return redirect(back(request, "batches"))
    try:
        found = operate_batches.preview(action=DEEDS[deed].value, batches=named)
        question = _question(found, whole=bool(values.get("all")))
        if not posted:
            return ask(request, question)
        if found.eligible and (error := mistyped(request, question)):
            return ask(request, question, error)
        if found.eligible:
            asked = filters.unseal(values.get("until", ""))
            until = asked.isoformat() if asked else ""
            operation = operate_batches.start(action=found.action.value, batches=named, until=until, **who(request))
            tell(request, operation, BATCH_DEEDS[found.action].past)
        else:
            messages.warning(request, f"Nothing was changed: {_left_alone(found)}.")
    except OperationRefused as error:
        messages.error(request, f"{error}. Nothing was changed.")
    return redirect(back(request, "batches"))


def _named(values: Any, *, posted: bool) -> list[int]:
    """The batches that are meant: picked ones, or all that match a filter as it is asked; the answer names these.

    Raises `filters.Unclear` for a filter that is none, and for more batches than can be meant at once.
    """
    given = values.getlist("batch")
    if len(given) > PAGE_SIZE:
        raise filters.Unclear(f"At most {PAGE_SIZE} batches at once: {len(given):,} were selected.")
    if frozen := values.get("named", ""):
        given = frozen.split(",")
    elif values.get("all") and not given and not posted:
        found = batch_lists.newest_batches(batch_filters.query(values), MOST + 1)
        if not found:
            raise filters.Unclear("No batch matches.")
        if len(found) > MOST:
            raise filters.Unclear(f"More than {MOST:,} batches match: narrow the filter.")
        return found
    return sorted({number for text in given if (number := filters.whole_number(text))})


def everything(chosen: dict[str, str], snapshot: Snapshot) -> dict[str, Any]:
    """All batches that match the filter of a list, and how many; or why they cannot be meant at once."""
    count = list_panels.tallies(snapshot, chosen).get(chosen.get("state", ""))
    if count is None:
        return {"everything": Everything({}, "To change all that match, narrow the filter: counting took too long.")}
    if count > MOST:
        return {"everything": Everything({}, f"More than {MOST:,} match: narrow the filter to change all of them.")}
    # Without a filter all are meant: the state that is none says so.
    return {"everything": Everything({"state": "", **chosen}), "total": Total(count, True)}


def offered(state: str) -> list[Offer]:
    """What can be done with batches that are picked from a list of this state."""
    return _IN_TRASH if state == TRASHED else _OFFERED


def _question(found: BatchPreview, *, whole: bool) -> Question:
    deed, possible, all_ = BATCH_DEEDS[found.action], len(found.eligible), len(found.named)
    things, jobs = "batch" if possible == 1 else "batches", "job" if found.jobs == 1 else "jobs"
    kept = f" For {duration(trash.kept())} they can be restored." if found.action is BatchAction.DELETE else ""
    later = " Batches that appear later are left alone." if whole else ""
    named = ", ".join(map(str, found.named[:NAMED]))
    more = f" and {all_ - NAMED:,} more" if all_ > NAMED else ""
    return Question(
        title=f"{deed.verb} {possible} {things}?" if possible == all_ else f"{deed.verb} {possible} of {all_} batches?",
        verb=f"{deed.verb} {possible} {things}",
        consequence=f"{_possible(found)} {deed.consequence}{kept} It is about {found.jobs:,} {jobs}.{later}",
        # What is typed to confirm is the number of jobs; a batch without any is asked about all the same.
        count=(found.jobs or None) if possible else 0,
        dangerous=deed.dangerous,
        fields=[
            ("named", ",".join(map(str, found.named))),
            ("until", filters.seal(clock.database_now())),
            *[("all", "1")] * whole,
        ],
        left_alone=found.not_eligible,
        command=f"python {found.command}",
        which=f"{'batch' if all_ == 1 else 'batches'} {named}{more}",
    )


def _possible(found: BatchPreview) -> str:
    past, all_ = BATCH_DEEDS[found.action].past, len(found.named)
    if len(found.eligible) == all_:
        return f"{'It' if all_ == 1 else f'All {all_}'} can be {past}."
    return f"{len(found.eligible)} of {all_} can be {past}: {_left_alone(found)}."


def _left_alone(found: BatchPreview) -> str:
    return ", ".join(f"{count} not ({why})" for why, count in found.not_eligible.items())
