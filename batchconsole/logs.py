"""Log files that do not grow without bound."""

import shutil
from pathlib import Path
from typing import IO

LIMIT = 10_000_000


def open_log(path: Path) -> IO[bytes]:
    """Open for appending: what a child process is given as its output."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def shorten(path: Path) -> None:
    """Move what is in an overlong log to `NAME.1`. Copied and cut, because another program keeps the file open."""
    if path.stat().st_size > LIMIT:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        with path.open("r+b") as file:
            file.truncate()


class BoundedLog:
    """A log that this process writes; when it is full, it becomes `NAME.1` and a new one begins."""

    def __init__(self, path: Path) -> None:
        """Append to what is there."""
        self._path = path
        self._file = open_log(path)

    def write(self, line: bytes) -> None:
        """Add a line; it is in the file when this returns."""
        if self._file.tell() > LIMIT:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._file = open_log(self._path)
        self._file.write(line)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
