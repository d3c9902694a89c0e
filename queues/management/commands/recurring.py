"""`manage.py recurring`: list, add, remove, enable, disable, run."""

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from queues import schedules
from queues.domain.states import FailureMode, Priority
from queues.management.base import OperatorCommand, UsageError, operator
from queues.models import Recurring
from queues.services import recurring
from queues.services.feed import EnqueueError
from queues.services.submit import resolve

COLUMNS = ("name", "queue", "handler", "schedule", "enabled", "next due", "last due", "last error")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Command(OperatorCommand):
    """Batches that come again by a schedule."""

    help = "List recurring batches; add or change one, remove, enable or disable one, or make its batch now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        every = verbs.add_parser("list", help="all, by name")
        add = verbs.add_parser("add", help="make one, or change the one of this name to be as said")
        others = [
            verbs.add_parser("remove", help="for good; the batches it made stay"),
            verbs.add_parser("enable", help="it comes again, first after now"),
            verbs.add_parser("disable", help="it rests"),
            verbs.add_parser("run", help="make its batch now, apart from its schedule"),
        ]
        for verb in (add, *others):
            verb.add_argument("name")
        add.add_argument("target", help="a handler, or a queue that has one")
        times = add.add_mutually_exclusive_group(required=True)
        times.add_argument("--cron", help="minute, hour, day of month, month, day of week: '30 6 * * mon-fri'")
        times.add_argument("--every", type=_a_while, help="so long after the last due time: 30s, 15m, 6h, 1d")
        add.add_argument("--timezone", default="UTC", help="of the cron line (%(default)s)")
        jobs = add.add_mutually_exclusive_group(required=True)
        jobs.add_argument("--payloads", help="a JSON list, one job for each item")
        jobs.add_argument("--source", help="a source that the code declares")
        add.add_argument("--queue", help="another queue than the handler's own")
        add.add_argument("--metadata", default="{}", help="a JSON object, kept with each batch")
        add.add_argument("--priority", choices=[priority.label for priority in Priority])
        modes = [mode.value for mode in FailureMode]
        add.add_argument("--failure-mode", choices=modes, default=modes[0], help="(%(default)s)")
        add.add_argument("--disabled", action="store_true", help="do not begin yet")
        for verb in (every, add, *others):
            super().add_arguments(verb)

    def answer(self, options: dict[str, Any]) -> None:
        """Do what the verb says."""
        verb, name = options["verb"], options.get("name", "")
        if verb == "list":
            self._list()
        elif verb == "add":
            self._add(options)
        elif verb == "run":
            batch = recurring.run_recurring(name=name, actor=operator(), source="command")
            self._tell(
                f"recurring {name}: batch {batch.pk} with {batch.total:,} jobs", batch=batch.pk, jobs=batch.total
            )
        elif verb == "remove":
            recurring.remove_recurring(name=name, actor=operator(), source="command")
            self._tell(f"recurring {name} is removed", removed=name)
        else:
            recurring.enable_recurring(name=name, enabled=verb == "enable", actor=operator(), source="command")
            self._tell(f"recurring {name} is {verb}d", name=name, enabled=verb == "enable")

    def _tell(self, text: str, **document: Any) -> None:
        if self.as_json:
            self.document(document)
        self.say(text)

    def _list(self) -> None:
        rows = Recurring.objects.select_related("queue", "crontab", "interval").order_by("name")
        if self.as_json:
            self.document([_document(row) for row in rows])
            return
        self.table(COLUMNS, [tuple(_document(row)[name] for name in _SHOWN) for row in rows], empty="nothing recurs")

    def _add(self, options: dict[str, Any]) -> None:
        try:
            handler, own = resolve(target=options["target"])
        except EnqueueError as error:
            raise CommandError(str(error)) from None
        if options["queue"] is not None and own is not None:
            raise UsageError("--queue goes with a handler, not with a queue")
        metadata = _json("--metadata", options["metadata"])
        if not isinstance(metadata, dict):
            raise UsageError("--metadata: an object is needed")
        row = recurring.recurring(
            options["name"],
            handler,
            _payloads(options["payloads"]),
            source=options["source"],
            cron=options["cron"],
            timezone=options["timezone"],
            every=options["every"],
            queue=options["queue"] or own,
            metadata=metadata,
            priority=options["priority"],
            failure_mode=options["failure_mode"],
            enabled=not options["disabled"],
            actor=operator(),
            origin="command",
        )
        row = Recurring.objects.select_related("queue", "crontab", "interval").get(pk=row.pk)
        if self.as_json:
            self.document(_document(row))
        self.say(f"recurring {row.name}: {schedules.in_words(row)}, for {row.handler} on queue {row.queue.name}")


_SHOWN = ("name", "queue", "handler", "schedule", "enabled", "next_due_at", "last_due_at", "last_error")


def _document(row: Recurring) -> dict[str, Any]:
    return {
        "name": row.name,
        "queue": row.queue.name,
        "handler": row.handler,
        "schedule": schedules.in_words(row),
        "source": row.source,
        "priority": None if row.priority is None else Priority(row.priority).label,
        "failure_mode": row.failure_mode,
        "metadata": row.metadata,
        "enabled": row.enabled,
        "next_due_at": row.next_due_at,
        "last_due_at": row.last_due_at,
        "last_error": row.last_error,
    }


def _payloads(text: str | None) -> list[Any] | None:
    if text is None:
        return None
    try:
        return list(schedules.payload_texts(text))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--payloads: {error}") from None


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option}: not JSON: {error}") from None


def _a_while(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no length of time like 30s, 15m, 6h or 1d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
