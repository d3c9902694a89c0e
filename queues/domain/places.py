"""The place of a failure, told in a way that is the same on every machine and in the next release."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType
from typing import Final

_INSTALLED: Final = ("/site-packages/", "/dist-packages/")
_KEPT_PARTS: Final = 3


def place_of(innermost_first: Iterable[CodeType], project_roots: tuple[str, ...]) -> str:
    """file:function of the first code of the project; of the very first where none is; "" for no code.

    `project_roots` are absolute folders; without any, code is the project's that is neither installed nor of
    the standard library. The file is told from its root, or from the import path, never from the machine's.
    """
    first: CodeType | None = None
    for code in innermost_first:
        first = first or code
        if is_project(code.co_filename, project_roots):
            return _place(code, project_roots)
    return _place(first, project_roots) if first else ""


def _place(code: CodeType, roots: tuple[str, ...]) -> str:
    return f"{_short(code.co_filename, roots)}:{code.co_qualname}"


def is_project(filename: str, roots: tuple[str, ...]) -> bool:
    path = filename.replace("\\", "/")
    if roots:
        return any(path.startswith(_folder(root)) for root in roots)
    if path.startswith("<frozen ") or any(mark in path for mark in _INSTALLED):
        return False
    return not path.startswith(_standard_library())


def _short(filename: str, roots: tuple[str, ...]) -> str:
    path = filename.replace("\\", "/")
    for folders in (roots, sys.path, _standard_library()):
        fitting = [_folder(folder) for folder in folders if folder and path.startswith(_folder(folder))]
        if fitting:
            return path.removeprefix(max(fitting, key=len))
    return "/".join(path.split("/")[-_KEPT_PARTS:])


def _folder(path: str) -> str:
    return path.replace("\\", "/").rstrip("/") + "/"


@lru_cache(maxsize=1)
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({_folder(paths["stdlib"]), _folder(paths["platstdlib"])})
