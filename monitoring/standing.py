"""How everything stands now: the figures of the overview's tiles, and what is written of them once a minute."""

from dataclasses import asdict, dataclass
from datetime import timedelta

from monitoring import moments
from monitoring.moments import Standing
from monitoring.snapshot import Snapshot
from queues.selectors import gauges, handover, overview, throughput, worker_health
from queues.services import stuck


@dataclass(frozen=True, slots=True)
class Oldest:
    """What has been due for the longest time."""

    queue: str
    waited: timedelta


@dataclass(frozen=True, slots=True)
class HandOver:
    """Batches that were accepted and not yet announced, in all queues."""

    pending: int
    age: timedelta | None
    failing: list[str]
    paused: int


def oldest(snapshot: Snapshot) -> Oldest | None:
    """Of the open queues."""
    found = snapshot.once("oldest_due", gauges.oldest_due)
    if not found:
        return None
    queue = max(found, key=lambda name: found[name])
    return Oldest(queue, timedelta(seconds=max(0.0, found[queue])))


def hand_over(snapshot: Snapshot) -> HandOver:
    """Of all queues."""
    found = snapshot.once("hand_overs", handover.hand_overs)
    names = {line.figures.id: line.figures.name for line in snapshot.queues}
    # What a paused queue holds back is told to nobody on purpose.
    paused = {line.figures.id for line in snapshot.queues if line.figures.pause}
    since = min((one.since for key, one in found.items() if one.since and key not in paused), default=None)
    failing = sorted(names.get(key, str(key)) for key, one in found.items() if one.failures)
    age = max(timedelta(), snapshot.now - since) if since else None
    held = sum(one.pending for key, one in found.items() if key in paused)
    return HandOver(sum(one.pending for one in found.values()), age, failing, held)


def health(snapshot: Snapshot) -> worker_health.Health:
    """How many workers there are of each health, as the list of workers tells them."""
    return snapshot.once("health", lambda: worker_health.tally(snapshot.now))


def slots(snapshot: Snapshot) -> overview.Slots:
    """Workers that take work, and those of them that hold a run."""
    return snapshot.once("worker slots", lambda: overview.slots(snapshot.now))


def arrivals(snapshot: Snapshot) -> list[dict[int, float]]:
    """Jobs a second that came into each queue, in each of the last spans."""
    return snapshot.once("arrivals", lambda: snapshot.history.arrivals(snapshot.now))


def read(snapshot: Snapshot) -> Standing:
    """The figures."""
    waited = oldest(snapshot)
    return Standing(
        waiting=sum(line.waiting - line.held for line in snapshot.queues),
        oldest=waited.waited.total_seconds() if waited else 0.0,
        running=sum(snapshot.once("running_runs", throughput.running_runs).values()),
        slots=slots(snapshot).all,
        dead=sum(line.dead for line in snapshot.queues),
        pending=hand_over(snapshot).pending,
        workers=health(snapshot).healthy,
    )


def note() -> bool:
    """Write this minute if nobody has, with what is too dear to be looked at by every page; whether it was written."""
    snapshot = Snapshot()
    if not moments.missing(snapshot.now):
        return False
    found = [list(asdict(problem).values())[:3] for problem in stuck.check_archiving(snapshot.now)]
    moments.write(snapshot.now, read(snapshot), found)
    moments.forget(snapshot.now)
    return True
