"""What is done with one batch: each asks first, says how many jobs it is about, and says why where it cannot be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from monitoring import batch_panels
from monitoring.permissions import EMPTY_TRASH, Missing, may_empty_trash, operator_required
from monitoring.snapshot import BatchLine, Snapshot
from monitoring.templatetags.console import duration
from monitoring.views import once
from monitoring.views.act import tell
from monitoring.views.confirm import Question, ask, mistyped, who
from queues.domain.batch_deeds import BATCH_DEEDS, BatchAction, command_line
from queues.domain.operating import Action, why_not
from queues.domain.states import JobState
from queues.selectors import batch_trash, trash
from queues.services import again, batch_pause, delete, operate_batches
from queues.services.enqueue import seal as seal_service
from queues.services.feed import EnqueueError
from queues.services.operate import OperationRefused

# What the form of the question about a batch in the trash carries, and no other.
FOR_GOOD = ("for_good", "1")


@dataclass(frozen=True, slots=True)
class Done:
    """Where the person is sent, and what is said there; `operation` is the one that does it, where one does."""

    page: str
    argument: int | None
    said: str
    operation: Any = None


@dataclass(frozen=True, slots=True)
class _Act:
    """A deed: what is asked, what is done with the answer, and the command that does the same with a number.

    One that `makes` a batch gets a key, by which it makes it once.
    """

    question: Callable[[BatchLine], Question]
    do: Callable[[int, Mapping[str, Any]], Done]
    command: str
    makes: bool = False


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def act(request: HttpRequest, batch_id: int, deed: str) -> HttpResponse:
    """Ask, then do."""
    if _ACTS[deed].makes and (answered := once.answered(request, _what(deed, batch_id))):
        return answered
    line = Snapshot({batch_id}).batch(batch_id)
    if line is None:
        raise Http404(f"there is no batch {batch_id}")
    gone = batch_trash.in_trash(batch_id)
    possible = {one.name: one for one in batch_panels.deeds(line, gone)}[deed]
    if possible.why_not:
        messages.error(request, f"{possible.verb} is not possible: {possible.why_not}.")
        return redirect("batch", batch_id=batch_id)
    trashed = deed == "delete" and gone is not None
    if trashed and request.method == "POST" and request.POST.get(FOR_GOOD[0]) != FOR_GOOD[1]:
        # The question was about the trash: sent twice, or answered after somebody else had done it.
        messages.info(request, f"Batch {batch_id} is in the trash already. Nothing was changed.")
        return redirect("batch", batch_id=batch_id)
    if trashed and not may_empty_trash(request.user):
        raise Missing(EMPTY_TRASH)
    return _answer(request, line, _FOR_GOOD if trashed else _ACTS[deed], _what(deed, batch_id))


def _what(deed: str, batch_id: int) -> str:
    """What a key of this deed begins with."""
    return f"{deed} {batch_id}"


def _answer(request: HttpRequest, line: BatchLine, wanted: _Act, what: str) -> HttpResponse:
    batch_id, by = line.row.id, who(request)
    question = replace(wanted.question(line), command=f"python {wanted.command.format(batch_id)}")
    if wanted.makes:
        if begun := once.begun(request):
            return begun
        question = replace(question, fields=once.fields(request))
        by["idempotency_key"] = once.key(request, what)
    if request.method != "POST":
        return ask(request, question)
    if error := mistyped(request, question):
        return ask(request, question, error)
    try:
        done = wanted.do(batch_id, by)
    except (ValueError, EnqueueError) as error:
        # Somebody was quicker, or what is asked cannot be: the service says which, with nothing changed.
        messages.error(request, f"{error}. Nothing was changed.")
        return redirect("batch", batch_id=batch_id)
    if done.operation:
        tell(request, done.operation, BATCH_DEEDS[BatchAction(done.operation.action)].past, done.said)
    else:
        messages.success(request, done.said)
    return redirect(done.page) if done.argument is None else redirect(done.page, done.argument)


def _operate(action: BatchAction, batch_id: int, who: Mapping[str, Any]) -> Any:
    """The operation of the list of batches, with this one. Raises `ValueError` where it is not possible."""
    found = operate_batches.preview(action=action, batches=[batch_id])
    if not found.eligible:
        raise OperationRefused(", ".join(found.not_eligible))
    return operate_batches.start(action=action, batches=[batch_id], **who)


def _name(line: BatchLine) -> str:
    return f"batch “{line.row.name}”" if line.row.name else f"batch {line.row.id}"


def _ask_seal(line: BatchLine) -> Question:
    effect = f"It takes no more jobs. The {line.counts.waiting:,} it has start as soon as nothing else holds them."
    return Question(f"Seal {_name(line)}?", "Seal the batch", effect)


def _seal(batch_id: int, who: Mapping[str, Any]) -> Done:
    seal_service(batch_id, **who)
    return Done("batch", batch_id, "The batch is sealed: its jobs run, and it can end.")


def _ask_pause(line: BatchLine) -> Question:
    effect = (
        f"{line.counts.waiting:,} waiting jobs are held until somebody resumes it, and so is whatever is to be tried "
        f"again meanwhile. {line.counts.running:,} that run are finished."
    )
    return Question(f"Pause {_name(line)}?", "Pause the batch", effect)


def _pause(batch_id: int, who: Mapping[str, Any]) -> Done:
    held = batch_pause.pause_batch(batch_id=batch_id, **who)
    return Done("batch", batch_id, f"The batch is paused: {held:,} waiting jobs are held.")


def _ask_resume(line: BatchLine) -> Question:
    effect = "What the pause holds runs as soon as a worker is free."
    return Question(f"Resume {_name(line)}?", "Resume the batch", effect)


def _resume(batch_id: int, who: Mapping[str, Any]) -> Done:
    released = batch_pause.resume_batch(batch_id=batch_id, **who)
    return Done("batch", batch_id, f"The batch goes on: {released:,} jobs are ready.")


def _ask_cancel(line: BatchLine) -> Question:
    counts = line.counts
    effect = (
        f"{counts.waiting:,} waiting will not run. {counts.running:,} running stop before their next "
        "job, within two seconds. What has succeeded stays as it is."
    )
    ended = {
        JobState.SUCCEEDED: counts.succeeded,
        JobState.DEAD: counts.dead,
        JobState.CANCELLED: counts.cancelled,
        JobState.TRASHED: counts.trashed,
    }
    return Question(
        f"Cancel {_name(line)}?",
        "Cancel the batch",
        effect,
        # A batch that has nothing left to run is about to end; being asked about no jobs says so.
        count=counts.unended,
        dangerous=True,
        left_alone={why_not(Action.CANCEL, state): jobs for state, jobs in ended.items() if jobs},
        which=f"{counts.unended:,} of {counts.total:,} jobs",
    )


def _cancel(batch_id: int, who: Mapping[str, Any]) -> Done:
    operation = _operate(BatchAction.CANCEL, batch_id, who)
    jobs = operate_batches.jobs_of(operation).get(str(batch_id), 0)
    return Done("batch", batch_id, f"The batch is cancelled: {jobs:,} waiting jobs will not run.", operation)


def _ask_clone(line: BatchLine) -> Question:
    effect = (
        f"All {line.row.total:,} jobs, whatever came of them, are enqueued once more as a new batch with the same "
        "handler, queue and policy. This batch stays as it is."
    )
    return Question(f"Run all of {_name(line)} again?", "Enqueue a new batch", effect, count=line.row.total)


def _clone(batch_id: int, who: Mapping[str, Any]) -> Done:
    made: Any = again.retry_batch(batch_id, "all", **who)
    return Done("batch", made.pk, f"{made.total:,} jobs are enqueued: this is the new batch.")


def _ask_delete(line: BatchLine) -> Question:
    parts = ", its parts" if line.row.is_parent else ""
    effect = (
        f"The batch{parts} and all {line.row.total:,} jobs go to the trash for {duration(trash.kept())} and can be "
        "restored from there, whole. Until then its dead letters stay in their list. After that everything of it is "
        "removed: jobs, tries, results, dead letters and archived rows."
    )
    return Question(f"Delete {_name(line)}?", "Delete the batch", effect, count=line.row.total, dangerous=True)


def _delete(batch_id: int, who: Mapping[str, Any]) -> Done:
    said = f"Batch {batch_id} is deleted. It can be restored for {duration(trash.kept())}."
    return Done("batch", batch_id, said, _operate(BatchAction.DELETE, batch_id, who))


def _ask_for_good(line: BatchLine) -> Question:
    effect = (
        f"The batch is in the trash. With all {line.row.total:,} jobs, their tries, results, dead letters and archived "
        "rows it is removed now, in the background. This cannot be undone."
    )
    title = f"Delete {_name(line)} for good?"
    return Question(title, "Delete it for good", effect, count=line.row.total, dangerous=True, fields=[FOR_GOOD])


def _delete_for_good(batch_id: int, who: Mapping[str, Any]) -> Done:
    delete.delete_batch(batch_id=batch_id, **who)
    said = f"Batch {batch_id} is being deleted: what is left of it goes within seconds to minutes."
    return Done("batches", None, said)


def _ask_restore(line: BatchLine) -> Question:
    effect = f"The batch leaves the trash with all {line.row.total:,} jobs, as it was."
    return Question(f"Restore {_name(line)}?", "Restore the batch", effect)


def _restore(batch_id: int, who: Mapping[str, Any]) -> Done:
    delete.restore_batch(batch_id=batch_id, **who)
    return Done("batch", batch_id, "The batch is restored.")


_ACTS = {
    "seal": _Act(_ask_seal, _seal, "manage.py batches seal {}"),
    "pause": _Act(_ask_pause, _pause, "manage.py batches pause {}"),
    "resume": _Act(_ask_resume, _resume, "manage.py batches resume {}"),
    "cancel": _Act(_ask_cancel, _cancel, command_line(BatchAction.CANCEL, ["{}"])),
    "clone": _Act(_ask_clone, _clone, "manage.py batches retry {} --all", makes=True),
    "delete": _Act(_ask_delete, _delete, command_line(BatchAction.DELETE, ["{}"])),
    "restore": _Act(_ask_restore, _restore, "manage.py batches restore {}"),
}
# What deleting means for a batch that is in the trash.
_FOR_GOOD = _Act(_ask_for_good, _delete_for_good, "manage.py batches delete {} --for-good")
