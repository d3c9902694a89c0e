"""What is live in lists: the rows that a page shows, in their places, and the counts above them."""

from dataclasses import dataclass
from urllib.parse import urlencode

from monitoring import batch_filters, filters, limits, panels, rows, run_filters
from monitoring.filters import Unclear
from monitoring.panels import NEWS, Ask, Context, Gone, Panel
from monitoring.snapshot import BatchLine, Snapshot
from queues.domain.states import RunState
from queues.selectors import batch_lists, batches, figures, live_rows, queue_page, runs
from queues.selectors.dead_letters import Place

# States of a run in which a list has its last end on top.
ENDED = (RunState.DONE, RunState.LOST, RunState.RELEASED)


@dataclass(frozen=True, slots=True)
class LetterLine:
    """A dead letter of a list; `now` is how its job stands when it is none any more."""

    now: live_rows.Standing | None


def batch_tabs(ask: Ask) -> Context:
    """Each state, its address under the rest of the filter, and how many batches it has: nothing where it is not
    known."""
    chosen = batch_filters.parse(ask.subject)
    counts = tallies(ask.snapshot, chosen)
    tabs = []
    for state in batch_filters.STATES:
        count = counts.get(state)
        words = "" if count is None else f"{count:,}" if count <= batch_lists.COUNTED else f"{batch_lists.COUNTED:,}+"
        tabs.append((state, urlencode({**chosen, "state": state}), words))
    return {"tabs": tabs, "state": chosen.get("state", "")}


def batch_rows(snapshot: Snapshot, ids: list[int]) -> dict[int, BatchLine]:
    """Batches with their counts."""
    found = batches.batch_rows(ids)
    return {line.row.id: line for line in snapshot.batch_lines(found.values())}


def run_news(ask: Ask) -> Context:
    """Keys of the newest runs under a filter: those that have started, or ended where the list is of ended ones."""
    chosen = run_filters.parse(ask.subject)
    text = chosen.get("worker", "")
    try:
        run_filters.check(chosen)
        worker = ask.snapshot.once(("worker named", text), lambda: run_filters.worker(text))
    except Unclear:
        # The page itself says what is wrong.
        return {"keys": []}
    state, queue = chosen.get("state", ""), chosen.get("queue", "")
    ended = state in ENDED
    marks = ask.snapshot.once(("newest runs", ended), lambda: live_rows.newest_runs(ended=ended))
    found = [
        mark
        for mark in marks
        if state in ("", mark.state) and queue in ("", mark.queue) and worker in (None, mark.worker)
    ]
    return {"keys": [_run_key(mark, state) for mark in found[:NEWS]]}


def newest_run(shown: list[runs.RunRow], state: str) -> str:
    """The key of the newest run that a page shows; smaller than any where it shows none."""
    return max((_run_key(run, state) for run in shown), default="0")


def run_rows(_snapshot: Snapshot, ids: list[int]) -> dict[int, runs.RunRow]:
    """Runs, going on or ended."""
    return runs.runs(ids)


def job_rows(_snapshot: Snapshot, ids: list[int]) -> dict[int, live_rows.Standing]:
    """How jobs stand."""
    return live_rows.job_standings(ids)


def letter_rows(_snapshot: Snapshot, ids: list[int]) -> dict[int, LetterLine]:
    """Dead letters, and what has become of those that are none any more."""
    still = live_rows.letters(ids)
    gone = live_rows.job_standings([one for one in ids if one not in still])
    return {one: LetterLine(None) for one in still} | {one: LetterLine(now) for one, now in gone.items()}


def queue_next(ask: Ask) -> Context:
    """What a queue serves next, in its order."""
    key = ask.snapshot.once(("queue id", ask.subject), lambda: figures.queue_id(ask.subject))
    if not key:
        raise Gone(f"queue {ask.subject}")
    return {"chunks": queue_page.next_chunks(key, ask.snapshot.now)}


def register() -> None:
    """Make them known."""
    panels.add(
        Panel("batch-tabs", batch_tabs, about="batches", every=2),
        Panel("run-news", run_news, about="runs", every=2),
        Panel("queue-next", queue_next, about="queue", every=2),
        rows.panel("batch", batch_rows),
        rows.panel("run", run_rows),
        rows.panel("job", job_rows),
        rows.panel("letter", letter_rows),
        runs=run_filters.canonical,
        **{panels.ROWS: rows.canonical},
    )


def _run_key(run: runs.RunRow | live_rows.RunMark, state: str) -> str:
    """Sorts as text like the list does, newest last."""
    if state in ENDED and run.finished_at:
        return filters.dead_letter_key(Place(run.finished_at, run.id))
    return filters.batch_key(run.id)


def tallies(snapshot: Snapshot, chosen: dict[str, str]) -> dict[str, int]:
    """How many batches each state has under the rest of a filter; empty where it is not known."""
    return snapshot.once(("tallies", urlencode(chosen)), lambda: _tallies(chosen))


def _tallies(chosen: dict[str, str]) -> dict[str, int]:
    try:
        query = batch_filters.query(chosen)
    except Unclear:
        # The page itself says what is wrong.
        return {}
    return limits.attempt(lambda: batch_lists.batch_tallies(query)) or {}
