"""`manage.py demo`: give the queue real work."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batchconsole.demo import DemoError, start_demo
from queues.services.sync_queues import sync_queues


def _folder(text: str) -> Path:
    if not text:
        raise ArgumentTypeError("a folder is needed")
    return Path(text)


class Command(BaseCommand):
    """Check the files of this Python installation, or of a folder, as one batch."""

    help = "Enqueue a batch that checks the files of this Python installation, one job for each file."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--path`."""
        parser.add_argument("--path", type=_folder, help="check the files below this folder instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Enqueue and say what was."""
        sync_queues()
        try:
            batch = start_demo(options["path"], created_by="command")
        except DemoError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"batch {batch.pk}: {batch.total:,} files to check")
