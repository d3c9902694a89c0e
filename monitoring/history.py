"""What a web process remembers between two readings, so that each of them stays small.

All of it can be lost at any time: it is read again or measured anew.
"""

import threading
from collections import deque
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError

from monitoring.progress import WINDOW, Sample
from queues.selectors import clock, figures, throughput

BUCKET = 10
CHART = timedelta(minutes=15)
# Runs that ended longer ago than this are all committed: a settle takes seconds, or fails by its timeouts.
SETTLED = timedelta(seconds=30)
# Buckets that are read at once when there is much to catch up with.
SLICE = 6
ESTIMATE_EVERY = timedelta(seconds=10)
ESTIMATE_LIMIT = 0.5


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
        seen late, never missed. At first there is much to read; it is read minute by minute, so that a reading
        that is cut off by its time limit is continued by the next one.
        """
        closed = int((now - SETTLED).timestamp() // BUCKET)
        oldest = int((now - CHART).timestamp() // BUCKET)
        with self._lock:
            self._work = {number: work for number, work in self._work.items() if number >= oldest}
            start = max(oldest, self._closed)
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
