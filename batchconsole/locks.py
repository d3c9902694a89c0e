"""Locks on files, freed by the kernel when their holder dies; the text of the file is the holder's note."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """A lock on one file. Forked children share it: it is free when the last copy is closed."""

    def __init__(self, path: Path) -> None:
        """Open the file, made if missing; nothing is locked yet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def try_exclusive(self) -> bool:
        """Take the lock alone, if nobody else has it in any way."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take the lock together with others."""
        return self._try(fcntl.LOCK_SH)

    def note(self, text: str) -> None:
        """Replace the text of the file."""
        content = text.encode()
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))

    def close(self) -> None:
        """Let go. Not LOCK_UN, which would take the lock from forked children too."""
        os.close(self._descriptor)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def holder_note(path: Path) -> str | None:
    """The note of the process that holds the lock exclusively; None when nobody does."""
    if not path.exists():
        return None
    lock = FileLock(path)
    try:
        return None if lock.try_shared() else path.read_text(errors="replace")
    finally:
        lock.close()
