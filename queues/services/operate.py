"""Bulk commands of a person, run in bounded rounds.

The selection is frozen when the operation starts: one row for each job. A round changes some of them and marks
them in the same transaction, so it can be repeated by anybody after a crash, and nothing is done twice. Jobs that are
running are left for a later pass.
"""

import logging
from time import monotonic
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from queues import store
from queues.domain.batch_deeds import DONE as BATCHES_DONE
from queues.domain.batch_deeds import BatchAction
from queues.domain.operating import DEEDS, Action
from queues.models import AuditEntry, DeadLetter, Operation, OperationItem
from queues.selectors.clock import database_now
from queues.services import archived_round, audit, delete, finish, operate_batches
from queues.services.operation_round import DONE as JOBS_DONE
from queues.services.operation_round import Round
from queues.services.operation_wish import parse, select
from queues.services.selection import MOST, OperationRefused, Selection

log = logging.getLogger(__name__)

__all__ = ["Action", "OperationRefused", "Selection", "advance", "advance_all", "cancel_operation", "start", "undo"]

ROUND = 500
# How long one ring may keep the control worker, which has other errands.
RING_SECONDS = 3.0
# Operations that one ring goes through.
MOST_RUNNING = 1_000
DONE = JOBS_DONE | BATCHES_DONE
UNDOABLE = (Action.DELETE, Action.DELETE_DEAD, BatchAction.DELETE)
# Selections up to this size are worked off by the caller, larger ones in the background.
AT_ONCE = 1_000
# Each batch is a round, and some are long: after this time the rest is left to the background.
BATCHES_SECONDS = 5.0


def matching(selection: dict[str, Any]) -> QuerySet[DeadLetter]:
    """The dead letters that a selection means. Raises `OperationRefused` for an unusable one."""
    return Selection(selection, state="dead").letters()


def start(
    *,
    action: str,
    selection: dict[str, Any],
    actor: str,
    source: str,
    reason: str = "",
    options: dict[str, Any] | None = None,
) -> Operation:
    """Freeze a selection of jobs and begin to do something with them.

    Up to 1,000 are worked off before this returns; more in the background. Raises `OperationRefused`.
    """
    operation = begin(action, selection, actor, source, reason, options)
    return work_off(operation)


def work_off(operation: Operation) -> Operation:
    """Do the rounds of an operation that has just begun, if they are few; the rest is done in the background."""
    of_batches = operation.action in set(BatchAction)
    until = monotonic() + BATCHES_SECONDS
    try:
        while operation.total <= AT_ONCE and advance(operation_id=operation.pk):
            if of_batches and monotonic() > until:
                break
    except store.DATABASE_ERRORS as error:
        if not store.held_up(error) or store.in_transaction():
            raise
        log.warning("operation %s goes on in the background: %s", operation.pk, error)
    operation.refresh_from_db()
    if operation.action == BatchAction.RETRY:
        for begun in Operation.objects.filter(pk__in=operate_batches.begun(operation).values(), state="running"):
            if monotonic() < until:
                work_off(begun)
    return operation


def begin(
    action: str,
    selection: dict[str, Any],
    actor: str,
    source: str,
    reason: str,
    options: dict[str, Any] | None = None,
) -> Operation:
    """Freeze a selection and note who wants what with it; the rounds are still to be done."""
    verb, settled = parse(action, options)
    # What happens from now on was not seen by whoever asks: the rounds, which may come much later, know this bound.
    selection = {"until": database_now().isoformat(), **selection}
    deed = DEEDS[verb]
    meant = select(verb, selection)
    with transaction.atomic():
        operation = Operation.objects.create(
            action=verb.value,
            selection=selection,
            options=settled,
            actor=actor[:150],
            source=source,
            reason=reason[:300],
        )
        total = meant.freeze(operation=operation.pk)
        if not total:
            raise OperationRefused("no dead letter matches" if meant.state == "dead" else "no job matches")
        if total > MOST:
            raise OperationRefused(f"more than {MOST:,} jobs match: narrow the filter")
        entry = audit.record(
            actor=actor,
            source=source,
            action=deed.label,
            target=str(meant),
            reason=reason,
            operation=operation.pk,
            jobs=total,
            **{name: settled[name] for name in ("priority", "queue") if name in settled},
        )
        operation.total, operation.audit_id = total, entry.pk
        operation.save(update_fields=["total", "audit_id"])
    return operation


def undo(*, operation_id: int, actor: str, source: str, reason: str = "") -> Operation:
    """Bring back what an operation has deleted, as far as it is still in the trash; the operation that does it.

    One that still runs is stopped by that: its present round is waited for, and no other follows, so that what is
    deleted is known, and all of it comes back. Where nothing was deleted yet it is only stopped, and comes back itself.
    Undone twice at a time, it is one undoing. Raises `OperationRefused`.
    """
    why = reason or f"undo of operation {operation_id}"

    def work() -> Operation:
        with transaction.atomic():
            found = Operation.objects.select_for_update(no_key=True).filter(pk=operation_id).first()
            if found is None:
                raise OperationRefused(f"unknown operation {operation_id}")
            if found.action not in UNDOABLE:
                raise OperationRefused("only a deletion can be undone")
            backs = Operation.objects.filter(action__in=(Action.RESTORE, BatchAction.RESTORE), state="running")
            again = backs.filter(selection__operation=operation_id).first()
            if again is not None:
                return again
            if found.state == "running":
                _stop(found, actor, source, why)
                if not found.changed:
                    return found
            if found.action == BatchAction.DELETE:
                return operate_batches.begin_undo(found, actor=actor, source=source, reason=why)
            return begin(Action.RESTORE.value, {"operation": operation_id}, actor, source, why)

    return work_off(store.repeated(work))


def advance_all() -> int:
    """Go on with every running operation, round by round, for `RING_SECONDS` at most; returns the rounds made.

    One that meets a lock, a deadlock or its time limit is left for the next ring, and holds up no other.
    """
    rounds, until = 0, monotonic() + RING_SECONDS
    running = Operation.objects.filter(delete.not_waiting(timezone.now()), state="running")
    for operation in list(running.order_by("pk").values_list("pk", flat=True)[:MOST_RUNNING]):
        try:
            while advance(operation_id=operation):
                rounds += 1
                if monotonic() > until:
                    return rounds
        except store.DATABASE_ERRORS as error:
            if not store.held_up(error):
                raise
            log.warning("operation %s goes on at the next ring: %s", operation, error)
    return rounds


def cancel_operation(*, operation_id: int, actor: str = "", source: str = "", reason: str = "") -> bool:
    """Stop an operation after its present round; what it has done stays done. Whether it still ran.

    Raises `OperationRefused` for the deletion of a batch, of which part may be gone.
    """
    with transaction.atomic():
        operation = Operation.objects.select_for_update(no_key=True).filter(pk=operation_id, state="running").first()
        if operation is None:
            return False
        if operation.action == delete.ACTION:
            raise OperationRefused("the deletion of a batch is not stopped: restore the batch while it is in the trash")
        _stop(operation, actor, source, reason)
    return True


def _stop(operation: Operation, actor: str, source: str, reason: str = "") -> None:
    """End an operation that the caller's transaction holds, and of which no round goes on for that reason."""
    _end(operation, "cancelled", by=actor)
    if actor:
        audit.record(
            actor=actor,
            source=source,
            action="stop operation",
            target=f"operation {operation.pk}",
            reason=reason,
            changed=operation.changed,
            skipped=operation.skipped,
        )


def advance(*, operation_id: int) -> bool:
    """Do one round of an operation; whether there is more to do for this caller now."""
    touched: set[int] = set()

    def work() -> bool:
        touched.clear()
        return _advance(operation_id, touched)

    more = store.repeated(work)
    if touched:
        # Should this process die here, the sweep ends them.
        finish.finish(batches=touched)
    return more


def _advance(operation_id: int, touched: set[int]) -> bool:
    with transaction.atomic():
        operation = (
            Operation.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=operation_id, state="running")
            .first()
        )
        if operation is None:
            return False
        if operation.action == delete.ACTION:
            return delete.delete_round(operation=operation)
        items = OperationItem.objects.filter(operation_id=operation_id, outcome="").order_by("job_id")
        batches = operation.action in set(BatchAction)
        most = operate_batches.ROUND if batches else ROUND
        jobs = list(items.filter(job_id__gt=operation.cursor).values_list("job_id", flat=True)[:most])
        if not jobs:
            return _pass_ended(operation, left=items.exists())
        made = operate_batches.make(operation, jobs, touched) if batches else _make(operation, jobs, touched)
        for outcome, done in made.items():
            items.filter(job_id__in=done).update(outcome=outcome)
            changed = outcome in DONE
            operation.changed += len(done) if changed else 0
            operation.skipped += 0 if changed else len(done)
            operation.outcomes[outcome] = operation.outcomes.get(outcome, 0) + len(done)
        operation.cursor = jobs[-1]
        operation.save(update_fields=["changed", "skipped", "outcomes", "cursor"])
        return True


def _make(operation: Operation, jobs: list[int], touched: set[int]) -> dict[str, list[int]]:
    """One round with jobs: these by outcome."""
    if operation.action == Action.UNARCHIVE:
        who = {"actor": operation.actor, "source": operation.source, "reason": operation.reason}
        return archived_round.make(jobs=jobs, who=who)
    work = Round(operation, jobs)
    made = work.make()
    touched |= work.touched
    return made


def _pass_ended(operation: Operation, *, left: bool) -> bool:
    """Nothing more now: either all is done, or what is left runs, and is looked at again with the next ring."""
    if left:
        operation.cursor = 0
        operation.save(update_fields=["cursor"])
    else:
        _end(operation, "done")
    return False


def _end(operation: Operation, state: str, **more: Any) -> None:
    operation.state, operation.finished_at = state, timezone.now()
    operation.save(update_fields=["state", "finished_at"])
    if operation.audit_id is None:
        return
    entry = AuditEntry.objects.filter(pk=operation.audit_id).first()
    if entry is not None:
        outcome = {"state": state, "changed": operation.changed, "skipped": operation.skipped}
        entry.outcome |= outcome | {"outcomes": operation.outcomes} | {k: v for k, v in more.items() if v}
        entry.save(update_fields=["outcome"])
