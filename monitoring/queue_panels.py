"""Panels of queues: the list of all, and one in depth."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean

from monitoring import charts, filters, lines, marks, minutes, panels, queue_filters, spans, standing
from monitoring.forecast import Forecast, forecast, steady
from monitoring.panels import Ask, Context, Gone, Panel
from monitoring.series import Point, Series
from monitoring.snapshot import QueueLine, Snapshot
from queues.domain.percentiles import summary
from queues.selectors import figures, gauges, queue_page, throughput, worker_health
from queues.services import standstill

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Flow:
    """What came into a queue and what left it, jobs a minute over the last five, and what becomes of what waits."""

    came: float
    left: float
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class ListLine:
    """A queue as the list of queues shows it."""

    line: QueueLine
    oldest: timedelta | None
    runs: int
    limit: int | None
    lately: minutes.Minutes
    spark: str
    flow: Flow
    workers: int


def queue_list(ask: Ask) -> Context:
    """The queues of one page with what they did lately, and the sums of all that match."""
    snapshot = ask.snapshot
    found = queue_filters.find(snapshot.queues, ask.subject)
    oldest = snapshot.once("oldest_due", gauges.oldest_due)
    hour = snapshot.once("last_hour", lambda: minutes.last_hour(snapshot.now))
    runs = snapshot.once("running_runs", throughput.running_runs)
    limits = snapshot.once("limits", queue_page.limits)
    rows = []
    for line in found.shown:
        key, name = line.figures.id, line.figures.name
        rows.append(
            ListLine(
                line,
                timedelta(seconds=oldest[name]) if name in oldest else None,
                runs.get(key, 0),
                limits.get(key),
                lately(snapshot, key),
                charts.sparkline(hour[key]) if key in hour else "",
                flow(snapshot, line),
                workers(snapshot, name),
            )
        )
    asked = queue_filters.chosen(filters.pairs(ask.subject))
    return {
        "rows": rows,
        "sums": _sums(snapshot, found.all, runs),
        "matching": len(found.all),
        "name": asked.get("name", ""),
        "after": asked.get("after", ""),
        "next": found.shown[-1].figures.name if found.more else "",
        "queues": len(snapshot.queues),
    }


def _sums(snapshot: Snapshot, lines: list[QueueLine], runs: dict[int, int]) -> dict[str, float | bool]:
    keys = [line.figures.id for line in lines]
    arrivals = standing.arrivals(snapshot)
    ended = snapshot.once("ended", lambda: minutes.ended(snapshot.now))
    return {
        "waiting": sum(line.waiting for line in lines),
        "runs": sum(runs.get(key, 0) for key in keys),
        "rate": sum(line.rate for line in lines),
        "came": mean([sum(span.get(key, 0.0) for key in keys) for span in arrivals] or [0.0]) * 60,
        "left": sum(ended.get(key, 0.0) for key in keys) * 60,
        "about": any(line.about for line in lines),
        "least": any(line.least for line in lines),
    }


def lately(snapshot: Snapshot, key: int) -> minutes.Minutes:
    """What a queue did in the last quarter of an hour."""
    found = snapshot.once("lately", lambda: minutes.lately(snapshot.now))
    return found.get(key, minutes.Minutes())


def workers(snapshot: Snapshot, name: str) -> int:
    """How many living workers take work of this queue."""
    serving = snapshot.once("serving", lambda: worker_health.serving(snapshot.now))
    return sum(not queues or name in queues for queues in serving)


def flow(snapshot: Snapshot, line: QueueLine) -> Flow:
    """Of one queue. What waits is judged by what comes steadily and by what ends now, or of late where that is more:
    a queue of long jobs does not stand still between two of them."""
    key = line.figures.id
    came = [span.get(key, 0.0) for span in standing.arrivals(snapshot)]
    left = snapshot.once("ended", lambda: minutes.ended(snapshot.now)).get(key, 0.0)
    if line.figures.pause:
        becomes = Forecast("paused") if line.waiting else Forecast("empty")
    else:
        waits = line.waiting - line.held
        becomes = forecast(waits, steady(came), max(line.rate, left), stopped=line.held > 0)
    return Flow(mean(came) * 60, left * 60, becomes)


def queue_now(ask: Ask) -> Context:
    """How one queue stands, and why nothing of it starts, if nothing does."""
    line, snapshot = _line(ask), ask.snapshot
    standing = snapshot.once(("standing", ask.subject), lambda: standstill.explain(name=ask.subject, now=snapshot.now))
    return {
        "line": line,
        "pause": line.figures.pause,
        "standing": standing,
        "slots": snapshot.once(("slots", line.figures.id), lambda: queue_page.slots(line.figures.id)),
        "flow": flow(snapshot, line),
        "lately": lately(snapshot, line.figures.id),
        "workers": workers(snapshot, ask.subject),
        "oldest": _since(_backlog(ask, line).oldest, snapshot.now),
    }


def queue_backlog(ask: Ask) -> Context:
    """What waits, by state and priority."""
    line = _line(ask)
    found = _backlog(ask, line)
    most = max((share.due + share.scheduled + share.retrying for share in found.shares), default=0) or 1
    rows = [
        {
            "share": share,
            "due": round(share.due / most * 1000),
            "later": round((share.scheduled + share.retrying) / most * 1000),
            "age": _since(share.oldest, ask.snapshot.now),
        }
        for share in found.shares
    ]
    return {"backlog": found, "rows": rows, "line": line}


def queue_flow(ask: Ask) -> Context:
    """What came in against what was done, over a window."""
    window, name = _window_of(ask.subject)
    key, now = _key(ask, name), ask.snapshot.now
    starts, end = window.starts(now), window.end(now)
    done = minutes.by_bucket(key, starts[0], window.bucket, end)
    came = queue_page.arrivals(key, starts[0], window.bucket, end)
    points = [_point(start, window.seconds(start, now), done.get(start)) for start in starts]
    series = Series(points, window.bucket)
    # The bucket in which counting had to end is only a part of one.
    known = [None if start < came.since else came.jobs.get(start, 0) for start in starts]
    rates = [
        None if jobs is None or point.seconds < charts.YOUNGEST else point.rate(jobs)
        for jobs, point in zip(known, points, strict=True)
    ]
    chart = charts.stacked_bars(series, max((rate for rate in rates if rate is not None), default=0.0))
    found = list(done.values())
    return {
        "queue": name,
        "window": window,
        "series": series,
        "chart": chart,
        "arrived": sum(jobs for jobs in known if jobs is not None),
        "came": came,
        "line": lines.lines({"arrived": rates}, centred=True, top=chart.top).lines[0],
        "marks": ask.snapshot.once(("marks", ask.subject), lambda: marks.marks(series, name)),
        "table": list(zip(points, known, strict=True))[::-1],
        "lost": sum(part.lost for part in found),
        "runs": sum(part.runs for part in found),
        "idle": not any(known) and not any(point.total for point in points),
        "waits": charts.sparkline([(done[start].wait_p95 or 0.0) if start in done else 0.0 for start in starts]),
        "handling": charts.sparkline([(done[start].handler_p95 or 0.0) if start in done else 0.0 for start in starts]),
    }


def queue_sizes(ask: Ask) -> Context:
    """The sizes that runs had, against what was aimed at and what the policy says."""
    key = _key(ask, ask.subject)
    runs, sizes = queue_page.recent_runs(key), queue_page.sizes(key)
    top = charts.nice_ceiling(max([sizes.run_size, *(run.claimed for run in runs), *(run.wanted for run in runs)]))
    longest = charts.nice_ceiling(max([sizes.run_target, *(run.seconds for run in runs)]))
    wanted = [run.wanted or None for run in runs]
    return {
        "runs": runs,
        "newest": runs[::-1][:20],
        "sizes": sizes,
        "chart": lines.lines({"wanted": wanted, "claimed": [run.claimed for run in runs]}, top=top),
        "configured": lines.level("configured", sizes.run_size, top),
        # One that lies beyond all runs is told in figures only.
        "chunks": lines.level("chunk", sizes.chunk_size, top) if top >= sizes.chunk_size != sizes.run_size else None,
        "same_day": bool(runs) and runs[0].finished_at.date() == ask.snapshot.now.date(),
        "took": lines.lines({"seconds": [run.seconds for run in runs]}, top=longest),
        "target": lines.level("configured", sizes.run_target, longest),
        "chunk": queue_page.mean_chunk(runs),
        "run": queue_page.mean_run(runs),
        "wait": summary([run.wait_ms for run in runs]) if runs else None,
        "p50": summary([run.p50_ms for run in runs if run.p50_ms is not None]).p50,
        "p95": summary([run.p95_ms for run in runs if run.p95_ms is not None]).p95,
        "timed": any(run.p50_ms is not None for run in runs),
    }


def register() -> None:
    """Make them known."""
    panels.add(
        Panel("queue-list", queue_list, about="queue_list", every=2),
        Panel("queue-now", queue_now, about="queue", every=2),
        Panel("queue-backlog", queue_backlog, about="queue", every=2),
        Panel("queue-flow", queue_flow, about="queue_window", every=10),
        Panel("queue-sizes", queue_sizes, about="queue", every=5),
        queue=_queue_name,
        queue_list=queue_filters.canonical,
        queue_window=_queue_window,
    )


def _queue_name(subject: str) -> str:
    if NAME.fullmatch(subject) is None:
        raise Gone(f"queue {subject[:80]}")
    return subject


def _queue_window(subject: str) -> str:
    name, _, window = subject.partition(" ")
    found = spans.window(window)
    return f"{_queue_name(name)} {found.name if found else minutes.USUAL}"


def _window_of(subject: str) -> tuple[minutes.Window, str]:
    name, _, window = subject.partition(" ")
    return spans.window(window) or minutes.WINDOWS[minutes.USUAL], name


def _line(ask: Ask) -> QueueLine:
    for line in ask.snapshot.queues:
        if line.figures.name == ask.subject:
            return line
    raise Gone(f"queue {ask.subject}")


def _key(ask: Ask, name: str) -> int:
    key = ask.snapshot.once(("queue id", name), lambda: figures.queue_id(name))
    if not key:
        raise Gone(f"queue {name}")
    return key


def _backlog(ask: Ask, line: QueueLine) -> queue_page.Backlog:
    key = line.figures.id
    return ask.snapshot.once(("backlog", key), lambda: queue_page.backlog(key, ask.snapshot.now))


def _since(moment: datetime | None, now: datetime) -> timedelta | None:
    return now - moment if moment else None


def _point(start: datetime, seconds: float, done: minutes.Minutes | None) -> Point:
    found = done or minutes.Minutes()
    return Point(start, seconds, found.succeeded, found.retried, found.dead)
