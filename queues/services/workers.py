"""Working processes: they register, beat and leave; dead ones are found by their neighbours."""

import os
import platform
import socket
import uuid
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from queues import signals, store
from queues.domain.states import WorkerState

# Seconds without a heartbeat after which a worker is taken for gone, where its process cannot be looked at.
SILENT_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class Identity:
    """One start of one process. `machine` names the boot and process space in which the pid means something."""

    id: uuid.UUID
    name: str
    host: str
    machine: str
    pid: int
    process_started: float


@cache
def machine() -> str:
    """Where a pid means something: two containers on one host have different ones."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{platform.node()} {uuid.getnode():x} {psutil.boot_time():.0f}"


def identify() -> Identity:
    """Who this process is. Call it after a fork, not before."""
    pid, host = os.getpid(), socket.gethostname()
    started = psutil.Process(pid).create_time()
    return Identity(uuid.uuid4(), f"{host}:{pid}", host, machine(), pid, started)


def product_version() -> str:
    """The installed version of batchconsole."""
    try:
        return version("batchconsole")
    except PackageNotFoundError:
        return "unknown"


def register(*, identity: Identity, queues: list[str]) -> None:
    """Write the worker's row."""
    store.run(
        "register_worker",
        worker=identity.id,
        name=identity.name,
        host=identity.host,
        machine=identity.machine,
        pid=identity.pid,
        process_started=identity.process_started,
        version=product_version(),
        queues=queues,
    )
    signals.tell(signals.worker_started, **_facts(identity.id, identity.name), host=identity.host, queues=queues)


def beat(*, worker_id: uuid.UUID, state: WorkerState, processed: int, failed: int) -> bool:
    """A heartbeat, with the jobs done since the last; False when the worker's row is gone."""
    return bool(store.run("beat_worker", worker=worker_id, state=state.value, processed=processed, failed=failed))


def leave(*, worker_id: uuid.UUID, processed: int = 0, failed: int = 0, silent: bool = False) -> None:
    """The worker has stopped; `silent`: others have found it gone."""
    for name in store.rows("stop_worker", worker=worker_id, processed=processed, failed=failed):
        signals.tell(signals.worker_stopped, **_facts(worker_id, *name), silent=silent)


def bury_dead() -> int:
    """End the leases of processes of this machine that are no more; returns how many were found.

    The next reap takes their work back. Cheap: one look at the workers of this machine.
    """
    dead = 0
    for worker, pid, started in store.rows("workers_here", machine=machine()):
        if not _alive(pid, started):
            store.run("end_leases", worker=worker)
            leave(worker_id=worker, silent=True)
            dead += 1
    return dead


def bury_silent() -> int:
    """Mark workers stopped that have not been heard of for a minute; returns how many."""
    found = store.rows("silent_workers", seconds=SILENT_AFTER)
    for worker, name in found:
        signals.tell(signals.worker_stopped, **_facts(worker, name), silent=True)
    return len(found)


def _facts(worker: uuid.UUID, name: str) -> dict[str, str]:
    return {"worker": str(worker), "name": name}


def _alive(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
