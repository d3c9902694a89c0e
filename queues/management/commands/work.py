"""`manage.py work`: one worker in the foreground, without Celery or a broker."""

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from queues import shutdown
from queues.foreground import Foreground
from queues.management.base import OperatorCommand
from queues.models import Queue


class Command(OperatorCommand):
    """Works until SIGTERM or Ctrl-C: then finishes the job in hand and gives back the rest."""

    help = "Work on queues in this process, without Celery. SIGTERM or Ctrl-C stops it after the job in hand."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which queues, and for how long."""
        parser.add_argument("--queue", action="append", metavar="NAME", default=[], help="only this one; repeatable")
        parser.add_argument("--burst", action="store_true", help="end when nothing is due")
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> None:
        """Work, and say how much was done."""
        names = sorted(set(options["queue"]))
        known = dict(Queue.objects.filter(name__in=names).values_list("name", "pk"))
        if unknown := [name for name in names if name not in known]:
            raise CommandError(f"unknown queue {unknown[0]!r}; `manage.py queues list` shows those there are")
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        shutdown.request_on_signals()
        worker = Foreground(names, known.values())
        try:
            if not options["burst"]:
                self.say(f"Working on {', '.join(names) or 'all queues'}. Ctrl-C stops.")
                self.stdout.flush()
            total = worker.run(burst=options["burst"])
        finally:
            worker.leave()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.as_json:
            self.document({"jobs": total})
        self.say(f"{total:,} jobs ended")
