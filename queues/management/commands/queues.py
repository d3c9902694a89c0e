"""`manage.py queues`: list, pause, resume."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from queues.management.base import OperatorCommand, a_moment, operator
from queues.selectors import figures, handover
from queues.selectors.clock import database_now
from queues.services import pause

COLUMNS = ("queue", "handler", "state", "waiting", "scheduled", "running", "dead")


class Command(OperatorCommand):
    """How the queues stand, and whether they may start work."""

    help = "List the queues, or pause and resume one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        super().add_arguments(verbs.add_parser("list", help="how each queue stands"))
        stop = verbs.add_parser("pause", help="start nothing new; what runs goes on")
        stop.add_argument("name")
        stop.add_argument("--reason", default="", help="for those who find it paused")
        stop.add_argument("--until", type=a_moment, help="resume by itself then: a time with zone, or +10m")
        go = verbs.add_parser("resume", help="let a paused queue go on")
        go.add_argument("name")
        go.add_argument("--reason", default="")
        super().add_arguments(stop)
        super().add_arguments(go)

    def answer(self, options: dict[str, Any]) -> None:
        """Do what the verb says."""
        if options["verb"] == "list":
            self._list()
        elif options["verb"] == "pause":
            self._pause(options)
        else:
            queue = pause.resume_queue(
                name=options["name"], actor=operator(), source="command", reason=options["reason"]
            )
            self._changed(queue.name, paused=False, until=None)

    def _pause(self, options: dict[str, Any]) -> None:
        queue = pause.pause_queue(
            name=options["name"],
            actor=operator(),
            source="command",
            reason=options["reason"],
            until=options["until"],
        )
        self._changed(queue.name, paused=True, until=queue.paused_until)

    def _changed(self, name: str, *, paused: bool, until: Any) -> None:
        if self.as_json:
            self.document({"queue": name, "paused": paused, "until": until})
        ending = f" until {until.isoformat()}" if until else ""
        self.say(f"queue {name} is paused{ending}" if paused else f"queue {name} goes on")

    def _list(self) -> None:
        now = database_now()
        running = figures.running_jobs()
        found = [(queue, running.get(queue.id, 0)) for queue in figures.queue_figures(now)]
        if self.as_json:
            pending = handover.hand_overs()
            self.document(
                [_document(queue, count, pending.get(queue.id, handover.NONE), now) for queue, count in found]
            )
            return
        rows = [
            (
                queue.name,
                queue.handler,
                _state(queue),
                _least(queue.waiting, queue.exact),
                _least(queue.scheduled, queue.exact),
                count,
                _least(queue.dead, queue.dead_exact),
            )
            for queue, count in found
        ]
        self.table(COLUMNS, rows, empty="no queues: `manage.py sync_queues` makes the declared ones")


def _document(queue: figures.QueueFigures, running: int, hand_over: handover.HandOver, now: datetime) -> dict[str, Any]:
    return {
        "queue": queue.name,
        "handler": queue.handler,
        "pause": queue.pause,
        "waiting": queue.waiting,
        "scheduled": queue.scheduled,
        "held": queue.held,
        "running": running,
        "dead": queue.dead,
        "exact": queue.exact and queue.dead_exact,
        "hand_over": {
            "pending_batches": hand_over.pending,
            "oldest_seconds": hand_over.age(now),
            "error": hand_over.error,
            "failed_at": hand_over.failed_at,
            "failures": hand_over.failures,
        },
    }


def _state(queue: figures.QueueFigures) -> str:
    if queue.pause is None:
        return "open"
    until = f" until {queue.pause.until:%Y-%m-%d %H:%M}" if queue.pause.until else ""
    return f"paused{until} by {queue.pause.by}" + (f": {queue.pause.reason}" if queue.pause.reason else "")


def _least(count: int, exact: bool) -> int | str:
    return count if exact else f"{count:,}+"
