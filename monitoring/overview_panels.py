"""The panels of the overview that are not elsewhere: its tiles, its two charts and what needs attention."""

from datetime import timedelta

from monitoring import charts, findings, lines, marks, minutes, moments, panels, ranges, spans, sparks, standing
from monitoring.attention import ranked
from monitoring.forecast import Forecast, forecast, steady
from monitoring.frame import HEALTH
from monitoring.history import CHART, Notes
from monitoring.minutes import WINDOWS, Window
from monitoring.moments import Standing
from monitoring.panels import Ask, Context, Panel
from monitoring.series import Series
from monitoring.snapshot import Snapshot

# Seconds of completions by which a backlog is judged: steadier than the rate of "now".
JUDGED = 60


def tiles(ask: Ask) -> Context:
    """The figures at the top of the overview."""
    snapshot = ask.snapshot
    rows, series, now = snapshot.queues, snapshot.series, snapshot.now
    figures, oldest, slots = standing.read(snapshot), standing.oldest(snapshot), standing.slots(snapshot)
    notes = snapshot.once("notes", lambda: snapshot.history.note(now, figures, moments.since))
    return {
        "rate": sum(line.rate for line in rows),
        "series": series,
        "figures": figures,
        "scheduled": sum(line.scheduled for line in rows),
        "held": sum(line.held for line in rows),
        "running": sum(line.running for line in rows),
        "about": any(line.about for line in rows),
        "least": any(line.least for line in rows),
        "paused": [line.figures.name for line in rows if line.figures.pause],
        "workers": standing.health(snapshot),
        "lost": max(0, figures.running - slots.busy),
        "oldest": oldest,
        "waited": oldest.waited if oldest else None,
        "hand_over": standing.hand_over(snapshot),
        "forecast": _forecast(snapshot),
        "sparks": _sparks(snapshot, notes),
        "changes": _changes(snapshot, figures, notes),
    }


def chart(ask: Ask) -> Context:
    """What ended over a window: the last fifteen minutes from the runs themselves, longer ones from kept minutes."""
    window = _window(ask)
    live = window.name == ranges.USUAL
    series = ask.snapshot.series if live else _range(ask).series
    idle = series.succeeded + series.retried + series.dead < 0.5
    drawn = charts.stacked_bars(series)
    return {
        "window": window,
        "series": series,
        "chart": drawn,
        "most": max((bar.succeeded + bar.retried + bar.dead for bar in drawn.bars), default=0.0),
        "marks": ask.snapshot.once(("marks", window.name), lambda: marks.marks(series)),
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
    found = findings.gather(ask.snapshot)
    HEALTH.note(found, ask.snapshot.now)
    shown, more = ranked(found)
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
    """A window that there is, in its one spelling."""
    found = spans.window(subject)
    return found.name if found else ranges.USUAL


def _window(ask: Ask) -> Window:
    """Of the subject."""
    return ask.snapshot.once(("window", ask.subject), lambda: spans.window(ask.subject)) or WINDOWS[ranges.USUAL]


def _range(ask: Ask) -> ranges.Range:
    now = ask.snapshot.now
    return ask.snapshot.once(("range", ask.subject), lambda: ranges.RANGES.read(_window(ask), now))


def _forecast(snapshot: Snapshot) -> Forecast:
    """From what the open queues have, what came steadily, and what ended in the last minute."""
    rows = snapshot.queues
    moving = sum(line.waiting - line.held for line in rows if not line.figures.pause)
    stopped = any(line.waiting for line in rows)
    if moving <= 0:
        return forecast(moving, 0.0, 0.0, stopped=stopped)
    arriving = steady([sum(span.values()) for span in standing.arrivals(snapshot)])
    return forecast(moving, arriving, _ended(snapshot.series))


def _ended(series: Series) -> float:
    """Jobs that left the backlog in each second of the last minute: what is tried again has not left it."""
    last = series.points[-(JUDGED // series.bucket) - 1 :]
    seconds = sum(point.seconds for point in last)
    return sum(point.succeeded + point.dead for point in last) / seconds if seconds else 0.0


def _sparks(snapshot: Snapshot, notes: Notes) -> dict[str, str]:
    """The small lines: of rates from the chart's buckets, of all else from how it has stood."""
    series = snapshot.series
    points = [point for point in series.points if point.seconds >= charts.YOUNGEST]
    by_minute = series.coarser(60 // series.bucket).points
    shares = [1.0 if point.success_rate is None else point.success_rate for point in by_minute]
    drawn = {
        "rate": charts.sparkline([point.rate(point.total) for point in points]),
        "success": charts.sparkline(shares),
    }
    for name in ("waiting", "oldest", "running", "dead", "pending", "workers"):
        samples = [(at, float(getattr(figures, name))) for at, figures in notes]
        drawn[name] = charts.sparkline(sparks.resample(samples, snapshot.now, CHART))
    return drawn


def _changes(snapshot: Snapshot, figures: Standing, notes: Notes) -> dict[str, str]:
    """How figures differ from the fifteen minutes before, where that is known and says something."""
    now, series = snapshot.now, snapshot.series
    before = snapshot.once("before", lambda: minutes.summed(now - 2 * CHART, now - CHART))
    tried = before.succeeded + before.retried + before.dead
    found = {}
    if tried:
        found["rate"] = _signed((series.succeeded + series.retried + series.dead) / tried * 100 - 100, " % in 15 min")
    if before.success_rate is not None and series.success_rate is not None:
        found["success"] = _signed((series.success_rate - before.success_rate) * 100, " points", places=2)
    then, first = notes[0]
    if now - then >= CHART - timedelta(minutes=1):
        for name in ("waiting", "dead", "workers"):
            found[name] = _signed(getattr(figures, name) - getattr(first, name))
    return {name: text for name, text in found.items() if text}


def _signed(value: float, unit: str = "", places: int = 0) -> str:
    """With its sign; empty when it rounds to nothing."""
    rounded = round(value, places)
    digits = f"{abs(rounded):,.{places}f}"
    digits = digits.rstrip("0").rstrip(".") if places else digits
    return f"{'+' if rounded > 0 else '−'}{digits}{unit}" if rounded else ""
