"""What is kept of an exception: class, message, traceback and the place in the project it came from.

A batch that fails usually fails a thousand times in the same way. Formatting a traceback costs about 90 µs,
so the text of a stack is remembered by the code and instruction of its frames; only the message is new.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, TracebackType
from typing import Final

from queues.domain.places import place_of
from queues.domain.text import clean, clean_ends, shorten

TRACEBACK_BYTES: Final = 32 * 1024
_STACK_BYTES: Final = 24 * 1024
# Frames kept of a long stack: the way in, and more of where it ended.
_FIRST_FRAMES: Final = 15
_LAST_FRAMES: Final = 35
_REMEMBERED: Final = 256
_MOST_LINKS: Final = 10
_MOST_NOTES: Final = 10
_MOST_MEMBERS: Final = 10

_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """All texts are clean (see `text.clean`): message at most 8 KiB of UTF-8, traceback 32 KiB.

    `place` is file:function of the innermost frame of the project, "" if there was no traceback.
    """

    error_class: str
    message: str
    traceback: str
    place: str


@dataclass(frozen=True, slots=True)
class _Stack:
    """The text of one stack. Holding `codes` keeps their ids, which are the key, from being used again."""

    text: str
    place: str
    codes: tuple[CodeType, ...]


_NO_STACK: Final = _Stack("", "", ())
# Least recently used first. No lock: each step is one atomic operation on the dict, and the worst that two
# threads can do to each other is to format the same stack twice. A lock could be held across a fork.
_known: Final[dict[tuple[object, ...], _Stack]] = {}


def describe(error: BaseException, *, project_roots: tuple[str, ...] = ()) -> ErrorFacts:
    """The facts of `error`, however odd it is: nothing an exception does to its own text is raised here.

    `project_roots` are the absolute folders whose code counts as the project's; without any, all code does
    that is neither installed nor of the standard library. Chained errors and the members of groups are in
    the traceback, ten of each. About 5 µs where each stack is known, about 100 µs for each new one, for
    which source files may be read.
    """
    message = _message(error)
    stack = _stack(error.__traceback__, project_roots)
    parts: list[str] = []
    for link, words in _links(error):
        if link is error:
            parts += _one(link, message, stack)
        else:
            parts += _one(link, _message(link), _stack(link.__traceback__, project_roots))
        if isinstance(link, BaseExceptionGroup):
            parts += _members(link, project_roots)
        parts.append(words)
    return ErrorFacts(_class_name(error), message, shorten("".join(parts), TRACEBACK_BYTES), stack.place)


def _links(error: BaseException) -> list[tuple[BaseException, str]]:
    """What led to `error`, oldest first, and itself; each with the words that lead on to the next."""
    links: list[tuple[BaseException, str]] = []
    link: BaseException | None = error
    words = ""
    while link is not None and len(links) < _MOST_LINKS and all(link is not seen for seen, _ in links):
        links.append((link, words))
        words = _CONTEXT if link.__cause__ is None else _CAUSE
        if link.__cause__ is None and link.__suppress_context__:
            break
        link = link.__context__ if link.__cause__ is None else link.__cause__
    links.reverse()
    return links


def _one(error: BaseException, message: str, stack: _Stack) -> list[str]:
    name = _class_name(error)
    parts = [f"{name}: {message}\n" if message else f"{name}\n"]
    if stack.text:
        parts = ["Traceback (most recent call last):\n", stack.text, *parts]
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        parts += [clean(note, 1024) + "\n" for note in notes[:_MOST_NOTES] if isinstance(note, str)]
    return parts


def _members(group: BaseExceptionGroup[BaseException], roots: tuple[str, ...]) -> Iterator[str]:
    """The first members of a group, level by level, each indented; a nested group counts as one too."""
    waiting = [(str(number), member) for number, member in enumerate(group.exceptions, 1)]
    for shown, (number, member) in enumerate(waiting):
        if shown == _MOST_MEMBERS:
            yield "  | ... and more members\n"
            return
        yield f"  +---- {number} ----\n"
        text = "".join(_one(member, _message(member), _stack(member.__traceback__, roots)))
        for line in text.splitlines():
            yield f"  | {line}\n"
        if isinstance(member, BaseExceptionGroup):
            # Appending to the list that is being walked is what makes this breadth first.
            waiting += [(f"{number}.{i}", inner) for i, inner in enumerate(member.exceptions, 1)]


def _message(error: BaseException) -> str:
    try:
        # __str__ may return a subclass of str that lies about its length; this makes it a plain one.
        return clean(str.__str__(str(error)))
    except Exception as problem:
        return f"<no message: its __str__ raised {_class_name(problem)}>"


def _class_name(error: BaseException) -> str:
    try:
        kind: type = type(error)
        return _name_of(kind)
    except Exception:
        # A metaclass may answer anything, or nothing.
        return clean(type.__repr__(type(error)), 512)


@lru_cache(maxsize=_REMEMBERED)
def _name_of(kind: type) -> str:
    module, name = str(kind.__module__), str(kind.__qualname__)
    return clean(name if module == "builtins" else f"{module}.{name}", 512)


def _stack(last: TracebackType | None, roots: tuple[str, ...]) -> _Stack:
    """The stack of a traceback, from memory if the same instructions have failed before."""
    if last is None:
        return _NO_STACK
    codes: list[CodeType] = []
    key: list[object] = [roots]
    step: TracebackType | None = last
    while step is not None:
        code = step.tb_frame.f_code
        codes.append(code)
        # By identity: hashing and comparing code objects goes through their whole bytecode.
        key += (id(code), step.tb_lasti)
        step = step.tb_next
    if len(codes) > _FIRST_FRAMES + _LAST_FRAMES:
        key = [len(codes), *key[: 1 + 2 * _FIRST_FRAMES], *key[-2 * _LAST_FRAMES :]]
    return _remembered(tuple(key), codes, last, roots)


def _remembered(key: tuple[object, ...], codes: list[CodeType], last: TracebackType, roots: tuple[str, ...]) -> _Stack:
    stack = _known.pop(key, None)
    if stack is None:
        text = clean_ends(_formatted(last, len(codes)), _STACK_BYTES)
        kept = codes if len(codes) <= 50 else codes[:_FIRST_FRAMES] + codes[-_LAST_FRAMES:]
        stack = _Stack(text, clean(place_of(reversed(codes), roots), 512), tuple(kept))
        while len(_known) >= _REMEMBERED:
            _forget_oldest()
    _known[key] = stack
    return stack


def _forget_oldest() -> None:
    try:
        _known.pop(next(iter(_known)), None)
    except (StopIteration, RuntimeError):
        # Another thread has changed it in between; whoever finds it too long again tries again.
        return


def _formatted(last: TracebackType, length: int) -> str:
    try:
        if length <= _FIRST_FRAMES + _LAST_FRAMES:
            return "".join(traceback.format_tb(last))
        left_out = length - _FIRST_FRAMES - _LAST_FRAMES
        return "".join(
            [
                *traceback.format_tb(last, limit=_FIRST_FRAMES),
                f"  ... {left_out:,} frames left out ...\n",
                *traceback.format_tb(last, limit=-_LAST_FRAMES),
            ]
        )
    except Exception as problem:
        return f"  <stack not readable: {_class_name(problem)}>\n"
