"""What is live of the causes of death: all under a filter, the first of them above the list of letters, and one."""

from urllib.parse import urlencode

from django.urls import reverse

from monitoring import charts, filters, panels
from monitoring.filters import Unclear
from monitoring.panels import Ask, Context, Gone, Panel
from monitoring.snapshot import Snapshot
from queues.selectors import causes
from queues.selectors.dead_letters import DeadLetterQuery

# Letters whose causes are shown above the list; all have a page of their own.
NEWEST = 5_000
FIRST = 5


def all_causes(ask: Ask) -> Context:
    """The causes under a filter, the most frequent first, with what can be done about each."""
    chosen = filters.parse(ask.subject)
    found = _listed(ask.snapshot, ask.subject)
    here = reverse("causes") + (f"?{ask.subject}" if ask.subject else "")
    lines = [
        {
            **_drawn(row),
            "letters": urlencode({**chosen, "cause": row.fingerprint}),
            "queues": [(name, urlencode({**chosen, "queue": name})) for name in row.queues],
        }
        for row in found.rows
    ]
    return {"causes": found, "lines": lines, "chosen": chosen, "query": ask.subject, "here": here}


def letter_causes(ask: Ask) -> Context:
    """The first of them, by the newest letters."""
    found = _listed(ask.snapshot, ask.subject, NEWEST)
    return {"causes": found, "lines": [_drawn(row) for row in found.rows[:FIRST]], "query": ask.subject}


def one_cause(ask: Ask) -> Context:
    """How many letters one cause has, and when they died."""
    row = cause(ask.snapshot, ask.subject)
    if row is None:
        raise Gone(f"cause {ask.subject}")
    return {
        "row": row,
        "query": ask.subject,
        "bars": _bars(row.trend),
        "day": sum(row.trend),
        "most": max(row.trend),
    }


def cause(snapshot: Snapshot, subject: str) -> causes.CauseLine | None:
    """The cause that a filter names; None when no letter matches any more. Raises `Unclear`."""
    query = _query(subject)
    return snapshot.once(("cause", subject), lambda: causes.cause(query, snapshot.now))


def register() -> None:
    """Make them known."""
    panels.add(
        Panel("causes", all_causes, about="filter", every=2),
        Panel("letter-causes", letter_causes, about="filter", every=2),
        Panel("cause-actions", one_cause, about="cause", every=2),
        Panel("cause-facts", one_cause, about="cause", every=2),
        Panel("cause-trend", one_cause, about="cause", every=4),
        cause=_of_one,
    )


def _of_one(subject: str) -> str:
    """The one spelling of a filter that names a cause. Raises `Gone`."""
    if not filters.parse(subject).get("cause"):
        raise Gone(f"cause {subject[:80]}")
    return filters.canonical(subject)


def _listed(snapshot: Snapshot, subject: str, most: int | None = None) -> causes.CauseList:
    query = _query(subject)
    return snapshot.once(("causes", subject, most), lambda: causes.cause_list(query, snapshot.now, most=most))


def _query(subject: str) -> DeadLetterQuery:
    chosen = filters.parse(subject)
    if flaw := filters.flaw(chosen):
        raise Unclear(flaw)
    return filters.dead_letter_query(chosen)


def _drawn(row: causes.CauseLine) -> dict[str, object]:
    return {"row": row, "spark": charts.sparkline(row.trend), "day": sum(row.trend)}


def _bars(trend: list[int]) -> list[tuple[int, float, float, int, int]]:
    """x, y, height, count and hours ago of each bar, in a drawing of 24 by 40."""
    top = max(trend) or 1
    return [
        (place, 40 - 38 * count / top, 38 * count / top, count, len(trend) - 1 - place)
        for place, count in enumerate(trend)
    ]
