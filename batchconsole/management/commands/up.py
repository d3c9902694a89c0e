"""`manage.py up`: the whole of batchconsole on this machine, until Ctrl-C."""

import os
import signal
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection, connections

from batchconsole import embedded
from batchconsole.address import Address
from batchconsole.broker import empty_broker
from batchconsole.locks import FileLock, holder_note
from batchconsole.programs import STOP_DATABASE_WITHIN, programs
from batchconsole.supervise import Supervisor
from batchconsole.terminal import Terminal

READY_SECONDS = 120.0
DATABASE_SECONDS = 5.0
TICK = 0.1


class Command(BaseCommand):
    """Prepares the database, starts the processes, watches them, and stops them."""

    help = "Run everything on this machine: database, console, workers and scheduler. Ctrl-C stops it."
    terminal: Terminal
    stop_signals = 0
    preparing = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The few things that differ between machines."""
        parser.add_argument("--demo", action="store_true", help="fill the queues with a demonstration")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (%(default)s)")
        cores = max(2, os.cpu_count() or 2)
        parser.add_argument("--workers", type=int, default=cores, help="jobs at the same time (%(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse what cannot work, before anything is touched."""
        address = Address(options["host"], options["port"])
        address.check()
        if not 1 <= options["workers"] <= 256:
            raise CommandError("--workers must be between 1 and 256")
        self.terminal = Terminal()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self._on_signal)
        try:
            with self._only_one(address):
                address.check_free()
                self._run(address, options["workers"], options["demo"])
        except KeyboardInterrupt:
            self.terminal.say("Stopped before it was ready.")

    def _run(self, address: Address, workers: int, demo: bool) -> None:
        supervisor = Supervisor(settings.HOME / "logs", self.terminal.say)
        try:
            self._prepare_database()
            empty_broker(settings.HOME)
            with self.terminal.step("Starting console, workers and scheduler"):
                supervisor.start(programs(address.host, address.port, workers))
                self._await_ready(supervisor, address)
            self._welcome(address, demo)
            self.preparing = False
            while not self.stop_signals:
                supervisor.look()
                self._look_after_database()
                time.sleep(TICK)
        finally:
            self.preparing = False
            self._stop(supervisor)

    def _prepare_database(self) -> None:
        if self._embedded():
            with self.terminal.step("Preparing PostgreSQL") as report:
                try:
                    embedded.ensure_running(settings.HOME, report)
                except embedded.EmbeddedError as error:
                    raise CommandError(str(error)) from None
        with self.terminal.step("Bringing the tables up to date"):
            from queues.handlers import DeclarationError
            from queues.services.sync_queues import sync_queues

            try:
                connection.ensure_connection()
            except OperationalError as error:
                raise CommandError(f"cannot connect to the database: {error}") from None
            call_command("migrate", interactive=False, verbosity=0)
            try:
                sync_queues()
            except DeclarationError as error:
                raise CommandError(str(error)) from None

    def _await_ready(self, supervisor: Supervisor, address: Address) -> None:
        until = time.monotonic() + READY_SECONDS
        while not (supervisor.ready() and address.answers()):
            supervisor.look()
            if failing := supervisor.failing():
                raise CommandError(
                    f"{failing.program.name} does not start: {failing.last_words} (more in {failing.log_path})"
                )
            if time.monotonic() > until:
                raise CommandError(f"not ready after {READY_SECONDS:g} s: see {settings.HOME / 'logs'}")
            time.sleep(TICK)

    def _welcome(self, address: Address, demo: bool) -> None:
        from monitoring.login_links import create_login_link, remember_address

        if demo:
            from batchconsole.demo import start_demo

            with self.terminal.step("Filling the queues with a demonstration"):
                start_demo()
        remember_address(address.url)
        self.terminal.say(f"Console:  {address.url}", style="bold")
        self.terminal.say(f"Log in:   {create_login_link(address.url)}")
        self.terminal.say("          (once, within 15 minutes; `manage.py loginlink` makes another)")
        self.terminal.say(f"Logs:     {settings.HOME / 'logs'}")
        self.terminal.say("Batchconsole is ready. Ctrl-C stops it.", style="bold green")
        connections.close_all()

    def _look_after_database(self) -> None:
        """The keeper restarts PostgreSQL; only when the keeper itself was killed, another one is needed."""
        if self._embedded() and embedded.keeper_pid(settings.HOME) is None:
            self.terminal.say("PostgreSQL's keeper has ended; starting it again")
            try:
                embedded.ensure_running(settings.HOME, timeout=DATABASE_SECONDS)
            except embedded.EmbeddedError as error:
                self.terminal.say(f"ERROR: {error}")

    def _stop(self, supervisor: Supervisor) -> None:
        before = self.stop_signals
        began = time.monotonic()
        self.terminal.say("Stopping ...")
        supervisor.stop(hurry=lambda: self.stop_signals > max(before, 1))
        connections.close_all()
        if self._embedded():
            embedded.leave(settings.HOME)
            embedded.stop_soon(settings.HOME, began + STOP_DATABASE_WITHIN)
            if embedded.keeper_pid(settings.HOME):
                used = embedded.in_use(settings.HOME)
                why = "goes on for another process that uses it" if used else "is still stopping"
                self.terminal.say(f"PostgreSQL {why}.")
        self.terminal.say("Stopped.")

    @contextmanager
    def _only_one(self, address: Address) -> Iterator[None]:
        path = settings.HOME / "locks" / "up"
        lock = FileLock(path)
        if not lock.try_exclusive():
            pid, _, url = (holder_note(path) or "").partition(" ")
            raise CommandError(f"batchconsole already runs for {settings.HOME}: process {pid}, {url}")
        lock.note(f"{os.getpid()} {address.url}")
        try:
            yield
        finally:
            lock.close()

    def _embedded(self) -> bool:
        return "EMBEDDED_HOME" in connection.settings_dict

    def _on_signal(self, *_: Any) -> None:
        self.stop_signals += 1
        if self.preparing:
            raise KeyboardInterrupt
