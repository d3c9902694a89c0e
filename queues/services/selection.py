"""Which jobs a person means: named ones, or those of a state under a filter, and how they are frozen.

A selection is a small document: `job_ids`; or `operation`, what that one has deleted; or a `state` with any of `batch`
(with its parts), `queue` (a name), `handler`, `fingerprint` (`none`: without one), `reason`, `text` (in a dead letter's
error), `since` and `before`, a span of time (as ISO text), all of which must match; of archived jobs also `outcome`;
or, with a state only, all of it (`all`). `until` and `top`, the highest job id, are its upper bound: what appeared
after somebody was told the number is not meant.

The span is about the time by which the list of such jobs is ordered: when dead letters died, deleted jobs were deleted,
archived and cancelled ones ended, held ones were enqueued, and when the others are due; within a batch, when its chunks
were made. What was cancelled in a chunk that goes on has no such time.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from queues import store
from queues.domain.fingerprint import stored
from queues.domain.operating import ARCHIVED, CANCELLED, PENDING
from queues.domain.states import Outcome
from queues.models import ArchivedJob, Batch, DeadLetter, OperationItem, Queue, TrashedJob
from queues.selectors.dead_letters import error_text
from queues.services import chunk_selection

# Jobs of one operation, and of one that names them.
MOST = 1_000_000
MOST_NAMED = 10_000
NO_TOP = 2**63 - 1
STATES = ("dead", "trashed", PENDING, "waiting", "scheduled", "retrying", "held", CANCELLED, ARCHIVED)
_USUAL = {"batch", "queue", "handler", "since", "before"}
_FILTERS = {
    "dead": {*_USUAL, "fingerprint", "reason", "text"},
    ARCHIVED: {*_USUAL, "outcome"},
}
# The time of a job that a span is about; of all others, when they are due.
_TIMES = {
    "dead": "died_at", "trashed": "deleted_at", ARCHIVED: "finished_at", CANCELLED: "finished_at", "held": "created_at",
}  # fmt: skip
_TEXTS = ("queue", "handler", "fingerprint", "reason", "text")
_BOUNDS = {"until", "top", "state"}


class OperationRefused(ValueError):
    """The operation cannot be started: the message says why."""


class Selection:
    """A selection that makes sense. Raises `OperationRefused` for one that does not."""

    def __init__(self, document: dict[str, Any], *, state: str, rows_only: bool = False) -> None:
        self.document = document
        self.rows_only = rows_only
        self.state = document.get("state", state)
        self.named: list[int] = []
        self.filters = {name: value for name, value in document.items() if name not in {*_BOUNDS, "all"}}
        self.until = _moment(document, "until")
        self.since = _moment(document, "since")
        self.before = _moment(document, "before")
        self.top = _number(document, "top") if "top" in document else NO_TOP
        self._check()

    def _check(self) -> None:
        known = _FILTERS.get(self.state, _USUAL)
        if self.state not in STATES:
            raise OperationRefused(f"state: {self.state!r} is not one of {', '.join(STATES)}")
        if "job_ids" in self.document:
            self._check_named()
        elif "operation" in self.document:
            if set(self.filters) != {"operation"}:
                raise OperationRefused("a selection by operation has nothing else")
            self.filters["operation"] = _number(self.document, "operation")
        elif self.document.get("all") is True and not self.filters:
            return
        elif not self.filters or set(self.filters) - known or "all" in self.document:
            names = ", ".join(sorted(known))
            raise OperationRefused(f"a selection has job_ids, or all, or some of {names}")
        if any("\0" in str(self.filters.get(name, "")) for name in _TEXTS):
            raise OperationRefused("queue and fingerprint are text without NUL")
        if "batch" in self.filters:
            self.filters["batch"] = _number(self.document, "batch")
        if self.filters.get("outcome", Outcome.DEAD) not in list(Outcome):
            raise OperationRefused(f"outcome: {self.filters['outcome']!r} is not one of {', '.join(Outcome)}")

    def _check_named(self) -> None:
        if not self.document["job_ids"]:
            raise OperationRefused("no job is named")
        if set(self.filters) != {"job_ids"}:
            raise OperationRefused("a selection by job_ids has nothing else")
        try:
            self.named = sorted({int(job) for job in self.document["job_ids"]})
        except (TypeError, ValueError):
            raise OperationRefused("job_ids and batch are numbers") from None
        if not 0 < self.named[0] <= self.named[-1] < 2**63:
            raise OperationRefused("job_ids are numbers from 1")
        if len(self.named) > MOST_NAMED:
            raise OperationRefused(f"{len(self.named):,} jobs; at most {MOST_NAMED:,} can be named")

    def __str__(self) -> str:
        """In words, for the audit."""
        if self.named:
            return f"job {self.named[0]}" if len(self.named) == 1 else f"{len(self.named)} jobs"
        words = [f"{name} {value}" for name, value in sorted(self.filters.items())] or ["all"]
        state = [self.state] if self.state != "dead" else []
        return ", ".join([*state, *words])

    def members(self) -> list[int] | None:
        """The batch and its parts; None for any batch."""
        if "batch" not in self.filters:
            return None
        batch = self.filters["batch"]
        return [batch, *Batch.objects.filter(parent_id=batch).values_list("pk", flat=True)]

    def queue_id(self) -> int | None:
        """The queue's key, 0 for an unknown one; None for any queue."""
        if "queue" not in self.filters:
            return None
        return Queue.objects.filter(name=self.filters["queue"]).values_list("pk", flat=True).first() or 0

    @property
    def time(self) -> str:
        """The field that a span of time is about: of the rows that name the jobs, or of their chunks."""
        by_chunks = self.state not in ("dead", "trashed", ARCHIVED)
        return "created_at" if by_chunks and "batch" in self.filters else _TIMES.get(self.state, "run_at")

    def within(self, field: str) -> Q:
        """Within the span of time that is asked for."""
        span = Q() if self.since is None else Q(**{f"{field}__gte": self.since})
        return span if self.before is None else span & Q(**{f"{field}__lt": self.before})

    def letters(self) -> "QuerySet[DeadLetter]":
        """The dead letters that are meant."""
        rows = self._filtered(DeadLetter.objects.all())
        if self.until is not None:
            rows = rows.filter(died_at__lte=self.until)
        if "fingerprint" in self.filters:
            rows = rows.filter(fingerprint=stored(self.filters["fingerprint"]))
        if "reason" in self.filters:
            rows = rows.filter(reason=self.filters["reason"])
        if "text" in self.filters:
            rows = rows.filter(error_text(self.filters["text"]))
        return rows

    def trashed(self) -> "QuerySet[TrashedJob]":
        """The deleted jobs that are meant."""
        rows = self._filtered(TrashedJob.objects.all())
        if "operation" in self.filters:
            # What was brought back since, and deleted once more by somebody else, is not meant.
            items = OperationItem.objects.filter(operation=self.filters["operation"], outcome="deleted")
            rows = rows.filter(pk__in=items.values("job_id"), operation_id=self.filters["operation"])
        return rows if self.until is None else rows.filter(deleted_at__lte=self.until)

    def archived(self) -> "QuerySet[ArchivedJob]":
        """The archived jobs that are meant."""
        rows = self._filtered(ArchivedJob.objects.all())
        if not self.named and not {"batch", "queue"} & set(self.filters):
            # As the list reads it: an index begins with the queue.
            rows = rows.filter(queue__in=list(Queue.objects.values_list("pk", flat=True)))
        if "outcome" in self.filters:
            rows = rows.filter(outcome=self.filters["outcome"])
        return rows if self.until is None else rows.filter(archived_at__lte=self.until)

    def rows(self) -> "QuerySet[Any] | None":
        """The rows that are meant, whose keys are ids of jobs; None for jobs that are found by their chunks."""
        found: dict[str, Callable[[], QuerySet[Any]]]
        found = {"dead": self.letters, "trashed": self.trashed, ARCHIVED: self.archived}
        return found[self.state]() if self.state in found else None

    def _filtered(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.named:
            return rows.filter(pk__in=self.named)
        if (members := self.members()) is not None:
            # One value where there is one: an index keeps its order then.
            rows = rows.filter(batch_id__in=members) if len(members) > 1 else rows.filter(batch_id=members[0])
        if (queue := self.queue_id()) is not None:
            rows = rows.filter(queue_id=queue)
        rows = rows.filter(self.within(self.time))
        return rows.filter(handler=self.filters["handler"]) if "handler" in self.filters else rows

    def freeze(self, *, operation: int) -> int:
        """Write the jobs as items of an operation, in its transaction; how many. `MOST` + 1 means too many."""
        if self.named and not self.rows_only:
            items = [OperationItem(operation_id=operation, job_id=job) for job in self.named]
            return len(OperationItem.objects.bulk_create(items))
        if (rows := self.rows()) is not None:
            return store.freeze(operation, rows.values("pk")[: MOST + 1])
        return chunk_selection.freeze(self, operation=operation, most=MOST + 1)


def _moment(document: dict[str, Any], name: str) -> datetime | None:
    if name not in document:
        return None
    try:
        moment = datetime.fromisoformat(document[name])
    except (TypeError, ValueError):
        raise OperationRefused(f"{name} is a time in ISO format") from None
    if moment.tzinfo is None:
        raise OperationRefused(f"{name} needs its time zone")
    return moment


def _number(document: dict[str, Any], name: str) -> int:
    try:
        number = int(document[name])
    except (TypeError, ValueError):
        raise OperationRefused("job_ids and batch are numbers") from None
    if not 0 < number < 2**63:
        raise OperationRefused(f"{name} is a number from 1")
    return number
