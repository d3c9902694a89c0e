"""What is new in the list of jobs: for the orders in which the newest comes first."""

from collections.abc import Sequence

from monitoring import job_filters, panels
from monitoring.panels import NEWS, Ask, Context, Panel
from monitoring.snapshot import Snapshot
from queues.domain.states import JobState
from queues.selectors import job_lists
from queues.selectors.job_walk import TooWide

# Lists that begin with what came last; in the others, what comes next is on top.
NEWEST_FIRST = ("", JobState.SUCCEEDED, JobState.DEAD, JobState.CANCELLED, JobState.TRASHED)


def tells_news(chosen: dict[str, str]) -> bool:
    """Whether the list under a filter can say how much it does not show."""
    searching = chosen.get("payload") or (chosen.get("error") and chosen.get("state") != JobState.DEAD)
    in_order = chosen.get("state", "") in NEWEST_FIRST and (
        "batch" not in chosen or chosen.get("state") == JobState.DEAD
    )
    return in_order and not searching


def job_news(ask: Ask) -> Context:
    """Keys of the newest jobs under a filter."""
    chosen = job_filters.parse(ask.subject)
    if not tells_news(chosen):
        return {"keys": []}
    try:
        query = job_filters.query(chosen)
        places = ask.snapshot.once(("job news", ask.subject), lambda: job_lists.newest_jobs(query, NEWS))
    except (job_filters.Unclear, TooWide):
        # The page itself says what is wrong.
        return {"keys": []}
    return {"keys": [job_filters.key(place) for place in places]}


def known(subject: str, places: Sequence[job_lists.Place]) -> Snapshot:
    """A reading that need not look for the newest jobs again: the page has just found them."""
    snapshot = Snapshot()
    snapshot.once(("job news", subject), lambda: places[:NEWS])
    return snapshot


def register() -> None:
    """Add the panel."""
    panels.add(Panel("job-news", job_news, about="jobs", every=2), jobs=job_filters.canonical)
