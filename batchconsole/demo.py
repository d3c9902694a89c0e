"""The demo: real work on the real files of this Python installation."""

import sys
import sysconfig
from collections.abc import Iterator
from os import walk
from pathlib import Path

from queues.models import Batch
from queues.services.enqueue import EnqueueError, enqueue_batch

# What a compiler made: there is no text in it to check.
COMPILED = {".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib", ".exe", ".a", ".o", ".lib", ".mo"}
SKIPPED_FOLDERS = {"__pycache__", ".git", "node_modules", "site-packages"}
# Programs and time zones have no suffix: their first bytes tell (ELF, Mach-O, TZif).
COMPILED_STARTS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"TZif")


class DemoError(ValueError):
    """The demo cannot start: the message says why."""


def installation() -> list[Path]:
    """The folders of the running Python: its standard library and its own site-packages."""
    paths = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")}
    return sorted(path for path in paths if path.is_dir())


def files(folders: list[Path]) -> Iterator[Path]:
    """Every file below the folders that is not compiled; links are not followed. Sorted within a folder.

    The site-packages within the standard library's folder may be another environment's: they are only
    visited where they are named themselves.
    """
    for folder in folders:
        for where, below, names in walk(folder):
            below[:] = sorted(name for name in below if name not in SKIPPED_FOLDERS)
            for name in sorted(names):
                path = Path(where, name)
                if path.suffix not in COMPILED and path.is_file() and not path.is_symlink() and not _program(path):
                    yield path


def _program(path: Path) -> bool:
    if path.suffix:
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in COMPILED_STARTS
    except OSError:
        return False  # the job that cannot read it will say so


def start_demo(folder: Path | None = None, *, created_by: str = "demo") -> Batch:
    """Enqueue one job for each file of the Python installation, or of `folder`. Raises `DemoError`."""
    if folder is not None and not folder.is_dir():
        raise DemoError(f"{folder} is not a folder")
    folders = [folder.resolve()] if folder is not None else installation()
    # Names that are no text cannot travel as JSON; there is nothing to check in them either.
    paths = [str(path) for path in files(folders) if _is_text(str(path))]
    name = str(folder) if folder is not None else f"Python {sys.version.split()[0]}"
    try:
        return enqueue_batch(
            "demo.check_file",
            [{"path": path} for path in paths],
            name=f"Check the files of {name}"[:200],
            metadata={"folders": [str(path) for path in folders]},
            split=True,
            created_by=created_by,
            source="command",
        )
    except EnqueueError as error:
        raise DemoError(f"nothing to check in {name}: {error}") from None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
