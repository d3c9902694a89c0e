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
from queues.domain.operating import DEEDS, Action
from queues.domain.states import Priority
from queues.models import AuditEntry, DeadLetter, Operation, OperationItem, Queue
from queues.services import audit, delete, finish
from queues.services.operation_round import DONE, Round
from queues.services.selection import MOST, OperationRefused, Selection

log = logging.getLogger(__name__)

__all__ = ["Action", "OperationRefused", "Selection", "advance", "advance_all", "cancel_operation", "start", "undo"]

ROUND = 500
# How long one ring may keep the control worker, which has other errands.
RING_SECONDS = 3.0
# Operations that one ring goes through.
MOST_RUNNING = 1_000
# Selections up to this size are worked off by the caller, larger ones in the background.
AT_ONCE = 1_000


def matching(selection: dict[str, Any]) -> QuerySet[DeadLetter]:
    """The dead letters that a selection means. Raises `OperationRefused` for an unusable one."""
    return Selection(selection, state="dead").letters()


def parse(action: str, options: dict[str, Any] | None = None) -> tuple[Action, dict[str, Any]]:
    """An action and what else it needs: `priority` (a name or number) or `queue` (a name)."""
    try:
        found = Action(action)
    except ValueError:
        raise OperationRefused(f"unknown action {action!r}") from None
    given = options or {}
    wanted = DEEDS[found].option
    if set(given) - {wanted}:
        raise OperationRefused(f"{found}: {', '.join(sorted(set(given) - {wanted}))} says nothing here")
    if wanted and wanted not in given:
        raise OperationRefused(f"{found}: which {wanted}?")
    if wanted == "priority":
        return found, {"priority": _priority(given["priority"])}
    if wanted == "queue":
        queue = Queue.objects.filter(name=str(given["queue"]).replace("\0", "")).first()
        if queue is None:
            raise OperationRefused(f"unknown queue {given['queue']!r}")
        return found, {"queue": queue.name, "queue_id": queue.pk}
    return found, {}


def select(action: Action, selection: dict[str, Any]) -> Selection:
    """What a selection means for an action. Raises `OperationRefused`."""
    return Selection(
        selection, state=DEEDS[action].state, letters_only=action in (Action.RETRY_DEAD, Action.DELETE_DEAD)
    )


def _priority(given: Any) -> int:
    named = {priority.label: priority.value for priority in Priority}
    number = named.get(str(given).lower(), given)
    if number not in named.values():
        raise OperationRefused(f"priority: {given!r} is not one of {', '.join(named)}")
    return int(number)


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
    verb, settled = parse(action, options)
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
        Operation.objects.filter(pk=operation.pk).update(total=total, audit_id=entry.pk)
    while total <= AT_ONCE and advance(operation_id=operation.pk):
        pass
    operation.refresh_from_db()
    return operation


def undo(*, operation_id: int, actor: str, source: str, reason: str = "") -> Operation:
    """Bring back what an operation has deleted, as far as it is still in the trash. Raises `OperationRefused`."""
    found = Operation.objects.filter(pk=operation_id).first()
    if found is None:
        raise OperationRefused(f"unknown operation {operation_id}")
    if found.action not in (Action.DELETE, Action.DELETE_DEAD):
        raise OperationRefused("only a deletion can be undone")
    if found.state == "running":
        raise OperationRefused(f"operation {operation_id} still runs: stop it first")
    return start(
        action=Action.RESTORE.value,
        selection={"operation": operation_id},
        actor=actor,
        source=source,
        reason=reason or f"undo of operation {operation_id}",
    )


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


def cancel_operation(*, operation_id: int, actor: str = "", source: str = "") -> bool:
    """Stop an operation after its present round; what it has done stays done. Whether it still ran."""
    with transaction.atomic():
        operation = Operation.objects.select_for_update(no_key=True).filter(pk=operation_id, state="running").first()
        if operation is None:
            return False
        _end(operation, "cancelled", by=actor)
        if actor:
            audit.record(
                actor=actor,
                source=source,
                action="stop operation",
                target=f"operation {operation_id}",
                changed=operation.changed,
                skipped=operation.skipped,
            )
    return True


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
        jobs = list(items.filter(job_id__gt=operation.cursor).values_list("job_id", flat=True)[:ROUND])
        if not jobs:
            return _pass_ended(operation, left=items.exists())
        work = Round(operation, jobs)
        for outcome, done in work.make().items():
            items.filter(job_id__in=done).update(outcome=outcome)
            changed = outcome in DONE
            operation.changed += len(done) if changed else 0
            operation.skipped += 0 if changed else len(done)
            operation.outcomes[outcome] = operation.outcomes.get(outcome, 0) + len(done)
        operation.cursor = jobs[-1]
        operation.save(update_fields=["changed", "skipped", "outcomes", "cursor"])
        touched |= work.touched
        return True


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
