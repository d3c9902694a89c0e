"""Operations: what people have done to many jobs at once, and how far it is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from queues.domain import batch_deeds
from queues.domain.batch_deeds import BATCH_DEEDS, BatchAction, BatchDeed
from queues.domain.operating import DEEDS, Action, Deed, command_line, option_words
from queues.models import Operation, OperationItem
from queues.services import delete

PAGE_SIZE = 50
SKIPPED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation. `outcomes` are its jobs by what became of them, the most frequent first."""

    id: int
    action: str
    selection: dict[str, Any]
    options: dict[str, Any]
    actor: str
    source: str
    reason: str
    state: str
    total: int
    changed: int
    skipped: int
    outcomes: list[tuple[str, int]]
    created_at: datetime
    finished_at: datetime | None

    @property
    def deed(self) -> Deed | None:
        """The action in words; None for one of another kind."""
        return DEEDS.get(Action(self.action)) if self.action in set(Action) else None

    @property
    def batch_deed(self) -> BatchDeed | None:
        """The action in words, where it is one with batches."""
        return BATCH_DEEDS.get(BatchAction(self.action)) if self.action in set(BatchAction) else None

    @property
    def things(self) -> str:
        """What is counted."""
        return "batches" if self.batch_deed else "jobs"

    @property
    def past(self) -> str:
        """What has become of those with which it was possible."""
        deed = self.deed or self.batch_deed
        return deed.past if deed else "done"

    @property
    def stoppable(self) -> bool:
        """Whether it can be stopped: what is not done yet is left alone. A batch that is being removed cannot be."""
        return self.running and bool(self.deed or self.batch_deed)

    @property
    def label(self) -> str:
        """What is done."""
        return self.deed.label if self.deed else self.action.replace("_", " ")

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self.state == "running"

    @property
    def done(self) -> int:
        """Jobs that it has got over."""
        return self.changed + self.skipped

    @property
    def left(self) -> int:
        """Jobs still to come."""
        return max(0, self.total - self.done)

    @property
    def target(self) -> str:
        """Which jobs, in words."""
        batches = self.selection.get("batches")
        if batches is not None:
            return f"batch {batches[0]}" if len(batches) == 1 else f"{len(batches)} named batches"
        jobs = self.selection.get("job_ids")
        if jobs is not None:
            return f"job {jobs[0]}" if len(jobs) == 1 else f"{len(jobs):,} named jobs"
        words = [f"{name} {value}" for name, value in self.selection.items() if name not in ("until", "top", "all")]
        return ", ".join(words) or "all"

    @property
    def aim(self) -> dict[str, str]:
        """The new priority or queue, in words."""
        return option_words(self.options) if self.deed else {}

    @property
    def begins(self) -> datetime | None:
        """When it begins, where it waits: a batch lies in the trash for a while."""
        moment = self.options.get("begins")
        return datetime.fromisoformat(moment) if moment and self.running and not self.done else None

    @property
    def command(self) -> str:
        """The command that does the same; empty where there is none."""
        if self.batch_deed and "batches" in self.selection:
            return batch_deeds.command_line(BatchAction(self.action), self.selection["batches"], self.reason)
        if self.deed is None:
            return ""
        return command_line(Action(self.action), self.selection, self.options, self.reason)

    def pace(self, now: datetime) -> float:
        """Jobs a second, on the average."""
        seconds = ((self.finished_at or now) - self.created_at).total_seconds()
        return self.done / seconds if seconds > 0 else 0.0

    def time_left(self, now: datetime) -> timedelta | None:
        """How long it takes at this pace; None when it has ended or stands still."""
        pace = self.pace(now)
        return timedelta(seconds=self.left / pace) if self.running and pace > 0 else None

    def undoable(self, now: datetime) -> bool:
        """Whether what it has deleted is still in the trash, as far as time goes; one that runs is stopped by that."""
        deleting = self.action in (Action.DELETE, Action.DELETE_DEAD, BatchAction.DELETE)
        if deleting and self.running:
            return True
        ended = self.finished_at
        return bool(deleting and self.changed and ended and now - ended < timedelta(seconds=settings.TRASH_AFTER))


@dataclass(frozen=True, slots=True)
class OperationPage:
    """Ended operations, newest first."""

    rows: list[OperationRow]
    newer: int | None
    older: int | None


def operation(operation_id: int) -> OperationRow | None:
    """One operation."""
    found = Operation.objects.filter(pk=operation_id).first()
    return _row(found) if found else None


def running_operations(limit: int = PAGE_SIZE) -> list[OperationRow]:
    """Those that go on, the oldest first: that is the order in which they are worked off."""
    running = Operation.objects.filter(delete.not_waiting(timezone.now()), state="running")
    return [_row(found) for found in running.order_by("pk")[:limit]]


def operation_page(*, before: int | None = None, after: int | None = None) -> OperationPage:
    """Those that have ended, newest first: the page that follows `before`, or leads up to `after`."""
    rows = Operation.objects.exclude(state="running")
    if after is not None:
        found = list(rows.filter(pk__gt=after).order_by("pk")[: PAGE_SIZE + 1])
        more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE][::-1]
        return OperationPage([*map(_row, shown)], shown[0].pk if more else None, shown[-1].pk if shown else None)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: PAGE_SIZE + 1])
    more, shown = len(found) > PAGE_SIZE, found[:PAGE_SIZE]
    newer = shown[0].pk if before is not None and shown else None
    return OperationPage([*map(_row, shown)], newer, shown[-1].pk if more else None)


def left_alone(operation_id: int) -> list[tuple[int, str]]:
    """Some jobs, or batches, with which it was not possible, and why, by id."""
    deed_words = {deed.past for deed in DEEDS.values()} | batch_deeds.DONE
    rows = OperationItem.objects.filter(operation=operation_id).exclude(outcome="").exclude(outcome__in=deed_words)
    found = list(rows.order_by("job_id").values_list("job_id", "outcome")[:SKIPPED_SHOWN])
    options = Operation.objects.filter(pk=operation_id).values_list("options", flat=True).first() or {}
    # What a service has said of a batch is more than the outcome can hold.
    return [(number, options.get("said", {}).get(str(number), outcome)) for number, outcome in found]


def _row(found: Operation) -> OperationRow:
    return OperationRow(
        id=found.pk,
        action=found.action,
        selection=found.selection,
        options=found.options,
        actor=found.actor,
        source=found.source,
        reason=found.reason,
        state=found.state,
        total=found.total,
        changed=found.changed,
        skipped=found.skipped,
        outcomes=sorted(found.outcomes.items(), key=lambda outcome: (-outcome[1], outcome[0])),
        created_at=found.created_at,
        finished_at=found.finished_at,
    )
