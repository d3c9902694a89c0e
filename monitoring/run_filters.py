"""The filter of the list of runs: what an address means, and the one way to write it."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from monitoring import filters
from queues.domain.states import RunState
from queues.selectors import worker_health

KNOWN = ("queue", "worker", "state")
NOBODY = UUID(int=0)


def chosen(values: Mapping[str, str]) -> dict[str, str]:
    """The filter among the parameters of an address: known names with a value. An unknown state is no filter."""
    given = {name: filters.storable(values.get(name, ""))[: filters.LONGEST] for name in KNOWN}
    if given["state"] not in set(RunState):
        given["state"] = ""
    return {name: value for name, value in given.items() if value}


def parse(query_string: str) -> dict[str, str]:
    """The filter of a query string."""
    return chosen(dict(parse_qsl(query_string[:1_000])))


def canonical(query_string: str) -> str:
    """The one spelling of a filter."""
    return urlencode(parse(query_string))


def worker(text: str) -> UUID | None:
    """The worker of a filter, by name or the beginning of its id. One that is unknown matches none, rather than all."""
    if not text:
        return None
    try:
        return worker_health.named(text)
    except LookupError:
        return NOBODY
