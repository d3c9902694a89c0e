"""Panels of workers: all of them, and one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from monitoring import filters, minutes, panels, queue_panels
from monitoring.panels import Ask, Context, Gone, Panel
from monitoring.snapshot import Snapshot
from queues.selectors import runs, worker_health

# Over this time throughput and success are measured: short enough to read at any load.
WINDOW = timedelta(minutes=10)
SHOWN = 200
HOSTS_SHOWN = 12
KNOWN = ("host", "queue")
# A run that takes so many times longer than its queue's usually do, and longer than this, is told.
MUCH_LONGER, LONG = 5, timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Doing:
    """A run that goes on, for how long, and how long those of its queue usually take."""

    run: runs.RunRow
    lasted: timedelta
    usual: timedelta | None

    @property
    def long(self) -> bool:
        """Whether it takes much longer."""
        return self.usual is not None and self.lasted > max(LONG, MUCH_LONGER * self.usual)


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker, what it does now, and the runs that it lost lately."""

    seen: worker_health.Seen
    doing: list[Doing]
    lost: int

    @property
    def beat(self) -> timedelta:
        """Since its last heartbeat."""
        return timedelta(seconds=self.seen.heartbeat_age)

    @property
    def failing(self) -> float | None:
        """Tries that failed, of all within the window."""
        done = self.seen.figures
        return done.failed / (done.failed + done.succeeded) if done.failed + done.succeeded else None


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address."""
    return filters.given(values, KNOWN)


def worker_list(ask: Ask) -> Context:
    """Those that should be there, the oldest first: who starts is added below, and no row moves."""
    snapshot, wanted = ask.snapshot, chosen(filters.pairs(ask.subject))
    filters.check_lengths(wanted)
    now = snapshot.now
    everybody = snapshot.once("seen", lambda: worker_health.listed(now, window=WINDOW))
    seen = sorted(filter(lambda worker: _fits(worker, wanted), everybody), key=lambda one: (one.started_at, one.id))
    shown = seen[:SHOWN]
    doing = _doing(snapshot)
    lost = snapshot.once("lost", lambda: runs.lost_since(now - WINDOW))
    versions = sorted({worker.version for worker in everybody})
    hosts = Counter(worker.host for worker in everybody)
    return {
        "rows": [WorkerLine(worker, doing.get(worker.id, []), lost.get(worker.id, 0)) for worker in shown],
        "total": len(seen),
        "filtered": wanted,
        "hosts": sorted(hosts.items())[:HOSTS_SHOWN] if len(hosts) > 1 else [],
        "health": {name: sum(worker.health == name for worker in seen) for name in ("healthy", "silent", "dead")},
        "lost": sum(lost.values()),
        "suspended": sum(worker.state == "suspended" for worker in seen),
        "versions": versions if len(versions) > 1 else [],
        "unserved": [line for line in snapshot.queues if line.waiting and not _served(snapshot, line.figures.name)],
        "now": now,
    }


def worker(ask: Ask) -> Context:
    """One worker as it stands, beside all others."""
    snapshot, key = ask.snapshot, UUID(ask.subject)
    now = snapshot.now
    seen = snapshot.once(("worker", key), lambda: worker_health.one(key, now, window=WINDOW))
    if seen is None:
        raise Gone(f"worker {ask.subject}")
    doing = snapshot.once(("doing", key), lambda: runs.running(workers=[key]))
    lost = snapshot.once("lost", lambda: runs.lost_since(now - WINDOW))
    row = WorkerLine(seen, [_lasting(snapshot, run) for run in doing], lost.get(key, 0))
    return {"row": row, "peers": snapshot.once("peers", lambda: minutes.summed(now - WINDOW, now)), "now": now}


def register() -> None:
    """Make them known."""
    panels.add(
        Panel("worker-list", worker_list, about="workers", every=2),
        Panel("worker", worker, about="worker", every=2),
        worker=_worker,
        workers=lambda subject: urlencode(chosen(filters.pairs(subject))),
    )


def _fits(one: worker_health.Seen, wanted: dict[str, str]) -> bool:
    """Whether it is on this host, and takes work of this queue."""
    if wanted.get("host", one.host) != one.host:
        return False
    return "queue" not in wanted or not one.queues or wanted["queue"] in one.queues


def _doing(snapshot: Snapshot) -> dict[UUID, list[Doing]]:
    """The runs that go on, by worker."""
    found: dict[UUID, list[Doing]] = {}
    for run in snapshot.once("doing", lambda: runs.running(limit=2 * SHOWN)):
        found.setdefault(run.worker_id, []).append(_lasting(snapshot, run))
    return found


def _lasting(snapshot: Snapshot, run: runs.RunRow) -> Doing:
    keys = {line.figures.name: line.figures.id for line in snapshot.queues}
    usual = queue_panels.lately(snapshot, keys.get(run.queue, 0)).mean_run
    return Doing(run, max(timedelta(), snapshot.now - run.started_at), usual)


def _served(snapshot: Snapshot, name: str) -> bool:
    return queue_panels.workers(snapshot, name) > 0


def _worker(subject: str) -> str:
    try:
        return str(UUID(subject))
    except ValueError:
        raise Gone(f"worker {subject[:80]}") from None
