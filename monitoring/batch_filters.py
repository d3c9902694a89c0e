"""The filter of the list of batches: what an address means, and the one way to write it."""

from collections.abc import Mapping
from urllib.parse import urlencode

from monitoring import filters
from monitoring.filters import Unclear
from monitoring.job_filters import moment
from queues.domain.states import BatchState
from queues.selectors.batch_lists import STANDINGS, TRASHED, BatchQuery

KNOWN = ("state", "queue", "name", "meta", "since", "until")
# In the order in which they are asked for; the empty one is all.
STATES = ("", "running", "paused", "waiting", "open", "pending", "partial", "failed", "completed", "cancelled", TRASHED)


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value."""
    return filters.given(values, KNOWN)


def parse(query_string: str) -> dict[str, str]:
    """The filter of a query string. Raises `Unclear` for one that is too long."""
    return chosen(filters.pairs(query_string))


def canonical(query_string: str) -> str:
    """The one spelling of a filter. Raises `Unclear` for one that is too long."""
    return urlencode(parse(query_string))


def query(values: Mapping[str, str]) -> BatchQuery:
    """Which batches are meant. Raises `Unclear`."""
    given = chosen(values)
    filters.check_lengths(given)
    # More than the tabs offer: a state that only addresses of other pages name is one too.
    filters.one_of("State", given.get("state", ""), dict.fromkeys([*STATES, *BatchState, *STANDINGS]))
    since, until = moment(given.get("since", ""), "From"), moment(given.get("until", ""), "To")
    filters.in_order(since, until)
    return BatchQuery(
        state=given.get("state", ""),
        queue=given.get("queue", ""),
        name=given.get("name", ""),
        metadata=_pairs(given.get("meta", "")),
        since=since,
        until=until,
    )


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise Unclear("Metadata: write key=value, as in tenant=acme.")
    return ((key.strip(), value.strip()),)
