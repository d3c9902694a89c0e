"""One reading of the database for everybody who looks: each figure at most once, and only if asked for."""

import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from monitoring import progress
from monitoring.history import BUCKET, CHART, HISTORY, History
from monitoring.series import Series, spread
from queues.selectors import batches, clock, figures, throughput

T = TypeVar("T")
# The window of "now" in jobs per second: short enough to follow, longer than a checkpoint's two seconds.
RATE_WINDOW = timedelta(seconds=10)
BATCHES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A queue as the table shows it. Where `about` is set the backlog is an estimate, and where `least` is
    set not even that: there are more than these. `retrying` are part of `scheduled`."""

    figures: figures.QueueFigures
    waiting: int
    scheduled: int
    retrying: int
    held: int
    dead: int
    running: int
    rate: float
    about: bool
    least: bool

    @property
    def planned(self) -> int:
        """What is not due yet and has not failed before."""
        return self.scheduled - self.retrying


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A batch with its exact counts, its rate and the time it still needs."""

    row: batches.BatchRow
    counts: batches.BatchCounts
    segments: list[progress.Segment]
    rate: float | None
    left: timedelta | None
    duration: timedelta | None


class Snapshot:
    """Figures of one moment, by the database's clock. Safe to share between threads."""

    def __init__(
        self,
        watched: Collection[int] = (),
        history: History = HISTORY,
        *,
        listed: Mapping[str, Collection[int]] | None = None,
    ) -> None:
        self._watched = frozenset(watched)
        self._listed = listed or {}
        self._history = history
        self._known: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    @property
    def history(self) -> History:
        """What is remembered between readings."""
        return self._history

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """The result of `read`, which is called the first time only."""
        with self._lock:
            if key not in self._known:
                self._known[key] = read()
            return cast(T, self._known[key])

    def several(self, kind: str, wanted: Collection[int], read: Callable[[list[int]], Mapping[int, T]]) -> dict[int, T]:
        """What `read` finds of these, read together with all else of this kind that is `listed`, and only once."""
        with self._lock:
            known = cast(dict[int, T | None], self._known.setdefault(("several", kind), {}))
            missing = sorted({*wanted, *self._listed.get(kind, ())} - known.keys())
            if missing:
                found = read(missing)
                known.update({one: found.get(one) for one in missing})
            return {one: row for one in wanted if (row := known[one]) is not None}

    @property
    def now(self) -> datetime:
        """The moment of this reading."""
        return self.once("now", clock.database_now)

    @property
    def queues(self) -> list[QueueLine]:
        """All queues by name."""
        return self.once("queues", self._read_queues)

    @property
    def workers(self) -> figures.Workers:
        """Processes that work, and those that have fallen silent."""
        return self.once("workers", lambda: figures.workers(self.now))

    @property
    def series(self) -> Series:
        """Throughput of the last fifteen minutes."""
        return self.once("series", self._read_series)

    @property
    def last_end(self) -> datetime | None:
        """When the last run ended, however long ago."""
        return self.once("last_end", throughput.last_end)

    @property
    def in_progress(self) -> list[BatchLine]:
        """The newest running batches; one more than are shown tells that there are more."""
        return [self._line(row) for row in self._running]

    def batch(self, batch_id: int) -> BatchLine | None:
        """One batch; counted from its chunks whatever its state."""
        row = self.once(
            ("batch", batch_id),
            lambda: self._rows.get(batch_id) if batch_id in self._watched else batches.batch(batch_id),
        )
        return self._line(row) if row else None

    def batch_lines(self, rows: Collection[batches.BatchRow]) -> list[BatchLine]:
        """The rows of a list with their counts, in one reading."""
        missing = [row.id for row in rows if row.id not in self._counts]
        self._counts.update(batches.batch_counts(missing))
        return [self._line(row) for row in rows]

    @property
    def _running(self) -> list[batches.BatchRow]:
        return self.once("running", lambda: batches.batches_in_progress(BATCHES_SHOWN + 1))

    @property
    def _rows(self) -> dict[int, batches.BatchRow]:
        return self.once("rows", lambda: batches.batch_rows(self._watched))

    @property
    def _counts(self) -> dict[int, batches.BatchCounts]:
        # Everything that is watched and everything in progress, together: the number of queries does not
        # depend on how many look at what.
        ids = self._watched | {row.id for row in self._running}
        return self.once("counts", lambda: batches.batch_counts(ids, recount=self._watched))

    def _line(self, row: batches.BatchRow) -> BatchLine:
        counts = self._counts.get(row.id)
        if counts is None:
            counts = batches.batch_counts([row.id], recount=[row.id])[row.id]
            self._counts[row.id] = counts
        return self.once(("line", row.id), lambda: self._measure(row, counts))

    def _measure(self, row: batches.BatchRow, counts: batches.BatchCounts) -> BatchLine:
        end = row.finished_at or self.now
        duration = progress.lasted(counts.ran, row.started_at, end)
        rate = progress.average(counts.ran, row.started_at, end)
        left = None
        if row.finished_at is None:
            measured = progress.rate(self._history.sample(row.id, self.now, counts.ended), self.now)
            rate = rate if measured is None else measured
            left = progress.time_left(counts.unended, rate)
        return BatchLine(row, counts, progress.segments(counts), rate, left, duration)

    def _read_series(self) -> Series:
        count = int(CHART.total_seconds()) // BUCKET
        return spread(self._history.work(self.now), self.now, BUCKET, count)

    def _read_queues(self) -> list[QueueLine]:
        found = figures.queue_figures(self.now)
        long = [queue.id for queue in found if not (queue.exact and queue.dead_exact)]
        estimates = self._history.estimates(self.now, long)
        running = figures.running_jobs()
        rates = throughput.rates(self.now, RATE_WINDOW)
        lines = []
        for queue in found:
            estimate = None if queue.exact and queue.dead_exact else estimates.get(queue.id)
            lines.append(_queue_line(queue, estimate, running.get(queue.id, 0), rates.get(queue.id, 0.0)))
        return lines


def _queue_line(queue: figures.QueueFigures, estimate: figures.Estimate | None, running: int, rate: float) -> QueueLine:
    waiting, scheduled, held, dead = queue.waiting, queue.scheduled, queue.held, queue.dead
    retrying = queue.retrying
    if estimate is not None:
        # An estimate is ten seconds old at most; what is counted now is the least there can be.
        if not queue.exact:
            waiting, scheduled = max(waiting, estimate.waiting), max(scheduled, estimate.scheduled)
            retrying, held = max(retrying, estimate.retrying), max(held, estimate.held)
        if not queue.dead_exact:
            dead = max(dead, estimate.dead)
    capped = not (queue.exact and queue.dead_exact)
    return QueueLine(
        queue,
        waiting,
        scheduled,
        min(retrying, scheduled),
        held,
        dead,
        running,
        rate,
        about=capped and estimate is not None,
        least=capped and estimate is None,
    )


class Shared:
    """The newest reading of this process, for all who can do with one that is a second old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._read_at = 0.0

    def put(self, snapshot: Snapshot, at: float) -> None:
        """The broadcaster's last reading."""
        with self._lock:
            self._snapshot, self._read_at = snapshot, at

    def get(self, at: float, oldest: float = 1.0) -> Snapshot:
        """The newest reading, or a new one when that is older than `oldest` seconds."""
        with self._lock:
            if self._snapshot is None or at - self._read_at > oldest:
                self._snapshot, self._read_at = Snapshot(), at
            return self._snapshot

    def clear(self) -> None:
        """Forget it."""
        with self._lock:
            self._snapshot = None


SHARED = Shared()
