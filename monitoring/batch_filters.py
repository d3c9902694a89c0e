"""The filter of the list of batches: what an address means, and the one way to write it."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from monitoring import filters
from monitoring.job_filters import Unclear, moment
from queues.domain.states import BatchState
from queues.selectors.batches import STANDINGS, TRASHED, BatchQuery

KNOWN = ("state", "queue", "name", "meta", "since", "until")
# In the order in which they are asked for; the empty one is all.
STATES = ("", "running", "paused", "waiting", "open", "pending", "partial", "failed", "completed", "cancelled", TRASHED)


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value. An unknown state is no filter."""
    given = {name: filters.storable(values.get(name, ""))[: filters.LONGEST] for name in KNOWN}
    if given["state"] not in {*BatchState, *STANDINGS, TRASHED}:
        given["state"] = ""
    return {name: value for name, value in given.items() if value}


def parse(query_string: str) -> dict[str, str]:
    """The filter of a query string."""
    return chosen(dict(parse_qsl(query_string[:2_000])))


def canonical(query_string: str) -> str:
    """The one spelling of a filter."""
    return urlencode(parse(query_string))


def query(values: Mapping[str, str]) -> BatchQuery:
    """Which batches are meant. Raises `Unclear`."""
    given = chosen(values)
    return BatchQuery(
        state=given.get("state", ""),
        queue=given.get("queue", ""),
        name=given.get("name", ""),
        metadata=_pairs(given.get("meta", "")),
        since=moment(given.get("since", ""), "From"),
        until=moment(given.get("until", ""), "To"),
    )


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise Unclear("Metadata: write key=value, as in tenant=acme.")
    return ((key.strip(), value.strip()),)
