"""`manage.py enqueue`: the jobs of a file become one batch, all or none."""

import json
import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError

from queues import handlers
from queues.domain.states import FailureMode, Priority
from queues.management.base import Bar, OperatorCommand, UsageError, a_moment, operator
from queues.management.feeds import FORMATS, Feed, format_of
from queues.models import Batch, Queue
from queues.services.enqueue import enqueue_batch
from queues.services.intake import EnqueueError

# How often the bar moves: a look at the clock for each line would cost more than the line.
REPORT_EVERY = 1_000


class Command(OperatorCommand):
    """Enqueues a JSONL or CSV file."""

    help = "Enqueue the jobs of a file, one for each line, as one batch: all of them, or none."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to run, on what, how."""
        parser.add_argument("target", help="a handler, or a queue that has one")
        parser.add_argument("file", help="JSONL (each line a payload) or CSV (with a header); - is standard input")
        parser.add_argument("--format", choices=FORMATS, help="where the file's name does not tell")
        parser.add_argument("--queue", help="another queue than the handler's own")
        parser.add_argument("--name", default="", help="of the batch (the file's name)")
        parser.add_argument("--priority", choices=[priority.label for priority in Priority])
        parser.add_argument("--run-at", type=a_moment, help="not before: a time with its zone, or +10m")
        parser.add_argument("--metadata", default="{}", help="a JSON object, kept with the batch")
        modes = [mode.value for mode in FailureMode]
        parser.add_argument("--failure-mode", choices=modes, default=modes[0], help="(%(default)s)")
        parser.add_argument("--split", action="store_true", help="make parts of what is too much for one batch")
        parser.add_argument("--idempotency-key", help="the same key and content again is the same batch")
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> None:
        """Enqueue, and say what has become of it."""
        handler, queue = _target(options["target"], options["queue"])
        path = None if options["file"] == "-" else Path(options["file"])
        form = options["format"] or (format_of(path.suffix) if path else "jsonl")
        if form is None:
            raise UsageError(f"{path.name if path else ''}: --format jsonl or csv is needed")
        metadata = _metadata(options["metadata"])
        with _opened(path) as (stream, size), self.progress("enqueue", size) as bar:
            feed = Feed(stream, form)
            batch = _enqueue(
                feed,
                bar,
                handler=handler,
                queue=queue,
                name=options["name"] or (path.name if path else ""),
                metadata=metadata,
                priority=options["priority"],
                run_at=options["run_at"],
                failure_mode=options["failure_mode"],
                split=options["split"],
                idempotency_key=options["idempotency_key"],
            )
        self._tell(batch)

    def _tell(self, batch: Batch) -> None:
        parts = batch.parts.count() if batch.is_parent else 0
        if self.as_json:
            self.document(
                {
                    "batch": batch.pk,
                    "name": batch.name,
                    "queue": batch.queue.name,
                    "handler": batch.handler,
                    "jobs": batch.total,
                    "parts": parts,
                }
            )
        split = f" in {parts} parts" if parts else ""
        self.say(f"batch {batch.pk}: {batch.total:,} jobs{split} for {batch.handler} on queue {batch.queue.name}")


def _enqueue(feed: Feed, bar: Bar, *, handler: str, queue: str | None, name: str, **options: Any) -> Batch:
    def payloads() -> Iterator[Any]:
        for place, payload in enumerate(feed.payloads()):
            if place % REPORT_EVERY == 0:
                bar.at(feed.bytes_read)
            yield payload

    try:
        return enqueue_batch(handler, payloads(), queue=queue, name=name, created_by=operator(), **options)
    except EnqueueError as error:
        raise CommandError(_with_line(str(error), feed)) from None


def _with_line(message: str, feed: Feed) -> str:
    """The services count items; a person looks for a line."""
    found = re.match(r"item (\d+): ", message)
    if found:
        message = f"line {feed.line_of(int(found[1]))}: {message[found.end() :]}"
    return f"{message.replace('split=True', '--split')}; nothing was enqueued"


def _target(target: str, queue: str | None) -> tuple[str, str | None]:
    try:
        return handlers.find(target).name, queue
    except handlers.UnknownHandler as error:
        row = Queue.objects.filter(name=target).first()
        if row is None:
            raise CommandError(
                f"{target!r} is neither a handler nor a queue; {str(error).partition('; ')[2]}"
            ) from None
    if queue is not None:
        raise UsageError("--queue goes with a handler, not with a queue")
    if row.handler:
        return row.handler, row.name
    fitting = [known.name for known in handlers.known() if known.queue == row.name]
    if len(fitting) != 1:
        raise CommandError(f"queue {target!r} has {len(fitting)} handlers: name the handler instead")
    return fitting[0], row.name


def _metadata(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--metadata: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError("--metadata: an object is needed")
    return found


@contextmanager
def _opened(path: Path | None) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and its size where it has one."""
    if path is None:
        yield sys.stdin.buffer, None
        return
    try:
        stream = path.open("rb")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    with stream:
        yield stream, path.stat().st_size or None
