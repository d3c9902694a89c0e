"""Where an answer to "why is it not finished?" leads: the page that mends it, or the one that shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from monitoring import acting
from monitoring.snapshot import BatchLine
from queues.domain.operating import Action
from queues.domain.unfinished import Answer, WayOut


@dataclass(frozen=True, slots=True)
class Link:
    """A button: its words, its drawing, and where it leads."""

    words: str
    icon: str
    url: str


def link(answer: Answer, line: BatchLine, *, operate: bool) -> Link | None:
    """The button beside the answer. Who may only look gets the page that shows it; None where time alone helps."""
    make = (_DEEDS.get(answer.way_out) if operate else None) or _SIGHTS.get(answer.way_out)
    return make(answer.subject, line) if make else None


def _asks(words: str, icon: str, name: str, argument: object, line: BatchLine) -> Link:
    """A page that asks first, and comes back to the batch."""
    return Link(words, icon, f"{reverse(name, args=[argument])}?{urlencode({'next': _page(line)})}")


def _retry_dead(_subject: str, line: BatchLine) -> Link:
    query = urlencode({"all": 1, "batch": line.row.id, "next": _page(line)})
    return Link(f"Retry {line.counts.dead:,} dead", "retry", f"{reverse('dead-letters-retry')}?{query}")


def retry_cancelled(line: BatchLine, *, archived: bool) -> Link:
    """To run the cancelled jobs of a batch after all, from where they are."""
    action, verb = (Action.UNARCHIVE, "Restore") if archived else (Action.RETRY, "Retry")
    which: dict[str, Any] = {"outcome": "cancelled"} if archived else {"state": "cancelled"}
    url = acting.address(action, batch=line.row.id, back=_page(line), **which)
    return Link(f"{verb} {line.counts.cancelled:,} cancelled", "undo" if archived else "retry", url)


def _run_now(state: str, line: BatchLine) -> Link:
    url = acting.address(Action.RETRY, state=state, batch=line.row.id, back=_page(line))
    return Link("Run them now", "play", url)


def _of_batch(words: str, name: str, line: BatchLine, **more: str) -> Link:
    """A list, narrowed to the batch."""
    return Link(words, name, f"{reverse(name)}?{urlencode({'batch': line.row.id, **more})}")


def _page(line: BatchLine) -> str:
    return reverse("batch", args=[line.row.id])


def _see_queue(queue: str, _line: BatchLine) -> Link:
    return Link("See queue", "queues", reverse("queue", args=[queue]))


def _see_worker(worker: str, _line: BatchLine) -> Link:
    return Link("See worker", "workers", reverse("worker", args=[worker]))


Maker = Callable[[str, BatchLine], Link]
# What changes something.
_DEEDS: dict[WayOut, Maker] = {
    WayOut.SEAL: lambda _subject, line: _asks("Seal", "check", "batch-seal", line.row.id, line),
    WayOut.RESUME_BATCH: lambda _subject, line: _asks(
        "Resume", "play", "batch-resume", line.row.parent_id or line.row.id, line
    ),
    WayOut.RESUME_QUEUE: lambda queue, line: _asks("Resume queue", "play", "queue-resume", queue, line),
    WayOut.CHANGE_POLICY: lambda queue, line: _asks("Change the policy", "edit", "queue-policy", queue, line),
    WayOut.RESUME_WORKER: lambda worker, line: _asks("Resume worker", "play", "worker-resume", worker, line),
    WayOut.RECLAIM: lambda worker, line: _asks("Take it back now", "undo", "worker-reclaim", worker, line),
    WayOut.RUN_AGAIN: lambda _subject, line: _asks("Run all again", "batches", "batch-clone", line.row.id, line),
    WayOut.RUN_NOW: _run_now,
    WayOut.RETRY_DEAD: _retry_dead,
    WayOut.RETRY_CANCELLED: lambda _subject, line: retry_cancelled(line, archived=False),
    WayOut.RESTORE_CANCELLED: lambda _subject, line: retry_cancelled(line, archived=True),
}
# What shows it.
_SIGHTS: dict[WayOut, Maker] = {
    WayOut.SEE_BATCH: lambda batch, line: Link(f"See batch {batch}", "batches", reverse("batch", args=[int(batch)])),
    WayOut.SEE_QUEUE: _see_queue,
    WayOut.RESUME_QUEUE: _see_queue,
    WayOut.CHANGE_POLICY: _see_queue,
    WayOut.SEE_WORKERS: lambda _subject, _line: Link("See workers", "workers", reverse("workers")),
    WayOut.RESUME_WORKER: _see_worker,
    WayOut.RECLAIM: _see_worker,
    WayOut.SEE_JOBS: lambda _subject, line: _of_batch("See jobs", "jobs", line, state="running"),
    WayOut.RUN_NOW: lambda state, line: _of_batch("See jobs", "jobs", line, state=state),
    WayOut.RETRY_DEAD: lambda _subject, line: _of_batch("See dead letters", "dead-letters", line),
    WayOut.RETRY_CANCELLED: lambda _subject, line: _of_batch("See jobs", "jobs", line, state="cancelled"),
    WayOut.RESTORE_CANCELLED: lambda _subject, line: _of_batch("See jobs", "archive", line, outcome="cancelled"),
}
