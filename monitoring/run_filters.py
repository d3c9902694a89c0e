"""The filter of the list of runs: what an address means, and the one way to write it."""

from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from monitoring import filters
from queues.domain.states import RunState
from queues.selectors import worker_health

KNOWN = ("queue", "worker", "state")
STATES = [state.value for state in RunState]


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value."""
    return filters.given(values, KNOWN)


def check(chosen: Mapping[str, str]) -> None:
    """Raise `Unclear` for a filter that cannot be understood."""
    filters.check_lengths(chosen)
    filters.one_of("State", chosen.get("state", ""), STATES)


def parse(query_string: str) -> dict[str, str]:
    """The filter of a query string. Raises `Unclear` for one that is too long."""
    return chosen(filters.pairs(query_string))


def canonical(query_string: str) -> str:
    """The one spelling of a filter. Raises `Unclear` for one that is too long."""
    return urlencode(parse(query_string))


def worker(text: str) -> UUID | None:
    """The worker of a filter, by name or the beginning of its id. Raises `Unclear` where that is none, or several."""
    try:
        return worker_health.named(text) if text else None
    except LookupError as error:
        raise filters.Unclear(f"Worker: {error}.") from None
