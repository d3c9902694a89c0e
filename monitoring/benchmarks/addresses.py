"""What is requested: every page, with the filters that people use. Made from the routes: no new one is missed."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import URLPattern, reverse

from monitoring import minutes, panels
from monitoring.urls import urlpatterns
from queues.benchmarks.fill import Filled
from queues.domain.states import BatchState, JobState
from queues.selectors import operations, recurring

# They show no figures: signing in and out, a pointer to a file, and what is there only after something was uploaded.
LEFT_OUT = frozenset({"login", "login-link", "logout", "favicon", "upload"})
# What an argument of a route can be beside the names and numbers of what there is.
WORDS = {"action": "retry", "verb": "retry", "kind": "errors", "form": "csv", "deed": "cancel"}


@dataclass(frozen=True, slots=True)
class Address:
    """One request. `name` is what the table says; the route alone where there is nothing to tell apart."""

    route: str
    name: str
    url: str


def all_of(filled: Filled) -> Iterator[Address]:
    """Every GET route of the console that has an example, each with its filters."""
    for route, pattern in _routes():
        if route == "panel":
            yield from _panels(filled)
            continue
        for suffix, arguments in _arguments(pattern, filled):
            plain = reverse(route, kwargs=arguments)
            yield Address(route, f"{route}{suffix}", plain)
            for query in _filters(route, filled) if not suffix else ():
                text = urlencode(query)
                yield Address(route, f"{route}?{text}", f"{plain}?{text}")


def without_example() -> list[str]:
    """Routes with an argument that is not known here: they would not be measured."""
    known = {*_examples(Filled("", "", 0, 0, 0, 0, 0, 0, "", {})), *WORDS}
    return [name for name, pattern in _routes() if set(pattern.pattern.converters) - known]


def _routes() -> Iterator[tuple[str, URLPattern]]:
    for pattern in urlpatterns:
        if isinstance(pattern, URLPattern) and pattern.name is not None and pattern.name not in LEFT_OUT:
            yield pattern.name, pattern


def _examples(filled: Filled) -> dict[str, list[tuple[str, object]]]:
    """What there is of each kind, with how the table tells it apart."""
    return {
        "batch_id": [("", filled.batch_waiting), (" (ended)", filled.batch_done), (" (failed)", filled.batch_dead)],
        "job_id": [("", filled.job_dead), (" (waiting)", filled.job_waiting), (" (archived)", filled.job_archived)],
        "name": [("", filled.queue)],
        "worker_id": [("", filled.worker)],
        "fingerprint": [("", filled.cause)],
        "operation_id": [("", None)],
        "schedule_id": [("", None)],
    }


def _arguments(pattern: URLPattern, filled: Filled) -> Iterator[tuple[str, dict[str, object]]]:
    wanted = set(pattern.pattern.converters)
    examples = _examples(filled)
    if not wanted <= examples.keys() | WORDS.keys():
        return
    if "operation_id" in wanted:
        examples["operation_id"] = [("", _operation())]
    if "schedule_id" in wanted:
        examples["schedule_id"] = [("", _schedule())]
    words: dict[str, object] = {name: WORDS[name] for name in wanted & WORDS.keys()}
    things = sorted(wanted - words.keys())
    if not things:
        yield "", words
        return
    first, *rest = things
    for suffix, value in examples[first]:
        yield suffix, {**words, first: value, **{name: examples[name][0][1] for name in rest}}


def _operation() -> int:
    found = operations.operation_page().rows
    return found[0].id if found else 0


def _schedule() -> int:
    found, _ = recurring.schedules_page()
    return found[0].id if found else 0


def _filters(route: str, filled: Filled) -> list[dict[str, object]]:
    queue, batch = filled.queue, filled.batch_dead
    states: list[dict[str, object]] = [{"state": state.value} for state in JobState]
    ends: list[dict[str, object]] = [{"state": state.value} for state in BatchState]
    filters: dict[str, list[dict[str, object]]] = {
        "overview": [{"window": name} for name in minutes.WINDOWS],
        "queue": [{"window": name} for name in minutes.WINDOWS],
        "batches": [
            *ends,
            {"queue": queue},
            {"state": "running", "queue": queue},
            {"name": "mailing 7"},
            {"name": "none of this name"},
        ],
        "jobs": [
            *states,
            *({**state, "queue": queue} for state in states),
            {"batch": filled.batch_waiting},
            {"batch": batch, "state": "dead"},
            {"error": "host-7", "state": "dead"},
            {"error": "no such text anywhere", "state": "dead"},
            {"error": "host-7"},
            {"state": "pending"},
            {"state": "pending", "batch": filled.batch_waiting},
            {"payload": f"user={filled.job_waiting}", "batch": filled.batch_waiting},
            {"payload": "user=0", "queue": queue},
            {"since": "1h"},
        ],
        "dead-letters": [
            {"queue": queue},
            {"batch": batch},
            {"cause": filled.cause},
            {"queue": queue, "cause": filled.cause},
            {"before": f"{1_000_000_000_000_000}-1"},
        ],
        "dead-letters-retry": [{"job": filled.job_dead}, {"all": 1, "cause": filled.cause}, {"all": 1, "queue": queue}],
        "dead-letters-delete": [{"job": filled.job_dead}, {"all": 1, "queue": queue}],
        "batches-act": [
            {"batch": filled.batch_waiting},
            {"batch": filled.batch_done},
            {"all": 1, "state": "running", "queue": queue},
            {"all": 1, "name": "mailing 7"},
        ],
        "archive-restore": [{"job": filled.job_archived}, {"all": 1, "state": "archived", "queue": queue}],
        "operate": [
            {"job": filled.job_dead},
            {"all": 1, "state": "dead"},
            {"all": 1, "state": "dead", "queue": queue},
            {"all": 1, "state": "cancelled", "queue": queue},
            {"all": 1, "state": "waiting", "queue": queue, "since": "1h"},
        ],
        "causes": [{"queue": queue}, {"batch": batch}],
        "runs": [{"state": "lost"}, {"state": "done"}, {"queue": queue}, {"worker": filled.worker}],
        "archive": [
            {"queue": queue},
            {"batch": filled.batch_done},
            {"outcome": "cancelled"},
            {"outcome": "cancelled", "queue": queue, "within": "all"},
            {"handler": "none.of.this.name", "queue": queue, "within": "all"},
            {"payload": "user=0", "within": "all"},
            {"within": "all"},
        ],
        "search": [
            *(dict[str, object](q=text) for text in (filled.job_dead, batch, queue, "mailing 7", "host-7", "no such")),
            {"q": f"user={filled.job_waiting}"},
        ],
        "trash": [{"queue": queue}],
        "workers": [{"queue": queue}, {"host": "none of this name"}],
        "schedules": [{"after": "m"}],
        "activity": [{"actor": "person-3"}, {"action": "queue.pause"}, {"target": queue}, {"source": "admin"}],
    }
    return filters.get(route, [])


def _panels(filled: Filled) -> Iterator[Address]:
    subjects = {
        "": "",
        "batch": str(filled.batch_waiting),
        "queue": filled.queue,
        "queue_window": f"{filled.queue} 24h",
        "window": "7d",
        "worker": filled.worker,
        "operation": str(_operation()),
        "cause": urlencode({"cause": filled.cause}),
        "job": str(filled.job_dead),
    }
    for name, panel in sorted(panels.PANELS.items()):
        # All other kinds are filters, of which the empty one asks for the most.
        query = urlencode({"subject": subjects.get(panel.about, "")})
        yield Address("panel", f"panel {name}", f"{reverse('panel', args=[name])}?{query}")
