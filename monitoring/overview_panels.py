"""The panels of the overview that are not elsewhere: its tiles, its two charts and what needs attention."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from monitoring import charts, findings, lines, minutes, panels, ranges, sparks
from monitoring.attention import ranked
from monitoring.forecast import Forecast, forecast, steady
from monitoring.history import CHART
from monitoring.panels import Ask, Context, Panel
from monitoring.series import Series
from monitoring.snapshot import Snapshot
from queues.selectors import figures, gauges, handover, overview

# Seconds of completions by which a backlog is judged: steadier than the rate of "now".
JUDGED = 60


@dataclass(frozen=True, slots=True)
class Oldest:
    """What has been due for the longest time."""

    queue: str
    waited: timedelta


@dataclass(frozen=True, slots=True)
class HandOver:
    """Batches that were accepted and not yet announced, in all queues."""

    pending: int
    age: timedelta | None
    failing: list[str]


def tiles(ask: Ask) -> Context:
    """The figures at the top of the overview."""
    snapshot = ask.snapshot
    rows, series = snapshot.queues, snapshot.series
    slots = snapshot.once("worker slots", lambda: overview.slots(snapshot.now))
    oldest, pending = _oldest(snapshot), _hand_over(snapshot)
    waiting, dead = sum(line.waiting for line in rows), sum(line.dead for line in rows)
    workers: figures.Workers = snapshot.workers
    notes = {
        "waiting": waiting,
        "oldest": oldest.waited.total_seconds() if oldest else 0.0,
        "busy": slots.busy,
        "dead": dead,
        "pending": pending.pending,
        "workers": workers.alive,
    }
    return {
        "rate": sum(line.rate for line in rows),
        "series": series,
        "waiting": waiting,
        "scheduled": sum(line.scheduled for line in rows),
        "held": sum(line.held for line in rows),
        "running": sum(line.running for line in rows),
        "dead": dead,
        "about": any(line.about for line in rows),
        "least": any(line.least for line in rows),
        "paused": [line.figures.name for line in rows if line.figures.pause],
        "workers": workers,
        "slots": slots,
        "oldest": oldest,
        "waited": oldest.waited if oldest else None,
        "hand_over": pending,
        "forecast": _forecast(snapshot),
        "sparks": _sparks(snapshot, notes),
    }


def chart(ask: Ask) -> Context:
    """What ended over a window: the last fifteen minutes from the runs themselves, longer ones from kept minutes."""
    window = minutes.WINDOWS[ask.subject]
    live = window.name == ranges.USUAL
    series = ask.snapshot.series if live else _range(ask).series
    idle = series.succeeded + series.retried + series.dead < 0.5
    drawn = charts.stacked_bars(series)
    return {
        "window": window,
        "series": series,
        "chart": drawn,
        "most": max((bar.succeeded + bar.retried + bar.dead for bar in drawn.bars), default=0.0),
        "table": (series.coarser(60 // series.bucket) if live else series).points[::-1],
        "idle": idle,
        "last_end": ask.snapshot.last_end if idle else None,
    }


def latency(ask: Ask) -> Context:
    """How long work waited, and how long handlers took, over a window."""
    found = _range(ask)
    drawings = []
    for name, words, of in (
        ("wait", "Wait", "from due to claimed, the oldest job of each run"),
        ("handler", "Handler", "one job in its handler"),
    ):
        p50: list[float | None] = [getattr(one, f"{name}_p50") for one in found.times]
        p95: list[float | None] = [getattr(one, f"{name}_p95") for one in found.times]
        known = [value for value in p95 if value is not None]
        drawings.append(
            {
                "words": words,
                "of": of,
                "drawn": lines.lines({"p95": p95, "p50": p50}),
                "last": next((value for value in reversed(p95) if value is not None), None),
                "least": min(known, default=None),
                "most": max(known, default=None),
            }
        )
    idle = all(drawing["most"] is None for drawing in drawings)
    return {"window": found.window, "drawings": drawings, "times": found.times[::-1], "idle": idle}


def attention(ask: Ask) -> Context:
    """What needs a person, the worst first."""
    shown, more = ranked(findings.gather(ask.snapshot))
    return {"findings": shown, "more": more}


def register() -> None:
    """Make them known."""
    panels.add(
        Panel("tiles", tiles),
        Panel("throughput", chart, about="window", every=2),
        Panel("latency", latency, about="window", every=5),
        Panel("attention", attention, every=2),
        window=window,
    )


def window(subject: str) -> str:
    """A window that there is."""
    return subject if subject in minutes.WINDOWS else ranges.USUAL


def _range(ask: Ask) -> ranges.Range:
    now = ask.snapshot.now
    return ask.snapshot.once(("range", ask.subject), lambda: ranges.RANGES.read(ask.subject, now))


def _oldest(snapshot: Snapshot) -> Oldest | None:
    found = snapshot.once("oldest_due", gauges.oldest_due)
    if not found:
        return None
    queue = max(found, key=lambda name: found[name])
    return Oldest(queue, timedelta(seconds=max(0.0, found[queue])))


def _hand_over(snapshot: Snapshot) -> HandOver:
    found = snapshot.once("hand_overs", handover.hand_overs)
    names = {line.figures.id: line.figures.name for line in snapshot.queues}
    since = min((one.since for one in found.values() if one.since), default=None)
    failing = sorted(names.get(key, str(key)) for key, one in found.items() if one.failures)
    age = max(timedelta(), snapshot.now - since) if since else None
    return HandOver(sum(one.pending for one in found.values()), age, failing)


def _forecast(snapshot: Snapshot) -> Forecast:
    """From what the open queues have, what came steadily, and what ended in the last minute."""
    rows = snapshot.queues
    moving = sum(line.waiting - line.held for line in rows if not line.figures.pause)
    stopped = any(line.waiting for line in rows)
    if moving <= 0:
        return forecast(moving, 0.0, 0.0, stopped=stopped)
    return forecast(moving, steady(snapshot.once("arrivals", lambda: _arrivals(snapshot))), _ended(snapshot.series))


def _arrivals(snapshot: Snapshot) -> list[float]:
    return snapshot.history.arrivals(snapshot.now)


def _ended(series: Series) -> float:
    """Jobs that left the backlog in each second of the last minute: what is tried again has not left it."""
    last = series.points[-(JUDGED // series.bucket) - 1 :]
    seconds = sum(point.seconds for point in last)
    return sum(point.succeeded + point.dead for point in last) / seconds if seconds else 0.0


def _sparks(snapshot: Snapshot, notes: dict[str, float]) -> dict[str, str]:
    """The small lines: of rates from the chart's buckets, of all else from what this process has seen."""
    series = snapshot.series
    points = [point for point in series.points if point.seconds >= charts.YOUNGEST]
    by_minute = series.coarser(60 // series.bucket).points
    shares = [1.0 if point.success_rate is None else point.success_rate for point in by_minute]
    drawn = {
        "rate": charts.sparkline([point.rate(point.total) for point in points]),
        "success": charts.sparkline(shares),
    }
    for name, value in notes.items():
        samples = snapshot.once(("note", name), partial(snapshot.history.note, name, snapshot.now, value))
        drawn[name] = charts.sparkline(sparks.resample(samples, snapshot.now, CHART))
    return drawn
