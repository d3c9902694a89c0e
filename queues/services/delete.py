"""Deleting a finished batch with everything of it: jobs, chunks, tries, results, dead letters, archive and links.

An operation of its own is written first, with the audit: from then on the deletion goes on until it is done, whoever
dies meanwhile. Each round takes whole chunks with all of their jobs and lowers the counts of the batch by what they
held, in one transaction: a batch that is half deleted is a smaller, sound one. Runs stay, as figures of the past.
With `keep` the batch lies in the trash so long before the first round, and can be brought back.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, F, Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Greatest
from django.utils import timezone

from queues import store
from queues.domain.states import BatchState
from queues.models import Batch, Operation
from queues.services import audit, delete_check

log = logging.getLogger(__name__)

ACTION = "delete_batch"
# Jobs and chunk rows of one round.
JOBS = 5_000
CHUNKS = 1_000
TIMEOUT_MS = 20_000


class DeleteRefused(ValueError):
    """The batch cannot be deleted: the message says why. Nothing was changed."""


def delete_batch(
    *, batch_id: int, actor: str, source: str, reason: str = "", keep: timedelta | None = None
) -> Operation:
    """Begin to delete a finished batch and its parts; the operation that does it, in the background, round by round.

    With `keep` it begins after that time, and until then `restore_batch` takes it back. A deletion that has begun
    already goes on; without `keep`, one that waits begins now. Raises `DeleteRefused` while jobs of it run or wait,
    another batch waits for it, or the batch of its results is still to be made.
    """

    def work() -> Operation:
        with store.atomic():
            batch, members = _held(batch_id)
            if batch is None:
                raise DeleteRefused(f"unknown batch {batch_id}")
            begun = deletions().filter(of=batch_id).select_for_update(no_key=True).first()
            if begun is not None:
                return begun if keep else _at_once(begun, actor, source, reason)
            if reason_against := delete_check.why_not(batch, members):
                raise DeleteRefused(reason_against)
            begins_at = {"begins": (timezone.now() + keep).isoformat()} if keep else {}
            operation = Operation.objects.create(
                action=ACTION,
                selection={"batch": batch_id},
                actor=actor[:150],
                source=source,
                reason=reason[:300],
                options={"name": batch.name, **begins_at},
                total=batch.total,
            )
            audit.record(
                actor=actor,
                source=source,
                action="delete batch",
                target=f"batch {batch_id}",
                reason=reason,
                operation=operation.pk,
                name=batch.name,
                jobs=batch.total,
                parts=len(members) - 1,
                **begins_at,
            )
            return operation

    return store.repeated(work)


def restore_batch(*, batch_id: int, actor: str, source: str, reason: str = "") -> None:
    """Take a batch out of the trash: nothing of it has gone. Raises `DeleteRefused`."""
    with store.atomic():
        operation = deletions().filter(of=batch_id).select_for_update(no_key=True).first()
        if operation is None or begins(operation) is None or operation.changed:
            raise DeleteRefused(f"batch {batch_id} is not in the trash")
        _end(operation, "cancelled")
        audit.record(
            actor=actor,
            source=source,
            action="restore batch",
            target=f"batch {batch_id}",
            reason=reason,
            operation=operation.pk,
        )


def begins(operation: Operation) -> datetime | None:
    """When a deletion begins that was told to wait; None for one that was not."""
    moment = operation.options.get("begins")
    return datetime.fromisoformat(moment) if moment else None


def deleted(batch: int) -> bool:
    """Whether a batch is in the trash, or is being removed."""
    return bool(deleted_of([batch]))


def deleted_of(batches: Iterable[int]) -> set[int]:
    """Those of the batches that are."""
    return set(deletions().filter(of__in=list(batches)).values_list("of", flat=True))


def deletions() -> "QuerySet[Any]":
    """The deletions that wait or go on, each with the batch that it is `of`: a small set, by an index."""
    running = Operation.objects.filter(action=ACTION, state="running")
    return running.annotate(of=Cast(KT("selection__batch"), BigIntegerField()))


def trashed() -> "QuerySet[Batch, int]":
    """The numbers of all batches that are in the trash or are being removed, and of their parts."""
    of = deletions().values("of")
    # Apart, for each is found by an index; both conditions at once would have all batches read.
    parts = Batch.objects.filter(parent__in=of).values_list("pk", flat=True)
    return Batch.objects.filter(pk__in=of).values_list("pk", flat=True).union(parts, all=True)


def not_waiting(now: datetime) -> Q:
    """Operations that may go on: all but deletions of batches that lie in the trash."""
    return Q(options__begins__isnull=True) | Q(options__begins__lte=now.isoformat())


def waits(operation: Operation) -> bool:
    """Whether a deletion has not begun, because its batch lies in the trash."""
    moment = begins(operation)
    return moment is not None and moment > timezone.now()


def _at_once(operation: Operation, actor: str, source: str, reason: str) -> Operation:
    """Let a deletion that waits begin."""
    if operation.options.pop("begins", None):
        operation.save(update_fields=["options"])
        target = f"batch {operation.selection['batch']}"
        audit.record(
            actor=actor, source=source, action="delete batch", target=target, reason=reason, operation=operation.pk
        )
    return operation


def delete_round(*, operation: Operation) -> bool:
    """Do one round of a deletion whose operation the caller holds; whether there is more to do."""
    number = operation.selection["batch"]
    if waits(operation):
        return False
    store.statement_timeout(TIMEOUT_MS)
    batch, members = _held(number)
    if batch is None:
        return _end(operation, "done")
    if any(member.state == BatchState.RUNNING for member in members):
        # Somebody has had jobs of it retried or restored meanwhile.
        log.warning("batch %s runs again: what was left of it is not deleted", number)
        return _end(operation, "cancelled")
    numbers = [member.pk for member in members]
    chunks = [chunk for (chunk,) in store.rows("delete_pick", batches=numbers, chunks=CHUNKS, jobs=JOBS)]
    if chunks:
        store.rows("delete_lock", chunks=chunks)
        parents = {member.pk: member.parent_id for member in members}
        for leaf, *lost in store.rows("delete_chunks", chunks=chunks):
            operation.changed += lost[0]
            _lower(filter(None, (leaf, parents[leaf])), *lost)
        operation.save(update_fields=["changed"])
        return True
    Batch.objects.filter(pk__in=numbers).exclude(pk=number).delete()
    batch.delete()
    return _end(operation, "done")


def _held(number: int) -> tuple[Batch | None, list[Batch]]:
    """The batch and all its members (itself and its parts), held in the order of their ids. Parts never change."""
    parts = Batch.objects.filter(parent=number).values_list("pk", flat=True)
    wanted = [number, *parts]
    members = list(Batch.objects.select_for_update(of=("self",)).filter(pk__in=wanted).order_by("pk"))
    return next((member for member in members if member.pk == number), None), members


def _lower(batches: Iterable[int], jobs: int, succeeded: int, dead: int, cancelled: int) -> None:
    """Take what has gone out of the frozen counters, in which what was deleted after the end may be missing."""
    Batch.objects.filter(pk__in=list(batches)).update(
        total=F("total") - jobs,
        succeeded=F("succeeded") - succeeded,
        dead=Greatest(F("dead") - dead, 0),
        cancelled=Greatest(F("cancelled") - cancelled, 0),
    )


def _end(operation: Operation, state: str) -> bool:
    operation.state, operation.finished_at = state, timezone.now()
    operation.save(update_fields=["state", "finished_at"])
    return False
