"""What confirmed actions of the admin do: an operation on jobs, one on batches, or a service for each row."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet

from queues.admin_base import COUNTED
from queues.admin_confirm import NAMED, Notice, Question, counted, named
from queues.domain import batch_deeds
from queues.domain.batch_deeds import BATCH_DEEDS, BatchAction
from queues.domain.operating import DEEDS, Action
from queues.selectors import trash
from queues.services import operate, operate_batches, operation_wish
from queues.services.preview import preview_to

# Rows of one action that calls a service for each.
MOST_EACH = 1_000
_IN_TRASH = (Action.DELETE, Action.DELETE_DEAD, BatchAction.DELETE)


@dataclass(frozen=True, slots=True)
class OfJobs:
    """An operation on jobs: the keys of the rows are ids of jobs, `thing` is what these are called there."""

    action: Action
    thing: str = "job"
    most: int = COUNTED

    def ask(self, rows: "QuerySet[Any]", keys: list[Any], to: str) -> Question:
        """As the console asks: by the states of the jobs."""
        deed = DEEDS[self.action]
        choices = operation_wish.choices(self.action)
        found = preview_to(action=self.action, selection={"job_ids": keys}, to=to if to in choices else "")
        what = f"{deed.verb} {'' if found.exact else 'at least '}{counted(found.eligible, self.thing)}"
        return Question(
            title=f"{what}?",
            verb=what,
            consequence=deed.consequence + _way_back(self.action),
            which=f"{self.thing}{'' if len(keys) == 1 else 's'} {named(keys)}",
            count=found.eligible,
            jobs=found.eligible,
            left_alone=found.not_eligible,
            choices=choices,
            choice_name=deed.option,
            command=f"python {found.command}",
            dangerous=deed.dangerous,
        )

    def do(
        self, rows: "QuerySet[Any]", keys: list[Any], to: str, asked_at: str, who: Mapping[str, str]
    ) -> list[Notice]:
        """Begin the operation, and say how far it has come."""
        option = DEEDS[self.action].option
        options = {option: to} if option else {}
        selection = {"job_ids": keys, "until": asked_at}
        return [_told(operate.start(action=self.action.value, selection=selection, options=options, **who))]


@dataclass(frozen=True, slots=True)
class OfBatches:
    """An operation on whole batches."""

    action: BatchAction
    most: int = batch_deeds.MOST

    def ask(self, rows: "QuerySet[Any]", keys: list[Any], to: str) -> Question:
        """By how the batches stand, and how many jobs that is about."""
        deed, found = BATCH_DEEDS[self.action], operate_batches.preview(action=self.action.value, batches=keys)
        possible = len(found.eligible)
        what = f"{deed.verb} {counted(possible, 'batch', 'batches')}"
        title = f"{what}?" if possible == len(keys) else f"{deed.verb} {possible} of {len(keys)} batches?"
        return Question(
            title=title,
            verb=what,
            consequence=f"{deed.consequence}{_way_back(self.action)} It is about {counted(found.jobs, 'job')}.",
            which=f"{'batch' if len(keys) == 1 else 'batches'} {named(keys)}",
            count=possible,
            jobs=found.jobs,
            left_alone=found.not_eligible,
            command=f"python {found.command}",
            dangerous=deed.dangerous,
        )

    def do(
        self, rows: "QuerySet[Any]", keys: list[Any], to: str, asked_at: str, who: Mapping[str, str]
    ) -> list[Notice]:
        """Begin the operation, and say how far it has come."""
        return [_told(operate_batches.start(action=self.action.value, batches=keys, until=asked_at, **who))]


def _nothing(row: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class OfEach:
    """A service that is called for each row by itself, as `argument`: its attribute `value`.

    `label` is the attribute by which a person knows it, also on the command line. `why_not` says what stands against it
    before anybody asks the service, whose `refused` say it then. `said` is what came of one, where that is more than
    `past`; `jobs` the attribute with the number of its jobs; `once` the argument for a key, by which an answer that
    is sent twice makes nothing twice.
    """

    verb: str
    past: str
    thing: str
    consequence: str
    call: Callable[..., Any]
    argument: str
    refused: tuple[type[Exception], ...] = ()
    value: str = "pk"
    label: str = "pk"
    command: str = ""
    plural: str = ""
    why_not: Callable[[Any], str] = _nothing
    said: Callable[[Any], str] | None = None
    jobs: str = ""
    dangerous: bool = False
    once: str = ""
    most: int = MOST_EACH

    def ask(self, rows: "QuerySet[Any]", keys: list[Any], to: str) -> Question:
        """With those against which nothing stands."""
        found = list(rows.order_by("pk"))
        why = {row.pk: self.why_not(row) for row in found}
        possible = [row for row in found if not why[row.pk]]
        what = f"{self.verb} {counted(len(possible), self.thing, self.plural)}"
        jobs = sum(getattr(row, self.jobs) for row in possible) if self.jobs else 0
        about = f" It is about {counted(jobs, 'job')}." if self.jobs else ""
        return Question(
            title=f"{what}?",
            verb=what,
            consequence=self.consequence + about,
            which=named([getattr(row, self.label) for row in found]) or "none of them is there any more",
            count=len(possible),
            jobs=jobs,
            left_alone=dict(Counter(flaw for flaw in why.values() if flaw)),
            command=self._commands(possible),
            dangerous=self.dangerous,
        )

    def do(
        self, rows: "QuerySet[Any]", keys: list[Any], to: str, asked_at: str, who: Mapping[str, str]
    ) -> list[Notice]:
        """One after the other; what one of them refuses does not keep it from the others."""
        notices, done = [], 0
        for row in rows.order_by("pk"):
            if self.why_not(row):
                continue
            known = f"{self.thing.capitalize()} {getattr(row, self.label)}"
            try:
                once = {self.once: f"{self.verb} {getattr(row, self.label)}, asked {asked_at}"} if self.once else {}
                made = self.call(**{self.argument: getattr(row, self.value)}, **once, **who)
            except self.refused as error:
                notices.append((messages.WARNING, f"{known}: {error}"))
                continue
            done += 1
            if self.said:
                notices.append((messages.SUCCESS, f"{known}: {self.said(made)}."))
        if done and not self.said:
            notices.append((messages.SUCCESS, f"{done:,} {self.past}."))
        return notices

    def _commands(self, rows: list[Any]) -> str:
        if not self.command:
            return ""
        lines = [
            f"python manage.py {self.command.format(quote(str(getattr(row, self.label))))}" for row in rows[:NAMED]
        ]
        return "\n".join(lines + ["..."] * (len(rows) > NAMED))


def _way_back(action: Action | BatchAction) -> str:
    if action not in _IN_TRASH:
        return ""
    return f" For {trash.kept().total_seconds() / 3_600:g} hours they can be brought back from there."


def _told(operation: Any) -> Notice:
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in operation.outcomes.items())
    done = f"{operation.changed:,} of {operation.total:,} done, {operation.state}"
    said = f"Operation {operation.pk}: {done}" + (f" ({counts})." if counts else ".")
    goes = operation.changed or operation.state == "running"
    return (messages.SUCCESS if goes else messages.WARNING), said
