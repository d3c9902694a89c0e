"""Panels of one batch, and what is new in the list of batches."""

from dataclasses import dataclass, replace

from monitoring import batch_filters, burn_up, filters, panels, progress, ways_out
from monitoring.filters import Unclear
from monitoring.panels import NEWS, Ask, Context, Gone, Panel
from monitoring.snapshot import BatchLine
from queues.domain.states import BatchState, StopReason
from queues.domain.unfinished import short_of_success
from queues.selectors import batch_lists, batch_trash, batch_work, batches, dead_letters, graph
from queues.selectors.batch_trash import Deleted
from queues.services import unfinished

# More jobs than this are enqueued anew by the command, which can take its time.
MOST_CLONED = 100_000
NEIGHBOURS_SHOWN = 12
# Parts that the graph shows as cells.
PARTS_DRAWN = 50


@dataclass(frozen=True, slots=True)
class Deed:
    """What can be done with a batch; `why_not` says why it cannot be done now."""

    name: str
    icon: str
    verb: str
    why_not: str = ""
    dangerous: bool = False


def batch_progress(ask: Ask) -> Context:
    """Where the jobs of one batch stand."""
    return {"line": _line(ask), "now": ask.snapshot.now}


def batch_why(ask: Ask) -> Context:
    """Why one batch is not finished, or has not ended well, and the way out."""
    line, snapshot = _line(ask), ask.snapshot
    row, counts, running = line.row, line.counts, line.row.state is BatchState.RUNNING
    gone = None if running else _trash(ask, row.id)
    if gone is not None:
        return {"gone": gone, "restore": gone.restorable and ask.operate}
    if running:
        answer = snapshot.once(("why", row.id), lambda: unfinished.why(batch_id=row.id, now=snapshot.now))
    else:
        answer = short_of_success(
            state=row.state,
            stop=StopReason(row.stop_reason),
            total=counts.total,
            dead=counts.dead,
            cancelled=counts.cancelled,
            deleted=counts.trashed,
            archived=_archived(ask, line),
        )
    link = ways_out.link(answer, line, operate=ask.operate) if answer else None
    return {"why": answer, "question": "finished" if running else "complete", "link": link}


def batch_actions(ask: Ask) -> Context:
    """What can be done with one batch now: links to pages that ask, never buttons that act."""
    line = _line(ask)
    gone = None if line.row.state is BatchState.RUNNING else _trash(ask, line.row.id)
    again = None
    if line.counts.cancelled and gone is None and line.row.standing != "stopping":
        again = ways_out.retry_cancelled(line, archived=_archived(ask, line))
    return {"line": line, "deeds": deeds(line, gone), "gone": gone, "again": again}


def deeds(line: BatchLine, gone: Deleted | None) -> list[Deed]:
    """Every deed, with the reason where it is not possible; `gone` is its deletion, if it is deleted."""
    if gone is None:
        return [*_deeds(line), Deed("restore", "undo", "Restore", "it is not in the trash")]
    why_not = "it is in the trash: restore it first" if gone.restorable else "it is being deleted"
    rest = [replace(deed, why_not=why_not) for deed in _deeds(line) if deed.name != "delete"]
    # Once more, and it is deleted at once.
    again = Deed("delete", "trash", "Delete for good", "" if gone.restorable else why_not, dangerous=True)
    return [*rest, again, Deed("restore", "undo", "Restore", "" if gone.restorable else "part of it is gone")]


def _deeds(line: BatchLine) -> list[Deed]:
    row, going = line.row, line.row.state is BatchState.RUNNING
    ended = "" if going else f"it has ended: it is {row.state}"
    stopping = ended or ("it is stopping" if row.stop_reason else "")
    part = f"it is a part: do it with batch {row.parent_id}" if row.parent_id else ""
    paused = row.paused_at is not None
    return [
        Deed("seal", "check", "Seal", stopping or ("it takes no more jobs" if row.sealed_at else "")),
        Deed("pause", "pause", "Pause", stopping or part or ("it is paused" if paused else "")),
        Deed("resume", "play", "Resume", stopping or part or ("" if paused else "it is not paused")),
        Deed("cancel", "slash", "Cancel", stopping, dangerous=True),
        Deed("clone", "batches", "Run all again", why_not_cloned(row)),
        Deed("delete", "trash", "Delete", part or ("jobs of it run or wait: cancel it first" if going else ""), True),
    ]


def why_not_cloned(row: batches.BatchRow) -> str:
    """Why all jobs of a batch cannot be enqueued anew from a page."""
    if row.sealed_at is None:
        return "it still takes jobs: seal it first"
    if row.total > MOST_CLONED:
        return f"more than {MOST_CLONED:,} jobs: use manage.py batches retry {row.id} --all"
    return ""


def batch_causes(ask: Ask) -> Context:
    """Dead letters of one batch by cause."""
    query = dead_letters.DeadLetterQuery(batch=ask.batch_id)
    return {
        "causes": ask.snapshot.once(("causes", query), lambda: dead_letters.causes(query)),
        "batch_id": ask.batch_id,
    }


def batch_parts(ask: Ask) -> Context:
    """The parts of a parent."""
    return {"lines": _parts(ask), "limit": batches.PARTS_SHOWN}


def _parts(ask: Ask) -> list[BatchLine]:
    """The first parts with their counts: read once, for the table and for the graph."""
    rows = ask.snapshot.once(("parts", ask.batch_id), lambda: batches.batch_parts(ask.batch_id))
    return ask.snapshot.batch_lines(rows)


def batch_burnup(ask: Ask) -> Context:
    """Jobs ended since the start, and when the rest will have."""
    line = _line(ask)
    start = line.row.started_at
    if start is None:
        return {"chart": None, "line": line}
    end = line.row.finished_at or ask.snapshot.now
    step = burn_up.step_of(start, end)
    ended = ask.snapshot.once(("ended", line.row.id), lambda: batch_work.ended_by_time(line.row.id, step))
    paces = burn_up.paces(ended, start=start, now=end, step=step, present=line.rate) if line.left else None
    chart = burn_up.burn_up(
        ended,
        start=start,
        now=end,
        finished=line.row.finished_at is not None,
        done=line.counts.ended,
        total=line.counts.total,
        left=line.left,
        step=step,
        paces=paces,
    )
    sooner, later = (progress.time_left(line.counts.unended, pace) for pace in paces[::-1]) if paces else (None, None)
    return {"chart": chart, "line": line, "sooner": sooner, "later": later}


def batch_runs(ask: Ask) -> Context:
    """The runs of the batch on a time line."""
    found = ask.snapshot.once(("runs of", ask.batch_id), lambda: batch_work.batch_runs(ask.batch_id))
    chart = burn_up.time_line(found.rows, ask.snapshot.now)
    return {"chart": chart, "found": found, "read": len(found.rows), "newest": found.rows[:-21:-1]}


def batch_graph(ask: Ask) -> Context:
    """The batches before and after this one, and its parts."""
    line = _line(ask)
    parts = _parts(ask) if line.row.is_parent else []
    count = len(parts)
    if count == batches.PARTS_SHOWN:
        count = ask.snapshot.once(("part count", ask.batch_id), lambda: batches.part_count(ask.batch_id))
    found = ask.snapshot.once(("links", ask.batch_id), lambda: graph.links(ask.batch_id))
    if found is None:
        raise Gone(f"batch {ask.subject}")
    sides = [side[:NEIGHBOURS_SHOWN] for side in (found.waits_for, found.followed_by)]
    known = ask.snapshot.once(
        ("neighbours", ask.batch_id), lambda: batches.batch_rows([one.id for side in sides for one in side])
    )
    before, after = ([(one, known[one.id].standing) for one in side if one.id in known] for side in sides)
    return {
        "line": line,
        "links": found,
        "parts": [(part, progress.percent(part.counts)) for part in parts[:PARTS_DRAWN]],
        "part_count": count,
        "more_parts": max(0, count - PARTS_DRAWN),
        "before": (before, len(found.waits_for) - NEIGHBOURS_SHOWN),
        "after": (after, len(found.followed_by) - NEIGHBOURS_SHOWN),
    }


def batch_news(ask: Ask) -> Context:
    """Keys of the newest batches under a filter, by which a list knows how many it does not show."""
    try:
        query = batch_filters.query(batch_filters.parse(ask.subject))
    except Unclear:
        # The page itself says what is wrong.
        return {"keys": []}
    ids = ask.snapshot.once(("news", ask.subject), lambda: batch_lists.newest_batches(query, NEWS))
    return {"keys": [filters.batch_key(batch_id) for batch_id in ids]}


def register() -> None:
    """Make the panels known."""
    panels.add(
        Panel("batch-progress", batch_progress, about="batch"),
        Panel("batch-why", batch_why, about="batch", every=2),
        Panel("batch-actions", batch_actions, about="batch"),
        Panel("batch-causes", batch_causes, about="batch", every=2),
        Panel("batch-parts", batch_parts, about="batch", every=2),
        Panel("batch-burnup", batch_burnup, about="batch", every=3),
        Panel("batch-runs", batch_runs, about="batch", every=4),
        Panel("batch-graph", batch_graph, about="batch", every=2),
        Panel("batch-news", batch_news, about="batches", every=2),
        batches=batch_filters.canonical,
    )


def _trash(ask: Ask, batch_id: int) -> Deleted | None:
    return ask.snapshot.once(("trash", batch_id), lambda: batch_trash.in_trash(batch_id))


def _archived(ask: Ask, line: BatchLine) -> bool:
    """Whether the cancelled jobs of a batch are in the archive."""
    if line.row.state is BatchState.RUNNING or not line.counts.cancelled:
        return False
    return not ask.snapshot.once(("cancelled", line.row.id), lambda: batch_work.holds_cancelled(line.row.id))


def _line(ask: Ask) -> BatchLine:
    line = ask.snapshot.batch(ask.batch_id)
    if line is None:
        raise Gone(f"batch {ask.subject}")
    return line
