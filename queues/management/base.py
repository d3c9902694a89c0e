"""What our commands share: one clear line for an error, JSON or a table for an answer, a question before harm."""

import getpass
import json
import os
import re
import sys
from abc import abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import utils
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from queues.domain.text import clean
from queues.handlers import DeclarationError
from queues.services.again import RetryRefused
from queues.services.batch_pause import BatchPauseRefused
from queues.services.cancel import CancelRefused
from queues.services.control import ControlRefused
from queues.services.delete import DeleteRefused
from queues.services.feed import EnqueueError
from queues.services.link import LinkRefused
from queues.services.operate import OperationRefused
from queues.services.pause import PauseRefused
from queues.services.recurring import RecurringRefused
from queues.services.restore import RestoreRefused
from queues.services.webhooks import WebhookRefused

USAGE = 2
PROBLEM = 1
# As sysexits.h has it: refused for now, the same command may be accepted later.
LATER = 75
INTERRUPTED = 130
LARGEST_ID = 2**63 - 1
REFUSALS = (
    BatchPauseRefused,
    CancelRefused,
    ControlRefused,
    DeclarationError,
    DeleteRefused,
    EnqueueError,
    LinkRefused,
    OperationRefused,
    PauseRefused,
    RecurringRefused,
    RestoreRefused,
    RetryRefused,
    WebhookRefused,
)

# Characters of a column that is never folded.
NARROW = 20

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class UsageError(CommandError):
    """The command line makes no sense."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=USAGE)


class OperatorCommand(BaseCommand):
    """A command that answers with a table for people, or with `--json`."""

    as_json = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options that every one of them has."""
        parser.add_argument("--json", action="store_true", help="answer with one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        """Answer; what is refused or cannot be reached becomes one line and an exit code."""
        self.as_json = options.get("json") or False
        for name, value in options.items():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and not _is_text(text):
                    raise UsageError(f"{name}: {text!a} is not UTF-8 text")
        with clear_errors():
            code = self.answer(options)
        if code:
            raise SystemExit(code)

    @abstractmethod
    def answer(self, options: dict[str, Any]) -> int | None:
        """Do the work; the exit code, where it is not 0."""

    def document(self, value: Any) -> None:
        """One JSON document on standard output."""
        self.stdout.write(json.dumps(value, default=_plain, indent=2, ensure_ascii=False))

    def say(self, text: str) -> None:
        """One line for a person; nothing with `--json`."""
        if not self.as_json:
            self.stdout.write(clean(text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str = "none") -> None:
        """Rows for a person: drawn on a terminal, else aligned plain text."""
        texts = [[shown(value) for value in row] for row in rows]
        if not rows:
            self.stdout.write(empty)
        elif self.stdout.isatty():
            self.stdout.write(_drawn(columns, texts))
        else:
            self.stdout.write(_aligned([list(columns), *texts]))

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask, unless `--yes` was given. Without a terminal nobody can answer: refused."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Nobody can answer here: add --yes.")
        self.stderr.write(f"{question} [y/N] ", ending="")
        if input().strip().lower() not in ("y", "yes"):
            raise CommandError("nothing was changed")

    @contextmanager
    def progress(self, text: str, total: float | None = None) -> Iterator["Bar"]:
        """A progress bar on standard error when that is a terminal, else nothing."""
        if not self.stderr.isatty():
            yield Bar(None, total)
            return
        parts = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn())
        with Progress(*parts, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as drawn:
            drawn.add_task(text, total=total)
            yield Bar(drawn, total)


class Bar:
    """Where a long work is."""

    def __init__(self, drawn: Progress | None, total: float | None) -> None:
        self._drawn = drawn
        self._total = total

    def at(self, done: float, text: str | None = None) -> None:
        """So much of the total is done."""
        if self._drawn is not None:
            task = self._drawn.tasks[0]
            self._drawn.update(task.id, completed=done, description=text or task.description)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what an operator can do something about into one line; anything else is a bug and stays loud."""
    try:
        yield
    except REFUSALS as error:
        raise CommandError(_line(error)) from None
    except (utils.ProgrammingError, psycopg.errors.UndefinedTable) as error:
        if "does not exist" not in str(error):
            raise
        raise CommandError(f"the tables are missing or old: run `manage.py migrate` ({_line(error)})") from None
    except (utils.OperationalError, utils.InterfaceError, psycopg.OperationalError) as error:
        raise CommandError(f"the database cannot be used: {_line(error)}") from None
    except BrokenPipeError:
        # Whoever read our answer has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(PROBLEM) from None
    except OSError as error:
        raise CommandError(f"{error.filename or 'the answer could not be written'}: {error.strerror}") from None
    except KeyboardInterrupt:
        raise CommandError("interrupted", returncode=INTERRUPTED) from None


def operator() -> str:
    """Who acts: the user of the operating system."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def a_moment(text: str) -> datetime:
    """An argument: an ISO 8601 time with its zone, or `+10m`, from now (s, m, h, d)."""
    if found := re.fullmatch(r"\+(\d{1,9})([smhd])", text):
        try:
            return datetime.now(UTC) + timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        except OverflowError:
            raise ArgumentTypeError(f"{text!r} is too far away") from None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is neither a time like 2030-01-31T08:00:00Z nor like +10m") from None
    if moment.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} has no time zone: add Z, or +02:00")
    return moment


def an_id(text: str) -> int:
    """An argument: the number of a job or batch."""
    if not re.fullmatch(r"\d{1,19}", text) or not 1 <= int(text) <= LARGEST_ID:
        raise ArgumentTypeError(f"{text!r} is no id")
    return int(text)


def a_count(text: str) -> int:
    """An argument: a whole number above 0."""
    if not re.fullmatch(r"\d{1,9}", text) or not int(text):
        raise ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def shown(value: Any) -> str:
    """A value as one line of safe text."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return " ".join(clean(str(value)).split())


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _line(error: BaseException) -> str:
    return " ".join(clean(str(error)).split()) or type(error).__name__


def _drawn(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold")
    for place, column in enumerate(columns):
        texts = [row[place] for row in rows]
        numbers = all(text.replace(",", "").isdigit() or text == "-" for text in texts)
        # Where the terminal is narrow, long texts are folded, so that names and numbers stay whole.
        short = max(map(len, texts)) <= NARROW
        table.add_column(column, justify="right" if numbers else "left", overflow="fold", no_wrap=short)
    for row in rows:
        # As Text: a name like "[red]" is a name, not a colour.
        table.add_row(*map(Text, row))
    console = Console(force_terminal=True)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
