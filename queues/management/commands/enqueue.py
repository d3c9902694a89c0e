"""`manage.py enqueue`: the jobs of a file become one batch, all or none."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError

from queues.domain.states import AfterPolicy, FailureMode, Priority
from queues.management.base import LATER, OperatorCommand, UsageError, a_moment, an_id, operator
from queues.models import Batch
from queues.services.feed import EnqueueError, EnqueueLimited
from queues.services.feeds import FORMATS, format_of
from queues.services.submit import resolve, submit


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
        parser.add_argument(
            "--after", type=an_id, action="append", default=[], metavar="BATCH", help="wait for its end; repeatable"
        )
        policies = [policy.value for policy in AfterPolicy]
        parser.add_argument("--after-policy", choices=policies, default=policies[0], help="which end (%(default)s)")
        parser.add_argument("--then", metavar="HANDLER", help="gets a batch of this one's kept results")
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
            try:
                batch = submit(
                    stream=stream,
                    form=form,
                    handler=handler,
                    queue=queue,
                    progress=bar.at,
                    name=options["name"] or (path.name if path else ""),
                    metadata=metadata,
                    priority=options["priority"],
                    run_at=options["run_at"],
                    failure_mode=options["failure_mode"],
                    split=options["split"],
                    idempotency_key=options["idempotency_key"],
                    after=options["after"],
                    after_policy=options["after_policy"],
                    then=options["then"],
                    actor=operator(),
                    source="command",
                )
            except EnqueueLimited as error:
                raise CommandError(f"{error}; nothing was enqueued", returncode=LATER) from None
            except EnqueueError as error:
                raise CommandError(f"{str(error).replace('split=True', '--split')}; nothing was enqueued") from None
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


def _target(target: str, queue: str | None) -> tuple[str, str | None]:
    try:
        handler, own = resolve(target=target)
    except EnqueueError as error:
        raise CommandError(str(error)) from None
    if queue is not None and own is not None:
        raise UsageError("--queue goes with a handler, not with a queue")
    return handler, queue or own


def _metadata(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--metadata: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError("--metadata: an object is needed")
    return found


@contextmanager
def _opened(path: Path | None) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file, and its size where it has one."""
    if path is None:
        if sys.stdin is None:
            raise CommandError("standard input is closed")
        yield sys.stdin.buffer, None
        return
    try:
        stream = path.open("rb")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    with stream:
        yield stream, path.stat().st_size or None
