"""The search of every page: what a text may mean, and what there is of it, a few of each kind."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from monitoring import filters, limits
from monitoring.texts import first_line
from queues.selectors import batch_lists, batches, find, job_detail, operations

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found: what it is called, and what tells it from others. `exact`: that is what was asked
    for, and not a part of it."""

    url: str
    name: str
    note: str = ""
    state: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Things of one kind. `hits` is None where reading them took too long; the list at `url` has all of them."""

    kind: str
    hits: list[Hit] | None
    url: str = ""
    more: bool = False
    note: str = ""


def search(text: str) -> list[Group]:
    """What there is of it, by kind. Where something has it as its number, that alone."""
    number = filters.whole_number(text)
    groups = _numbered(number) if number is not None else []
    if not any(group.hits for group in groups):
        groups += [*_pairs(text), *_named(text)]
    return [group for group in groups if group.hits != []]


def only(groups: list[Group]) -> str:
    """The address of the one thing that was found, if this is its whole number or name; else empty."""
    # What was not read may hold another.
    if any(group.hits is None for group in groups):
        return ""
    hits = [hit for group in groups for hit in group.hits or ()]
    return hits[0].url if len(hits) == 1 and hits[0].exact else ""


def elsewhere(text: str) -> list[tuple[str, str]]:
    """Lists that look further than a search of everything can: address and words."""
    further = [
        (_address("causes", text=text), "Causes of dead letters by the text of their errors"),
        (_address("jobs", error=text), "Jobs by the text of an error"),
    ]
    if _pair(text):
        further.insert(0, (_address("jobs", payload=text), "Jobs by key and value in the payload"))
        further.insert(1, (_address("archive", payload=text), "Archived jobs by key and value in the payload"))
    return further


def _numbered(number: int) -> list[Group]:
    return [
        _group("Jobs", lambda: _job(number)),
        _group("Batches", lambda: [_batch(row, str(number)) for row in [batches.batch(number)] if row]),
        _group("Operations", lambda: [_operation(row) for row in [operations.operation(number)] if row]),
    ]


def _named(text: str) -> list[Group]:
    errors = f"by the errors of the newest {find.LETTERS:,} dead letters"
    return [
        _group("Batches", lambda: _batches(batch_lists.BatchQuery(name=text), text), _address("batches", name=text)),
        _group("Queues", lambda: _queues(text), _address("queues")),
        _group("Workers", lambda: _workers(text), _address("workers")),
        _group("Causes", lambda: _causes(text), _address("causes", text=text), note=errors),
    ]


def _pairs(text: str) -> list[Group]:
    pair = _pair(text)
    query = batch_lists.BatchQuery(metadata=(pair,)) if pair else None
    read = (lambda: _batches(query, text)) if query else list
    return [_group("Batches", read, _address("batches", meta=text), note="by their metadata")]


def _pair(text: str) -> tuple[str, str] | None:
    key, equals, value = text.partition("=")
    return (key.strip(), value.strip()) if equals and key.strip() else None


def _group(kind: str, read: Callable[[], list[Hit]], url: str = "", note: str = "") -> Group:
    hits = limits.attempt(read)
    return Group(kind, hits if hits is None else hits[:SHOWN], url, len(hits or ()) > SHOWN, note)


def _address(route: str, **chosen: str) -> str:
    return f"{reverse(route)}?{urlencode(chosen)}".rstrip("?")


def _job(number: int) -> list[Hit]:
    found = job_detail.job(number)
    note = f"in queue {found.queue}" if found else ""
    return [Hit(reverse("job", args=[number]), f"Job {number}", note, str(found.state), exact=True)] if found else []


def _operation(row: operations.OperationRow) -> Hit:
    note = first_line(f"{row.label}: {row.target}")
    return Hit(reverse("operation", args=[row.id]), f"Operation {row.id}", note, exact=True)


def _batches(query: batch_lists.BatchQuery, text: str) -> list[Hit]:
    return [_batch(row, text) for row in batch_lists.batch_page(query).rows[: SHOWN + 1]]


def _batch(row: batches.BatchRow, text: str) -> Hit:
    note = f"batch {row.id}, {row.total:,} jobs in queue {row.queue}"
    exact = _same(text, row.name, str(row.id))
    return Hit(reverse("batch", args=[row.id]), first_line(row.name) or "unnamed", note, str(row.state), exact)


def _queues(text: str) -> list[Hit]:
    names = find.queues_named(text, SHOWN + 1)
    return [Hit(reverse("queue", args=[name]), name, exact=_same(text, name)) for name in names]


def _workers(text: str) -> list[Hit]:
    return [_worker(one, text) for one in find.workers_named(text, SHOWN + 1)]


def _worker(one: find.WorkerName, text: str) -> Hit:
    exact = _same(text, one.name, str(one.id), one.id.hex)
    return Hit(reverse("worker", args=[one.id]), first_line(one.name), f"on {first_line(one.host)}", exact=exact)


def _same(text: str, *names: str) -> bool:
    """Whether the text is one of these names, in whatever case: that is how they are looked for."""
    return text.casefold() in (filters.storable(name).casefold() for name in names)


def _causes(text: str) -> list[Hit]:
    return [
        Hit(
            reverse("cause", args=[row.fingerprint]),
            first_line(row.error_class) or row.reason,
            f"{count:,} dead letter{'s' * (count != 1)}: {first_line(row.message)}",
            exact=_same(text, row.fingerprint),
        )
        for count, row in find.causes_with(text, SHOWN + 1)
    ]
