"""Panels of one batch, and what is new in the list of batches."""

from dataclasses import dataclass

from monitoring import batch_filters, burn_up, filters, panels
from monitoring.job_filters import Unclear
from monitoring.panels import NEWS, Ask, Context, Gone, Panel
from monitoring.snapshot import BatchLine
from queues.domain.states import BatchState
from queues.domain.unfinished import WayOut
from queues.selectors import batch_work, batches, dead_letters, graph
from queues.services import unfinished

# More jobs than this are enqueued anew by the command, which can take its time.
MOST_CLONED = 100_000
NEIGHBOURS_SHOWN = 12


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
    """Why one batch is not finished, and the way out."""
    line, snapshot = _line(ask), ask.snapshot
    answer = None
    if line.row.state is BatchState.RUNNING:
        answer = snapshot.once(("why", line.row.id), lambda: unfinished.why(batch_id=line.row.id, now=snapshot.now))
    return {"line": line, "why": answer, "ways": {way.name: way.value for way in WayOut}}


def batch_actions(ask: Ask) -> Context:
    """What can be done with one batch now: links to pages that ask, never buttons that act."""
    line = _line(ask)
    return {"line": line, "deeds": deeds(line)}


def deeds(line: BatchLine) -> list[Deed]:
    """Every deed, with the reason where it is not possible."""
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
    rows = ask.snapshot.once(("parts", ask.batch_id), lambda: batches.batch_parts(ask.batch_id))
    return {"lines": ask.snapshot.batch_lines(rows), "limit": batches.PARTS_SHOWN}


def batch_burnup(ask: Ask) -> Context:
    """Jobs ended since the start, and when the rest will have."""
    line = _line(ask)
    if line.row.started_at is None:
        return {"chart": None, "line": line}
    end = line.row.finished_at or ask.snapshot.now
    step = burn_up.step_of(line.row.started_at, end)
    ended = ask.snapshot.once(("ended", line.row.id), lambda: batch_work.ended_by_time(line.row.id, step))
    chart = burn_up.burn_up(
        ended,
        start=line.row.started_at,
        now=end,
        finished=line.row.finished_at is not None,
        done=line.counts.ended,
        total=line.counts.total,
        left=line.left,
        step=step,
    )
    return {"chart": chart, "line": line}


def batch_runs(ask: Ask) -> Context:
    """The runs of the batch on a time line."""
    found = ask.snapshot.once(("runs of", ask.batch_id), lambda: batch_work.batch_runs(ask.batch_id))
    chart = burn_up.time_line(found.rows, ask.snapshot.now)
    return {"chart": chart, "found": found, "read": len(found.rows), "newest": found.rows[:-21:-1]}


def batch_graph(ask: Ask) -> Context:
    """The batches before and after this one."""
    line = _line(ask)
    found = ask.snapshot.once(("links", ask.batch_id), lambda: graph.links(ask.batch_id))
    if found is None:
        raise Gone(f"batch {ask.subject}")
    sides = [(side[:NEIGHBOURS_SHOWN], len(side) - NEIGHBOURS_SHOWN) for side in (found.waits_for, found.followed_by)]
    return {"line": line, "links": found, "before": sides[0], "after": sides[1]}


def batch_news(ask: Ask) -> Context:
    """Keys of the newest batches under a filter, by which a list knows how many it does not show."""
    try:
        query = batch_filters.query(batch_filters.parse(ask.subject))
    except Unclear:
        # The page itself says what is wrong.
        return {"keys": []}
    ids = ask.snapshot.once(("news", ask.subject), lambda: batches.newest_batches(query, NEWS))
    return {"keys": [filters.batch_key(batch_id) for batch_id in ids]}


def register() -> None:
    """Make the panels known."""
    panels.add(
        Panel("batch-progress", batch_progress, about="batch"),
        Panel("batch-why", batch_why, about="batch", every=3),
        Panel("batch-actions", batch_actions, about="batch"),
        Panel("batch-causes", batch_causes, about="batch", every=3),
        Panel("batch-parts", batch_parts, about="batch", every=2),
        Panel("batch-burnup", batch_burnup, about="batch", every=3),
        Panel("batch-runs", batch_runs, about="batch", every=4),
        Panel("batch-graph", batch_graph, about="batch", every=4),
        Panel("batch-news", batch_news, about="batches", every=3),
        batches=batch_filters.canonical,
    )


def _line(ask: Ask) -> BatchLine:
    line = ask.snapshot.batch(ask.batch_id)
    if line is None:
        raise Gone(f"batch {ask.subject}")
    return line
