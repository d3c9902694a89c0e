"""Lists of dead jobs: by their letters, which name them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from queues.selectors.dead_letters import error_text
from queues.selectors.job_look import LOOK_ROWS, Look, listed, steps
from queues.selectors.job_sources import JobQuery, Source
from queues.selectors.job_walk import Place, Walk

# Letters in which a text is looked for at once, and by one page: the server reads them, not we.
AT_ONCE = 5_000
LETTERS = 200_000


def letters(query: JobQuery, where: Source, start: Place | None, look: Look, now: datetime) -> bool:
    """Look along the letters from a place on; whether it stopped before the page was full or the list at its end."""
    if query.error:
        return _telling(query, where.walk, start, look, now)
    walk, at = where.walk, _after(start, where.walk)
    filtered = bool(query.handler or query.payload)
    for step in steps() if filtered else iter([look.wanted] * (LOOK_ROWS // look.wanted)):
        page = walk.rows(("handler",), at, step)
        look.rows += len(page)
        look.jobs += len(page)
        _open(query, page, look, now)
        if len(look.found) >= look.wanted or len(page) < step:
            return False
        look.last = Place(page[-1][0], 0, page[-1][1])
        at = _after(look.last, walk)
        if look.over:
            return True
    return True


def _telling(query: JobQuery, walk: Walk, start: Place | None, look: Look, now: datetime) -> bool:
    """The same for those whose error has a text. No index leads to them: so many letters are searched after so many."""
    at, step = _after(start, walk), 2 * look.wanted
    while look.jobs < LETTERS and not look.late:
        page, end = walk.sift(error_text(query.error), ("handler",), at, step, AT_ONCE)
        look.rows += AT_ONCE
        _open(query, page, look, now)
        if len(look.found) >= look.wanted or end is None:
            return False
        if len(page) < step:
            look.jobs += AT_ONCE
        look.last = Place(end[0], 0, end[1])
        at = _after(look.last, walk)
    return True


def _after(place: Place | None, walk: Walk) -> tuple[int, int] | None:
    """Where the walk goes on after a place."""
    return None if place is None else (place.key, place.job - 1 if walk.descending else place.job + 1)


def _open(query: JobQuery, page: Sequence[tuple[Any, ...]], look: Look, now: datetime) -> None:
    keys = {job: key for key, job, handler in page if query.handler in ("", handler)}
    if keys:
        rows = listed(replace(query, error=""), look.wanted - len(look.found), now, jobs=list(keys))
        look.found += [(Place(keys[job], 0, job), state) for _chunk, job, state in rows]
