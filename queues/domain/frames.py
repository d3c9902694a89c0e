"""A stored traceback in pieces: what the project's own code did, and what lies between. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from queues.domain.places import is_project

_FRAME: Final = re.compile(r'[ |]*File "(?P<path>[^"\n]*)", line (?P<line>\d{1,9}), in (?P<name>[^\n]*)')
# Code of another machine's standard library or packages, wherever that has its Python.
_FOREIGN: Final = re.compile(r"[/\\]python\d[.\d]*[/\\]|[/\\]Lib[/\\]|^<", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a traceback. Those of so many `foreign` frames can be folded away; others have 0."""

    text: str
    foreign: int


def pieces(traceback: str) -> list[Piece]:
    """The traceback in order, frames of libraries and of this product put together; nothing is left out.

    Where no frame is the project's nothing is folded: all of it is then of interest.
    """
    found: list[tuple[list[str], bool]] = []
    for lines, ours in _frames(traceback):
        if found and found[-1][1] is False and ours is False:
            found[-1] = ([*found[-1][0], *lines], False)
        else:
            found.append((lines, ours))
    if not any(_FRAME.match(lines[0]) for lines, ours in found if ours):
        return [Piece(traceback, 0)] if traceback else []
    return [
        Piece("".join(lines), 0 if ours else sum(bool(_FRAME.match(line)) for line in lines)) for lines, ours in found
    ]


def innermost(traceback: str) -> str:
    """file:line in function of the innermost frame of the project, or of any where none is; empty for no frame."""
    last = ""
    ours = ""
    for match in _FRAME.finditer(traceback):
        file = match["path"].replace("\\", "/").rpartition("/")[2]
        last = f"{file}:{match['line']} in {match['name']}"
        if is_ours(match["path"]):
            ours = last
    return ours or last


def is_ours(path: str) -> bool:
    """Whether a file is the project's: not installed, not of a standard library, and not of this product."""
    return is_project(path, ()) and not _FOREIGN.search(path) and not path.startswith(_product())


def _frames(traceback: str) -> Iterator[tuple[list[str], bool]]:
    """Each frame with its lines of source, and each stretch of other lines, which are told like the project's."""
    lines: list[str] = []
    ours, depth = True, -1
    for line in traceback.splitlines(keepends=True):
        match = _FRAME.match(line)
        indent = len(line) - len(line.lstrip(" |"))
        if match is None and (depth < 0 or indent > depth):
            lines.append(line)
            continue
        if lines:
            yield lines, ours
        lines = [line]
        ours, depth = (is_ours(match["path"]), indent) if match else (True, -1)
    if lines:
        yield lines, ours


@lru_cache(maxsize=1)
def _product() -> str:
    return f"{Path(__file__).resolve().parents[1].as_posix()}/"
