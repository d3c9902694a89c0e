"""What queues and batches have done over a window of time: from runs and finished batches, never from jobs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, F, FloatField, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Greatest

from queues.domain.rates import success_rate
from queues.domain.states import BatchState
from queues.models import Batch, Run
from queues.selectors.clock import database_now
from queues.selectors.expressions import Percentile, seconds_between
from queues.selectors.figures import queue_id

# Longer windows reach beyond what is kept of runs.
LONGEST = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """One queue from `since` to `until`, by the runs and batches that ended then. Where nothing ended, None.

    `processed` are tries that ended: `succeeded`, and `failed`, which were `retried` or left `dead`. `error_rate` is
    failed to processed. Waits are from due to claimed; handler times are the medians (and the 95th) of the runs'.
    """

    queue: str
    since: datetime
    until: datetime
    runs: int
    processed: int
    succeeded: int
    failed: int
    retried: int
    dead: int
    cancelled: int
    batches: int
    mean_batch_size: float | None
    mean_run_ms: float | None
    jobs_per_second: float
    error_rate: float | None
    wait_ms_p50: float | None
    wait_ms_p95: float | None
    handler_ms_p50: float | None
    handler_ms_p95: float | None


@dataclass(frozen=True, slots=True)
class PerformanceReport:
    """Batches that have ended. A parent counts as one, with the jobs of its parts.

    `seconds` run from the first start to the last end; `error_rate` is the share of dead ones among the jobs that
    ended, in per cent, `success_rate` that of succeeded ones, from 0 to 1.
    """

    batches: int
    tasks: int
    seconds: float | None
    tasks_per_second: float | None
    mean_batch_seconds: float | None
    error_rate: float | None
    success_rate: float | None


def queue_statistics(queue: str, seconds: float = 3_600.0) -> QueueStatistics:
    """The last so many seconds of a queue. Raises `LookupError` for an unknown one, `ValueError` for the window."""
    number = queue_id(queue) if "\0" not in queue else 0
    if not number:
        raise LookupError(f"unknown queue {queue!r}")
    if not 0 < seconds <= LONGEST:
        raise ValueError("seconds: above 0, at most a year")
    until = database_now()
    since = until - timedelta(seconds=seconds)
    done = _runs(Run.objects.filter(queue=number, finished_at__gte=since))
    batches = Batch.objects.filter(queue=number, finished_at__gte=since, parent=None).aggregate(
        batches=Count("pk"), mean_batch_size=Avg("total", output_field=FloatField())
    )
    processed = done["succeeded"] + done["failed"]
    return QueueStatistics(
        queue=queue,
        since=since,
        until=until,
        processed=processed,
        jobs_per_second=processed / seconds,
        error_rate=done["failed"] / processed if processed else None,
        **done,
        **batches,
    )


def performance_report(
    *, queue: str = "", since: datetime | None = None, batches: Collection[int] | None = None
) -> PerformanceReport:
    """The batches that have ended: of a queue, after a time, or named ones; without any of these, of the last day.

    Raises `LookupError` for an unknown queue or batch, `ValueError` for a time without a time zone.
    """
    if since is not None and since.utcoffset() is None:
        raise ValueError(f"since: {since.isoformat()} has no time zone")
    rows = Batch.objects.exclude(state=BatchState.RUNNING)
    if batches is not None:
        known = set(Batch.objects.filter(pk__in=batches).values_list("pk", flat=True))
        if missing := sorted(set(batches) - known):
            raise LookupError(f"unknown batch {missing[0]}")
        rows = rows.filter(pk__in=batches)
    else:
        rows = rows.filter(parent=None, finished_at__gte=since or database_now() - timedelta(days=1))
    if queue:
        number = queue_id(queue) if "\0" not in queue else 0
        if not number:
            raise LookupError(f"unknown queue {queue!r}")
        rows = rows.filter(queue=number)
    return _report(rows)


def _report(rows: QuerySet[Batch]) -> PerformanceReport:
    took: Any = seconds_between(F("started_at"), F("finished_at"))
    found = rows.aggregate(
        batches=Count("pk"),
        tasks=Sum("total"),
        good=Sum("succeeded"),
        bad=Sum("dead"),
        stopped=Sum("cancelled"),
        first=Min("started_at"),
        last=Max("finished_at"),
        mean=Avg(took),
    )
    good, bad, stopped = (found[name] or 0 for name in ("good", "bad", "stopped"))
    seconds = (found["last"] - found["first"]).total_seconds() if found["first"] else None
    ended = good + bad + stopped
    return PerformanceReport(
        batches=found["batches"],
        tasks=found["tasks"] or 0,
        seconds=seconds,
        tasks_per_second=ended / seconds if seconds else None,
        mean_batch_seconds=found["mean"],
        error_rate=100 * bad / ended if ended else None,
        success_rate=success_rate(good, bad, stopped),
    )


def _runs(runs: QuerySet[Run]) -> dict[str, Any]:
    took: Any = Greatest(seconds_between(F("started_at"), F("finished_at")), 0.0, output_field=FloatField())
    worked = Q(claimed__gt=0)
    summed = ("succeeded", "failed", "retried", "dead", "cancelled")
    found = runs.aggregate(
        runs=Count("pk"),
        mean_run=Avg(took, filter=worked),
        # Summed under other names: an annotation may not hide its own source.
        **{f"sum_{name}": Sum(name) for name in summed},
        wait_ms_p50=Percentile("wait_ms", 0.5),
        wait_ms_p95=Percentile("wait_ms", 0.95),
        handler_ms_p50=Percentile("p50_ms", 0.5),
        handler_ms_p95=Percentile("p95_ms", 0.95),
    )
    mean = found.pop("mean_run")
    plain = {
        name.removeprefix("sum_"): value or 0 if name.startswith("sum_") else value for name, value in found.items()
    }
    return {**plain, "mean_run_ms": None if mean is None else mean * 1000}
