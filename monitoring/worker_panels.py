"""Panels of workers: all of them, and one."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from monitoring import panels
from monitoring.panels import Ask, Context, Gone, Panel
from queues.selectors import runs, worker_health

# Over this time throughput and success are measured: short enough to read at any load.
WINDOW = timedelta(minutes=10)
SHOWN = 200


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker, what it does now, and the runs that it lost lately."""

    seen: worker_health.Seen
    doing: list[runs.RunRow]
    lost: int

    @property
    def beat(self) -> timedelta:
        """Since its last heartbeat."""
        return timedelta(seconds=self.seen.heartbeat_age)


def worker_list(ask: Ask) -> Context:
    """Those that should be there, the oldest first: who starts is added below, and no row moves."""
    now = ask.snapshot.now
    seen = ask.snapshot.once("seen", lambda: worker_health.listed(now, window=WINDOW))
    seen = sorted(seen, key=lambda worker: (worker.started_at, worker.id))
    shown = seen[:SHOWN]
    ids = [worker.id for worker in shown]
    doing: dict[UUID, list[runs.RunRow]] = {}
    for run in ask.snapshot.once("doing", lambda: runs.running(workers=ids, limit=2 * SHOWN)) if ids else []:
        doing.setdefault(run.worker_id, []).append(run)
    lost = ask.snapshot.once("lost", lambda: runs.lost_since(now - WINDOW))
    versions = sorted({worker.version for worker in seen})
    return {
        "rows": [WorkerLine(worker, doing.get(worker.id, []), lost.get(worker.id, 0)) for worker in shown],
        "total": len(seen),
        "health": {name: sum(worker.health == name for worker in seen) for name in ("healthy", "silent", "dead")},
        "suspended": sum(worker.state == "suspended" for worker in seen),
        "versions": versions if len(versions) > 1 else [],
        "now": now,
    }


def worker(ask: Ask) -> Context:
    """One worker as it stands."""
    key, now = UUID(ask.subject), ask.snapshot.now
    seen = ask.snapshot.once(("worker", key), lambda: worker_health.one(key, now, window=WINDOW))
    if seen is None:
        raise Gone(f"worker {ask.subject}")
    doing = ask.snapshot.once(("doing", key), lambda: runs.running(workers=[key]))
    lost = ask.snapshot.once("lost", lambda: runs.lost_since(now - WINDOW))
    return {"row": WorkerLine(seen, doing, lost.get(key, 0)), "now": now}


def register() -> None:
    """Make them known."""
    panels.add(
        Panel("worker-list", worker_list, every=2), Panel("worker", worker, about="worker", every=2), worker=_worker
    )


def _worker(subject: str) -> str:
    try:
        return str(UUID(subject))
    except ValueError:
        raise Gone(f"worker {subject[:80]}") from None
