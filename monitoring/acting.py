"""Acting on many jobs: what an address or form says, and the same for the services.

Any page can link to the question with `address(...)`; the parameters are those of the lists: `job` (repeated); or
`all=1` with a filter (`state`, `queue`, `batch`, `cause`, `handler`, `why`, `text`, `since`, `before`), where a state
alone means all of it; or `operation`, what that one has deleted; and `to`, the new priority or queue; `next`, where to
go afterwards. Of archived jobs also `outcome`. The span from `since` to `before` is about the time by which the list of
such jobs is ordered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from monitoring import filters
from queues.domain.operating import ARCHIVED, DEEDS, Action, Deed
from queues.domain.states import Outcome
from queues.selectors import clock

MOST_PICKED = 500
# Of those that were picked, the first are named in words.
NAMED = 10
# In an address, and in a selection.
_NAMES = {"queue": "queue", "batch": "batch", "cause": "fingerprint", "handler": "handler", "why": "reason"}
_NAMES |= {"text": "text", "outcome": "outcome"}
# By these a list is filtered, and nothing is done with all that it shows.
_LISTS_ONLY = ("name", "error", "payload", "within")
_SCOPES = {
    "queue": "of queue", "batch": "of batch", "cause": "with cause", "handler": "of handler", "why": "because of",
    "text": "with the text", "since": "of the last", "before": "before", "outcome": "that ended as",
}  # fmt: skip


def address(action: str, *, jobs: Iterable[int] = (), back: str = "", **chosen: Any) -> str:
    """The page that asks whether to do this with these jobs, or with all that match a filter."""
    pairs = [("job", str(job)) for job in jobs] + [(name, str(value)) for name, value in chosen.items() if value]
    if not jobs and "operation" not in chosen:
        pairs.append(("all", "1"))
    return f"{reverse('operate', args=[action])}?{urlencode([*pairs, *([('next', back)] if back else [])])}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was picked: single jobs, or everything under a filter that was there when it was asked for."""

    action: Action
    job_ids: list[int]
    chosen: dict[str, str]
    everything: bool
    operation: int | None
    to: str
    until: datetime | None = None
    top: int | None = None

    @property
    def deed(self) -> Deed:
        """The action in words."""
        return DEEDS[self.action]

    @property
    def state(self) -> str:
        """Which state of jobs the filter is about."""
        return self.chosen.get("state") or self.deed.state

    @property
    def selection(self) -> dict[str, Any]:
        """As the service takes it; empty when nothing was picked."""
        bounds = {"until": self.until.isoformat()} if self.until else {}
        if self.job_ids:
            return {"job_ids": self.job_ids, **bounds}
        if self.operation:
            return {"state": "trashed", "operation": self.operation}
        found: dict[str, Any] = {_NAMES[name]: self.chosen[name] for name in _NAMES if name in self.chosen}
        if "batch" in found:
            # What is no number matches none, rather than all.
            found["batch"] = filters.whole_number(found["batch"]) or 2**63 - 1
        until = self.until
        if until and (since := filters.died_since(self.chosen, lambda: until)):
            found["since"] = since.isoformat()
        if until and (before := filters.moment(self.chosen.get("before", ""), lambda: until)):
            found["before"] = before.isoformat()
        if not found and not self.everything:
            return {}
        return {**found, **({} if found else {"all": True}), "state": self.state, **bounds} | (
            {"top": self.top} if self.top is not None else {}
        )

    @property
    def options(self) -> dict[str, Any]:
        """What else the action needs."""
        return {self.deed.option: self.to} if self.deed.option and self.to else {}

    @property
    def fields(self) -> list[tuple[str, str]]:
        """As a form sends it back, with the bounds of the question."""
        bounds = [("until", filters.seal(self.until))] if self.until else []
        if self.job_ids:
            return [("job", str(job_id)) for job_id in self.job_ids] + bounds
        if self.operation:
            return [("operation", str(self.operation))]
        return [("all", "1"), *self.chosen.items(), *bounds, *([("top", str(self.top))] if self.top else [])]

    @property
    def things(self) -> tuple[str, str]:
        """What they are called, one and many."""
        if self.action in (Action.RETRY_DEAD, Action.DELETE_DEAD) or (not self.job_ids and self.state == "dead"):
            return "dead letter", "dead letters"
        if self.state == "trashed":
            return "deleted job", "deleted jobs"
        if self.state == ARCHIVED:
            return "archived job", "archived jobs"
        word = "" if self.job_ids else {"pending": "waiting"}.get(self.state, self.state) + " "
        return f"{word}job", f"{word}jobs"

    @property
    def scope(self) -> str:
        """In words."""
        if self.operation:
            return f"of operation {self.operation}"
        words = [(_SCOPES[name], name, value) for name, value in self.chosen.items() if name in _SCOPES]
        return " ".join(
            f"{'since' if name == 'since' and not filters.SPAN.fullmatch(value) else word} {value}"
            for word, name, value in words
        )

    @property
    def which(self) -> str:
        """Every one that is meant, as a sentence names them."""
        if not self.job_ids:
            return f"every {self.things[0]} {self.scope}".rstrip()
        named = ", ".join(map(str, self.job_ids[:NAMED]))
        more = f" and {len(self.job_ids) - NAMED:,} more" if len(self.job_ids) > NAMED else ""
        return f"{self.things[len(self.job_ids) > 1]} {named}{more}"


def picked(values: Any) -> list[int]:
    """The single jobs that an address or a form names. Raises `filters.Unclear` for more than can be: none drops."""
    found = values.getlist("job")
    if len(found) > MOST_PICKED:
        raise filters.Unclear(f"job: {len(found):,} are picked, and at most {MOST_PICKED} can be at once.")
    return sorted({number for text in found if (number := filters.whole_number(text))})


def wanted(action: Action, values: Any) -> Wanted:
    """What an address or a form says. Raises `filters.Unclear` for a filter that is none: it must not mean more."""
    named = picked(values)
    # A filter counts when it is said that all under it are meant; without a filter, a state must be named.
    everything = bool(values.get("all")) and not named
    for name in _LISTS_ONLY if everything else ():
        if values.get(name):
            raise filters.Unclear(f"{name}: all that match this cannot be meant. Pick the jobs, or leave it out.")
    given = filters.chosen(values) if everything else {}
    chosen = {name: value for name, value in given.items() if name == "state" or name in _SCOPES}
    if everything:
        archived = chosen.get("state", DEEDS[action].state) == ARCHIVED
        chosen |= filters.given(values, ("outcome", "before") if archived else ("before",))
        _check_ends(chosen)
    if flaw := filters.flaw(chosen):
        raise filters.Unclear(flaw)
    operation = None if named else filters.whole_number(values.get("operation", ""))
    return Wanted(
        action=action,
        job_ids=named,
        chosen={} if operation else chosen,
        everything="state" in chosen,
        operation=operation,
        to=filters.bounded(values.get("to", "")),
        until=filters.unseal(values.get("until", "")),
        top=filters.whole_number(values.get("top", "")) if not named else None,
    )


def _check_ends(chosen: Mapping[str, str]) -> None:
    """Raise `filters.Unclear` for what says nothing about the time or the end of a job."""
    filters.one_of("Outcome", chosen.get("outcome", ""), [outcome.value for outcome in Outcome])
    if "before" in chosen and filters.moment(chosen["before"], clock.database_now) is None:
        raise filters.Unclear("To: write so long ago, as 15m, 2h or 7d, or a time, as 2026-01-31 14:00 (UTC).")
