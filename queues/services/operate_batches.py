"""One verb for several batches, as an operation: each batch is one round, guarded by its state at that moment.

A round does the deed and marks the batch in one transaction, so that whoever goes on after a crash does nothing twice.
Each deed has its own entry in the audit, with the number of the operation that they have in common.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from queues import store
from queues.domain.batch_deeds import BATCH_DEEDS, MOST, REFUSED, BatchAction, Facts, command_line, why_not
from queues.domain.operating import Action
from queues.domain.states import BatchState
from queues.models import Batch, Operation, OperationItem
from queues.selectors import trash
from queues.selectors.batches import BatchCounts, batch_counts
from queues.selectors.clock import database_now
from queues.services import audit, batch_pause, cancel, delete, delete_check
from queues.services.selection import OperationRefused

# Batches of one round.
ROUND = 1
# What each service says when it cannot: nothing was changed.
REFUSALS = (cancel.CancelRefused, batch_pause.BatchPauseRefused, delete.DeleteRefused, OperationRefused)


@dataclass(frozen=True, slots=True)
class BatchPreview:
    """What would happen: with which batches it is possible, why not with the others, and how many jobs these have."""

    action: BatchAction
    named: list[int]
    eligible: list[int]
    not_eligible: dict[str, int]
    jobs: int

    @property
    def command(self) -> str:
        """The command that does the same."""
        return command_line(self.action, self.named)


def preview(*, action: str, batches: Collection[int]) -> BatchPreview:
    """Say what an operation would do. Reads only. Raises `OperationRefused` for what makes no sense."""
    verb, named = parse(action, batches)
    counts = batch_counts(named)
    facts = _facts(named, counts)
    flaws: Counter[str] = Counter()
    eligible = []
    doubtful = delete_check.doubtful(named) if verb is BatchAction.DELETE else set()
    for number in named:
        why = why_not(verb, facts.get(number))
        if not why and number in doubtful:
            why = owing(number)
        if why:
            flaws[why] += 1
        else:
            eligible.append(number)
    jobs = sum(_jobs(verb, counts[number]) for number in eligible)
    return BatchPreview(verb, named, eligible, dict(sorted(flaws.items())), jobs)


def parse(action: str, batches: Collection[int]) -> tuple[BatchAction, list[int]]:
    """An action, and the batches in order. Raises `OperationRefused`."""
    try:
        verb = BatchAction(action)
        named = sorted({int(number) for number in batches})
    except (TypeError, ValueError):
        raise OperationRefused(f"{action}: an action on batches, and their numbers, are needed") from None
    if not named:
        raise OperationRefused("no batch is named")
    if len(named) > MOST:
        raise OperationRefused(f"{len(named):,} batches; at most {MOST:,} can be named")
    if not 0 < named[0] <= named[-1] < 2**63:
        raise OperationRefused("batches are numbers from 1")
    return verb, named


def start(
    *,
    action: str,
    batches: Collection[int],
    actor: str,
    source: str,
    reason: str = "",
    until: str = "",
) -> Operation:
    """Do something with batches, one after the other; what cannot be done is left alone, and counted by reason.

    Of their jobs, those that die after `until` (a time as ISO text; now, unless it is said) are not retried. What takes
    long goes on in the background. Raises `OperationRefused`, with nothing changed.
    """
    from queues.services import operate

    verb, named = parse(action, batches)
    selection = {"batches": named, "until": until or database_now().isoformat()}
    return operate.work_off(_begin(verb, named, selection, actor, source, reason))


def begin_undo(deletion: Operation, *, actor: str, source: str, reason: str) -> Operation:
    """Begin to bring back what an operation, which the caller's transaction holds, has put in the trash."""
    items = OperationItem.objects.filter(operation=deletion, outcome=BATCH_DEEDS[BatchAction.DELETE].past)
    named = list(items.order_by("job_id").values_list("job_id", flat=True))
    ours = Operation.objects.filter(pk__in=begun(deletion).values(), state="running")
    if not ours.exists():
        raise OperationRefused("no batch of it matches: nothing of it is in the trash any more")
    return _begin(BatchAction.RESTORE, named, {"operation": deletion.pk}, actor, source, reason)


def make(operation: Operation, batches: list[int], touched: set[int]) -> dict[str, list[int]]:
    """One round, within the caller's transaction; the batches by outcome. `touched` may have ended."""
    outcomes: dict[str, list[int]] = {}
    for number in batches:
        outcomes.setdefault(_do(operation, number, touched), []).append(number)
    return outcomes


def _begin(
    verb: BatchAction, named: list[int], selection: dict[str, Any], actor: str, source: str, reason: str
) -> Operation:
    with transaction.atomic():
        operation = Operation.objects.create(
            action=verb.value,
            selection=selection,
            actor=actor[:150],
            source=source,
            reason=reason[:300],
            total=len(named),
        )
        OperationItem.objects.bulk_create(OperationItem(operation=operation, job_id=number) for number in named)
        if len(named) > 1:
            # Of a single batch its deed's own entry tells all there is to tell.
            entry = audit.record(
                actor=actor,
                source=source,
                action=BATCH_DEEDS[verb].label,
                target=f"{len(named)} batches",
                reason=reason,
                operation=operation.pk,
                batches=named,
            )
            operation.audit_id = entry.pk
            operation.save(update_fields=["audit_id"])
    return operation


def _do(operation: Operation, number: int, touched: set[int]) -> str:
    """The deed with one batch; its outcome."""
    verb = BatchAction(operation.action)
    if verb is not BatchAction.DELETE:
        # A deletion takes a stronger lock, and at once.
        store.rows("lock_batches", batches=_family(number))
    if why := why_not(verb, _facts([number], batch_counts([number])).get(number)):
        return why
    who: dict[str, Any] = {"actor": operation.actor, "source": operation.source, "reason": operation.reason}
    try:
        # A savepoint: what the service refuses has changed nothing, and the round goes on to mark it.
        with audit.part_of(operation.pk), store.atomic():
            _DEEDS[verb](operation, number, who, touched)
    except REFUSALS as error:
        _keep(operation, "said", number, str(error))
        return REFUSED
    return BATCH_DEEDS[verb].past


def _cancel(operation: Operation, number: int, who: Mapping[str, Any], touched: set[int]) -> None:
    jobs, members = cancel.cancel_within(batch_id=number, **who)
    _keep(operation, "jobs", number, jobs)
    touched |= set(members)


def _pause(operation: Operation, number: int, who: Mapping[str, Any], touched: set[int]) -> None:
    batch_pause.pause_batch(batch_id=number, **who)


def _resume(operation: Operation, number: int, who: Mapping[str, Any], touched: set[int]) -> None:
    batch_pause.resume_batch(batch_id=number, **who)


def _retry(operation: Operation, number: int, who: Mapping[str, Any], touched: set[int]) -> None:
    from queues.services import operate

    bounds = {"until": asked} if (asked := operation.selection.get("until")) else {}
    retry = operate.begin(Action.RETRY_DEAD.value, {"batch": number, **bounds}, **who)
    _keep(operation, "operations", number, retry.pk)


def _delete(operation: Operation, number: int, who: Mapping[str, Any], touched: set[int]) -> None:
    deletion = delete.delete_batch(batch_id=number, keep=trash.kept(), **who)
    _keep(operation, "operations", number, deletion.pk)


def _restore(operation: Operation, number: int, who: Mapping[str, Any], touched: set[int]) -> None:
    undone = operation.selection.get("operation")
    if undone is not None:
        # Only that deletion: what was restored since, and deleted once more by somebody else, stays where it is.
        mine = begun(Operation.objects.get(pk=undone)).get(str(number), 0)
        if not Operation.objects.filter(pk=mine, state="running").exists():
            raise delete.DeleteRefused(f"batch {number} was deleted once more, by another operation")
    delete.restore_batch(batch_id=number, **who)


_DEEDS: dict[BatchAction, Callable[[Operation, int, Mapping[str, Any], set[int]], None]] = {
    BatchAction.CANCEL: _cancel,
    BatchAction.PAUSE: _pause,
    BatchAction.RESUME: _resume,
    BatchAction.RETRY: _retry,
    BatchAction.DELETE: _delete,
    BatchAction.RESTORE: _restore,
}


def begun(operation: Operation) -> dict[str, int]:
    """The operations that the rounds of this one have begun, by batch."""
    found: dict[str, int] = operation.options.get("operations", {})
    return found


def jobs_of(operation: Operation) -> dict[str, int]:
    """How many waiting jobs a cancellation has cancelled at once, by batch."""
    found: dict[str, int] = operation.options.get("jobs", {})
    return found


def _keep(operation: Operation, name: str, number: int, value: int | str) -> None:
    operation.options.setdefault(name, {})[str(number)] = value
    operation.save(update_fields=["options"])


def _family(number: int) -> list[int]:
    return [number, *Batch.objects.filter(parent=number).values_list("pk", flat=True)]


def _facts(named: Collection[int], counts: dict[int, BatchCounts]) -> dict[int, Facts]:
    gone = delete.deleted_of(named)
    return {
        batch.pk: Facts(
            state=BatchState(batch.state),
            stopping=bool(batch.stop_reason),
            paused=batch.paused_at is not None,
            part=batch.parent_id is not None,
            trashed=batch.pk in gone,
            dead=counts[batch.pk].dead,
        )
        for batch in Batch.objects.filter(pk__in=named)
    }


def owing(number: int) -> str:
    """Why a batch cannot be deleted, as it stands: it has not ended, is a part, or another one needs it."""
    members = list(Batch.objects.filter(pk__in=_family(number)))
    batch = next((member for member in members if member.pk == number), None)
    return delete_check.why_not(batch, members) if batch is not None else ""


def _jobs(verb: BatchAction, counts: BatchCounts) -> int:
    """The jobs of one batch that a deed is about."""
    if verb is BatchAction.RETRY:
        return counts.dead
    return counts.total if verb in (BatchAction.DELETE, BatchAction.RESTORE) else counts.unended
