"""Starting real processes from tests, and finding what they left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def running(
    arguments: Sequence[str], env: dict[str, str], *, output: Path | None = None, cwd: Path = PROJECT
) -> Iterator["subprocess.Popen[str]"]:
    """A process that is killed at the end, if it still runs. Without `output` its answer can be read line by line."""
    with Path(output or os.devnull).open("a") as file:
        process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=file if output else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def python(*arguments: str) -> list[str]:
    """The command line of our interpreter."""
    return [sys.executable, *arguments]


def processes_with(text: str) -> list[psutil.Process]:
    """The living processes that have this text in their command line."""
    return [process for process in psutil.process_iter() if text in _command_line(process)]


def _command_line(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline())
    except psutil.Error:
        return ""
