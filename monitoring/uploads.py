"""Files of jobs between upload and insertion: kept at home for a few hours, bounded, each for its owner only.

What is known of one is a small document beside it, written whole or not at all. An insertion of a large file goes on in
a thread; should the process die with it, its transaction is gone as well, and the silence of the document tells.
"""

import json
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import connections

log = logging.getLogger(__name__)

TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)
LARGEST = 1024**3
LARGEST_TOGETHER = 4 * 1024**3
# Files of one person that wait, and that a page lists.
MOST = 20
KEPT_FOR = 6 * 3_600.0
# Up to this size a file is looked through and inserted while the browser waits.
AT_ONCE = 2 * 1024**2
# A document that somebody works on is written so often, and given up after so long a silence.
TOLD_EVERY = 0.3
SILENT_AFTER = 30.0
PIECE = 1024 * 1024


class UploadRefused(ValueError):
    """The file cannot be kept: the message says why."""


@dataclass(slots=True)
class Upload:
    """One file on its way. `state` is ready, checking, inserting, done or failed."""

    token: str
    owner: int
    name: str
    form: str
    size: int
    state: str = "ready"
    done: int = 0
    error: str = ""
    batch: int | None = None
    kept_at: float = 0.0
    # Whether its key had its batch already.
    known: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    columns: list[dict[str, str]] = field(default_factory=list)
    inspection: dict[str, Any] = field(default_factory=dict)

    @property
    def at_work(self) -> bool:
        """Whether something goes on with it."""
        return self.state in ("checking", "inserting")

    @property
    def lines(self) -> Path:
        """The file itself."""
        return folder() / self.token / "lines"

    @property
    def pasted(self) -> str:
        """The lines, where they were pasted and so can be sent by a form again; nothing for a file."""
        if self.name or self.size > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return ""
        try:
            return self.lines.read_bytes().decode(errors="replace")
        except OSError:  # enqueued or discarded meanwhile
            return ""

    def save(self) -> None:
        """Write what is known of it."""
        path = folder() / self.token / "state.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(path)

    def let_go(self) -> bool:
        """Drop the file, and remember for a while what became of it; whether it was there still."""
        there = self.lines.exists()
        self.lines.unlink(missing_ok=True)
        return there

    def remove(self) -> None:
        """Forget it, file and all."""
        shutil.rmtree(folder() / self.token, ignore_errors=True)


def folder() -> Path:
    """Where the files are: nobody else on this machine can look into it."""
    path: Path = settings.HOME / "uploads"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def keep(stream: BinaryIO, *, owner: int, name: str, form: str) -> Upload:
    """Keep a file. Raises `UploadRefused`."""
    sweep()
    if len(waiting(owner)) >= MOST:
        raise UploadRefused(f"{MOST} files of yours wait already: enqueue or discard one of them")
    token = secrets.token_hex(16)
    room = min(LARGEST, LARGEST_TOGETHER - _together())
    place = folder() / token
    place.mkdir(mode=0o700)
    try:
        size = _copy(stream, place / "lines", room)
        upload = Upload(token, owner, name, form, size, kept_at=time.time())
        upload.save()
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    return upload


def find(token: str, owner: int) -> Upload | None:
    """A file of this owner; None when there is none, or no more."""
    if not TOKEN.fullmatch(token):
        return None
    path = folder() / token / "state.json"
    try:
        found = Upload(**json.loads(path.read_text()))
        silent = time.time() - path.stat().st_mtime
    except (OSError, ValueError, TypeError):
        return None
    if found.owner != owner:
        return None
    if found.at_work and silent > SILENT_AFTER:
        # Its process has died, and its transaction with it.
        found.state, found.error = "failed", "the process that worked on it has stopped: try again"
    return found


def waiting(owner: int) -> list[Upload]:
    """The files of this owner that are not enqueued yet, the newest first."""
    places = sorted(folder().iterdir(), key=lambda place: place.name)
    found = [upload for place in places if (upload := find(place.name, owner)) and upload.state != "done"]
    return sorted(found, key=lambda upload: upload.kept_at, reverse=True)


def sweep() -> None:
    """Remove what is too old. Who works on a file writes its document all the time."""
    for place in folder().iterdir():
        try:
            newest = max(path.stat().st_mtime for path in (place, *place.iterdir()))
        except OSError:
            continue
        if time.time() - newest > KEPT_FOR:
            shutil.rmtree(place, ignore_errors=True)


def begin(upload: Upload, state: str) -> bool:
    """Take the file to work on it; False when somebody has it already."""
    mark = folder() / upload.token / state
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if upload.state != "failed":
            return False
        # Left behind by a process that has died.
        mark.touch()
    upload.state, upload.done, upload.error = state, 0, ""
    upload.save()
    return True


def end(upload: Upload, state: str) -> None:
    """Let go of the file."""
    (folder() / upload.token / upload.state).unlink(missing_ok=True)
    upload.state = state
    upload.save()


def work(upload: Upload, do: Callable[[Callable[[int], None]], None]) -> None:
    """Do something with a file that was begun: at once when it is small, else in a thread. `do` gets what it tells its
    progress to; it ends the upload itself, also when it fails."""
    if upload.size <= AT_ONCE:
        do(_teller(upload))
        return

    def thread() -> None:
        try:
            do(_teller(upload))
        except Exception:
            log.exception("an upload was given up")
            upload.error = "something went wrong on the server, see its log"
            end(upload, "failed")
        finally:
            connections.close_all()

    # Not a daemon: a process that is stopped waits for the insertion, as it would for a request.
    threading.Thread(target=thread, name=f"upload {upload.token[:8]}").start()


def _teller(upload: Upload) -> Callable[[int], None]:
    told = 0.0

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= TOLD_EVERY:
            told = time.monotonic()
            upload.done = done
            upload.save()

    return tell


def _together() -> int:
    return sum(path.stat().st_size for path in folder().glob("*/lines"))


def _copy(stream: BinaryIO, path: Path, room: int) -> int:
    size = 0
    with path.open("xb") as file:
        while piece := stream.read(PIECE):
            size += len(piece)
            if size > room:
                which = f"{LARGEST // 1024**2:,} MiB" if room == LARGEST else "the room that is left for uploads"
                raise UploadRefused(f"the file is larger than {which}: use manage.py enqueue")
            file.write(piece)
    return size
