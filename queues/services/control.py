"""Telling workers from outside to wait, to go on or to stop, and taking back what dead ones hold.

An order is written on the worker's row; its keeper hears it within two seconds. Refused where it makes no sense, with
the reason. The order and its audit entry are one transaction.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from queues.domain.states import RunState, WorkerCommand, WorkerState
from queues.keeper import HEARTBEAT_EVERY
from queues.models import Run, Worker
from queues.selectors.clock import database_now
from queues.selectors.worker_health import HEALTHY_FOR
from queues.services import audit, reap, workers

# Who has not missed this many heartbeats is not taken for dead by a person's wish either.
SHORTEST_SILENCE, LONGEST_SILENCE = HEALTHY_FOR, 366 * 86_400.0
MOST_WORKERS = 1_000


class ControlRefused(ValueError):
    """The worker cannot be told this: the message says why."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What was taken back from dead workers."""

    workers: int
    runs: int


def suspend(*, worker: UUID, actor: str, source: str, reason: str = "") -> Worker:
    """Let a worker finish the job in hand, give back the rest, and claim nothing until it is resumed."""
    return _order(worker, WorkerCommand.SUSPEND, actor, source, reason)


def resume(*, worker: UUID, actor: str, source: str, reason: str = "") -> Worker:
    """Let a suspended worker go on."""
    return _order(worker, WorkerCommand.RESUME, actor, source, reason)


def stop(*, worker: UUID, actor: str, source: str, reason: str = "") -> Worker:
    """Let a worker finish the job in hand, give back the rest and end. Whoever keeps it running starts another."""
    return _order(worker, WorkerCommand.STOP, actor, source, reason)


def reclaim(
    *,
    actor: str,
    source: str,
    worker: UUID | None = None,
    older_than: float | None = None,
    force: bool = False,
    reason: str = "",
) -> Reclaimed:
    """Take back at once what a dead worker holds, or all that have not been heard of for `older_than` seconds.

    A worker that beats is refused, unless forced: its results will then come too late, and are dropped.
    """
    if (worker is None) == (older_than is None):
        raise ControlRefused("either a worker or a number of seconds is needed")
    if older_than is not None:
        if not SHORTEST_SILENCE <= older_than <= LONGEST_SILENCE:
            raise ControlRefused(
                f"older than: from {SHORTEST_SILENCE:g} s, for a living worker beats every {HEARTBEAT_EVERY:g} s,"
                f" to {LONGEST_SILENCE:g} s"
            )
        found = _silent(older_than)
    else:
        assert worker is not None
        found = [_known(worker)]
        if not force and (sign := life(found[0])):
            raise ControlRefused(f"worker {found[0].name} {sign}")
    runs = sum(_take_back(each, actor, source, reason, force) for each in found)
    return Reclaimed(len(found), runs)


def _silent(older_than: float) -> list[Worker]:
    """Those that still hold something, and those that never said goodbye."""
    silent = Worker.objects.filter(heartbeat_at__lt=database_now() - timedelta(seconds=older_than))
    holding = Run.objects.filter(state=RunState.RUNNING).values("worker_id")
    rows = silent.exclude(state=WorkerState.STOPPED) | silent.filter(pk__in=holding)
    return list(rows.order_by("heartbeat_at")[:MOST_WORKERS])


def life(worker: Worker) -> str:
    """Why nothing is taken back from a worker unless forced: it lives. Nothing where it can be taken for dead."""
    age = (database_now() - worker.heartbeat_at).total_seconds()
    if worker.state == WorkerState.STOPPED or age >= SHORTEST_SILENCE:
        return ""
    return f"was heard of {max(age, 0):.0f} s ago: it lives; stop it, or force"


def _take_back(worker: Worker, actor: str, source: str, reason: str, force: bool) -> int:
    runs = list(
        Run.objects.filter(worker_id=worker.pk, state=RunState.RUNNING).order_by("pk").values_list("pk", flat=True)
    )
    taken = sum(reap.reap_run(run_id=run, expire=True) for run in runs)
    if not force:
        workers.leave(worker_id=worker.pk)
    audit.record(actor=actor, source=source, action="reclaim worker", target=_target(worker), reason=reason, runs=taken)
    return taken


def _order(pk: UUID, command: WorkerCommand, actor: str, source: str, reason: str) -> Worker:
    with transaction.atomic():
        worker = Worker.objects.select_for_update(no_key=True).filter(pk=pk).first()
        if worker is None:
            raise ControlRefused(f"unknown worker {pk}")
        if against := flaw(worker, command):
            raise ControlRefused(f"worker {worker.name} {against}")
        worker.command, worker.commanded_by = command, actor[:150]
        worker.save(update_fields=["command", "commanded_by"])
        audit.record(actor=actor, source=source, action=f"{command} worker", target=_target(worker), reason=reason)
    return worker


def flaw(worker: Worker, command: WorkerCommand) -> str:
    """Why the worker cannot be told this now; empty when it can. An order that it has not yet heard counts as heard."""
    if worker.state == WorkerState.STOPPED:
        return "has stopped"
    if worker.command == WorkerCommand.STOP or worker.state == WorkerState.INTERRUPTED:
        return "is stopping already"
    waits = worker.command == WorkerCommand.SUSPEND or (
        worker.state == WorkerState.SUSPENDED and worker.command != WorkerCommand.RESUME
    )
    if command is WorkerCommand.SUSPEND and waits:
        return "is suspended already"
    if command is WorkerCommand.RESUME and not waits:
        return "is not suspended"
    return ""


def _known(pk: UUID) -> Worker:
    worker = Worker.objects.filter(pk=pk).first()
    if worker is None:
        raise ControlRefused(f"unknown worker {pk}")
    return worker


def _target(worker: Worker) -> str:
    return f"{worker.name} ({worker.pk})"
