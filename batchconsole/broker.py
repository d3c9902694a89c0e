"""Celery's broker for one machine: messages are files in the home folder.

kombu's filesystem transport with the parts replaced that lose messages or end a worker: it writes in place, so that a
reader finds half a file; it takes a message by moving it to the temp folder, which fails when that is another
filesystem; and one file that it cannot read ends the worker. Here a file appears whole by renaming, is taken by
renaming within its folder, and what cannot be read is dropped with a line in the log. Whoever sends also removes
what has expired: nobody may be there to consume it. Losing a message is no harm: each only says where to look.
"""

import fcntl
import logging
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.transport.filesystem import exchange_queue_t
from kombu.transport.virtual import BrokerState
from kombu.utils.encoding import bytes_to_str, str_to_bytes
from kombu.utils.json import dumps, loads

URL = "homefiles://localhost//"
TRANSPORT_ALIASES["homefiles"] = "batchconsole.broker:Transport"
POLLING_INTERVAL = 0.05
# How long a message may wait, and how often a sender looks for those that have waited longer.
MESSAGE_SECONDS = 60.0
SWEEP_EVERY = 10.0

logger = logging.getLogger(__name__)
Row = tuple[str, str, str]


def transport_options(home: Path) -> dict[str, Any]:
    """Where the messages of this home are."""
    messages = str(home / "broker" / "messages")
    return {
        "data_folder_in": messages,
        "data_folder_out": messages,
        "control_folder": str(home / "broker" / "control"),
        "polling_interval": POLLING_INTERVAL,
    }


def empty_broker(home: Path) -> int:
    """Forget all messages and bindings; only while no worker runs. The number of files removed."""
    files = [path for path in (home / "broker").glob("*/*") if path.is_file()]
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


class Channel(filesystem.Channel):
    """Puts and takes messages; every change of a file is one rename."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the folders, so that whoever comes first can start."""
        super().__init__(*args, **kwargs)
        self._swept_at = float("-inf")
        self._away = False
        self._make_folders()

    def _make_folders(self) -> None:
        for folder in (self.data_folder_in, self.control_folder):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:
        # By time, so that names sort in the order of sending, also after a restart of the machine.
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, payload)
        if time.monotonic() - self._swept_at > SWEEP_EVERY:
            self._swept_at = time.monotonic()
            self._sweep()

    def _sweep(self) -> None:
        """Remove what has expired, and what a process that was killed has left of a message."""
        oldest = time.time_ns() - int(MESSAGE_SECONDS * 1e9)
        for path in self._waiting():
            sent = path.name.partition("_")[0]
            if len(sent) == 20 and sent.isdecimal() and int(sent) < oldest:
                with suppress(FileNotFoundError):  # somebody took it after all
                    path.unlink()

    def _waiting(self) -> list[Path]:
        """All files in the order of sending. A folder that has gone is made again, with what this process has bound."""
        try:
            found = sorted(Path(self.data_folder_in).iterdir())
        except FileNotFoundError:
            logger.warning("%s has gone; it is made again", self.data_folder_in)
            self._make_anew()
            return []
        except OSError as error:
            self._cannot(error)
            return []
        self._away = False
        return found

    def _make_anew(self) -> None:
        try:
            self._make_folders()
            for exchange, values in list(self.state.exchanges.items()):
                self._change_table(exchange, partial(_united, values.get("table", [])))
        except (OSError, ChannelError) as error:
            self._cannot(error)

    def _cannot(self, error: Exception) -> None:
        """Say once, and not at each look, that the folder cannot be used."""
        if not self._away:
            self._away = True
            logger.error("the broker's folder cannot be used: %s", error)

    def _get(self, queue: str) -> dict[str, Any]:
        for path in self._waiting():
            if path.name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = path.with_name(f"{path.name}.{os.getpid()}.taken")
            try:
                path.rename(taken)
            except FileNotFoundError:  # another worker was quicker
                continue
            if payload := self._read(taken):
                return payload
        raise Empty

    def _read(self, taken: Path) -> dict[str, Any] | None:
        """The message, or None when it is none; either way the file is gone."""
        try:
            payload: dict[str, Any] = loads(bytes_to_str(_content(taken)))
            self.Message(payload, channel=self)  # raises what the consumer would meet, which would end it
        except Exception as error:
            logger.warning("Dropped an unreadable message, %s: %r", taken.name, error)
            payload = {}
        try:
            taken.unlink()
        except OSError as error:
            logger.warning("Cannot remove %s: %r", taken, error)
        return payload or None

    def get_table(self, exchange: str) -> list[Row]:
        """The bindings of an exchange; where their file was removed, those that this process has made still hold."""
        found = self._written_table(exchange)
        return list(self.state.exchanges.get(exchange, {}).get("table", [])) if found is None else found

    def _written_table(self, exchange: str) -> list[Row] | None:
        file = self._exchange_file(exchange)
        try:
            return [exchange_queue_t(*row) for row in loads(bytes_to_str(_content(file)))]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("Dropped an unreadable table, %s: %r", file.name, error)
            return []

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        row = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        self._change_table(exchange, lambda rows: rows if row in rows else [row, *rows])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        self._purge(queue)
        gone = exchange_queue_t(routing_key or "", pattern or "", queue or "")
        self._change_table(exchange, lambda rows: [row for row in rows if row != gone])

    def _change_table(self, exchange: str, change: Callable[[list[Row]], list[Row]]) -> None:
        with _alone(Path(self.control_folder) / "lock"):
            before = self._written_table(exchange) or []
            after = change(before)
            if after != before:
                _write_whole(self._exchange_file(exchange), after)


class Transport(filesystem.Transport):
    """kombu's transport with our channel."""

    Channel = Channel
    polling_interval = POLLING_INTERVAL
    # Celery then runs its event loop, as it does with Redis and RabbitMQ, instead of threads that take 7 s to stop.
    implements = filesystem.Transport.implements.extend(asynchronous=True)

    def __init__(self, client: Any, **kwargs: Any) -> None:
        """Remember what is bound for this connection only, not for every home that this process ever saw."""
        super().__init__(client, **kwargs)
        self.state = BrokerState()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Look for messages as long as the loop runs; Celery takes the timer back when it leaves the connection."""
        loop.call_repeatedly(self.polling_interval, self._deliver_what_waits)

    def _deliver_what_waits(self) -> None:
        try:
            while True:
                self.cycle.get(self._deliver, timeout=0)
        except Empty:  # or the prefetch limit is reached
            return


def _united(bound: list[Row], written: list[Row]) -> list[Row]:
    return [*written, *(row for row in bound if row not in written)]


def _content(path: Path) -> bytes:
    """What is in a file. Reading anything else, like a named pipe, could wait for ever."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("it is not a regular file")
    return path.read_bytes()


def _write_whole(path: Path, content: Any) -> None:
    aside = path.with_name(f"{path.name}.{uuid.uuid4()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(str_to_bytes(dumps(content)))
        aside.replace(path)
    except OSError as error:
        raise ChannelError(f"Cannot write {path}: {error}") from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock on the bindings, which several processes may change at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)  # a pipe in its place must not block
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
