"""What a web process remembers between two readings, so that each of them stays small.

All of it can be lost at any time: it is read again or measured anew.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError

from monitoring import rollup
from monitoring.moments import Standing
from monitoring.progress import WINDOW, Sample
from queues.selectors import clock, figures, overview, throughput

BUCKET = 10
CHART = timedelta(minutes=15)
# Runs that ended longer ago than this are all committed: a settle takes seconds, or fails by its timeouts.
SETTLED = timedelta(seconds=30)
# Buckets that are read at once when there is much to catch up with.
SLICE = 6
# With more unread buckets than this all is read anew, and whole minutes from where they are kept.
MUCH = 4 * SLICE
ESTIMATE_EVERY = timedelta(seconds=10)
ESTIMATE_LIMIT = 0.5
# Arrivals are told in spans of so many seconds: those of the last minutes that have been closed for a while.
SPAN = 30
SPANS = 10
# Figures without a history of their own are noted this often, for the small lines; after a longer gap, in which nobody
# looked, the kept minutes are read again.
NOTE_EVERY = timedelta(seconds=5)
NOTE_GAP = timedelta(seconds=90)

Notes = list[tuple[datetime, Standing]]


class History:
    """Samples of batches, closed buckets of the chart, estimates of long backlogs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._samples: dict[int, deque[Sample]] = {}
        self._work: dict[int, list[throughput.WorkGroup]] = {}
        self._closed = 0
        self._estimates: Mapping[int, figures.Estimate] = {}
        self._estimated_at: datetime | None = None
        self._arrived: dict[int, dict[int, float]] = {}
        self._notes: deque[tuple[datetime, Standing]] = deque()

    def arrivals(self, now: datetime) -> list[dict[int, float]]:
        """Jobs enqueued in a second in each of the last spans, by queue. Each span is read once, when it can no more
        change."""
        last = int((now - SETTLED).timestamp()) // SPAN
        wanted = range(last - SPANS, last)
        with self._lock:
            self._arrived = {number: jobs for number, jobs in self._arrived.items() if number in wanted}
            for number in wanted:
                if number not in self._arrived:
                    start, end = (datetime.fromtimestamp(one * SPAN, UTC) for one in (number, number + 1))
                    found = overview.arrived(start, end)
                    self._arrived[number] = {queue: jobs / SPAN for queue, jobs in found.items()}
            return [self._arrived[number] for number in wanted]

    def note(self, now: datetime, standing: Standing, past: Callable[[datetime], Notes]) -> Notes:
        """Remember how everything stands, and return how it has stood within the chart's time. What was before this
        process began to look is asked of `past`."""
        with self._lock:
            kept = self._notes
            if not kept or now - kept[-1][0] > NOTE_GAP:
                # A minute more, so that one is before the chart's time.
                self._notes = kept = deque(past(now - CHART - timedelta(minutes=1)))
            if len(kept) > 1 and now - kept[-2][0] < NOTE_EVERY:
                kept.pop()
            kept.append((now, standing))
            # One from before the chart's time stays, as the value with which that begins.
            while len(kept) > 1 and now - kept[1][0] >= CHART:
                kept.popleft()
            return list(kept)

    def sample(self, batch_id: int, now: datetime, ended: int) -> list[Sample]:
        """Add a reading of a batch and return those from which its rate is measured."""
        with self._lock:
            kept = self._samples.setdefault(batch_id, deque())
            if not kept or now - kept[-1].at >= timedelta(milliseconds=500):
                kept.append(Sample(now, ended))
            while now - kept[0].at > WINDOW:
                kept.popleft()
            return list(kept)

    def forget_batches(self, now: datetime) -> None:
        """Drop what nobody has looked at for a while."""
        with self._lock:
            old = [key for key, kept in self._samples.items() if now - kept[-1].at > WINDOW]
            for key in old:
                del self._samples[key]

    def work(self, now: datetime) -> list[throughput.WorkGroup]:
        """All work of the chart's time: closed buckets from memory, the rest read anew.

        A bucket is closed when it is so long past that nothing can be added to it: a run that commits late is
        seen late, never missed. At first there is much to read: minutes that are rolled up are read as such, a row
        for each queue instead of one for each run, and the rest minute by minute, so that a reading that is cut
        off by its time limit is continued by the next one.
        """
        closed = int((now - SETTLED).timestamp() // BUCKET)
        oldest = int((now - CHART).timestamp() // BUCKET)
        with self._lock:
            self._work = {number: work for number, work in self._work.items() if number >= oldest}
            start = max(oldest, self._closed)
            if closed - start > MUCH:
                complete, groups = rollup.complete(_time(oldest), BUCKET)
                self._work = {}
                for group in groups:
                    self._work.setdefault(group.last, []).append(group)
                self._closed = start = max(oldest, int(complete.timestamp()) // BUCKET)
            while start < closed:
                end = min(start + SLICE, closed)
                for group in throughput.ended_work(_time(start), _time(end), BUCKET):
                    self._work.setdefault(group.last, []).append(group)
                self._closed = start = end
            groups = [group for work in self._work.values() for group in work]
        groups += throughput.ended_work(_time(closed), now + SETTLED, BUCKET)
        return groups + throughput.running_work(now, BUCKET)

    def estimates(self, now: datetime, wanted: Collection[int]) -> Mapping[int, figures.Estimate]:
        """Whole counts of the queues that are too long to be counted each second, at most ten seconds old.

        Empty while there are none: when counting took too long, the next try waits as well.
        """
        if not wanted:
            return {}
        with self._lock:
            if self._estimated_at is None or now - self._estimated_at >= ESTIMATE_EVERY:
                self._estimated_at = now
                try:
                    with clock.bounded(ESTIMATE_LIMIT):
                        self._estimates = figures.queue_estimates(now)
                except DatabaseError:
                    self._estimates = {}
            return self._estimates


def _time(bucket: int) -> datetime:
    return datetime.fromtimestamp(bucket * BUCKET, UTC)


HISTORY = History()
