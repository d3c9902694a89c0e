"""When a schedule is due. Pure: sets of minutes, hours and days and a time zone go in, times in UTC come out.

In spring a time that the clock leaps over is due as much later as the clock leaps: 02:30 at 03:30. In autumn, when an
hour comes twice, a time in it is due at its first coming only; where every hour is wanted, in both. No moment is ever
due twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice

# 29 February on a given weekday comes again after 40 years at the latest.
HORIZON = timedelta(days=15_000)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments whose local minute, hour, day, month and weekday (0 is Sunday) are all among the wanted ones."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    zone: tzinfo

    def due_times(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """All due times after `after` and up to `until`, in order."""
        last = after
        # A day earlier and later: zones have crossed the date line.
        day, end = after.astimezone(self.zone).date() - _DAY, until.astimezone(self.zone).date() + _DAY
        while day <= end:
            if self._wanted(day):
                for moment in sorted(self._moments(day)):
                    if last < moment <= until:
                        last = moment
                        yield moment
            day += _DAY

    def next(self, after: datetime) -> datetime | None:
        """The first due time after `after`; None when there is none in 40 years."""
        return next(islice(self.due_times(after, after + HORIZON), 1), None)

    def latest(self, first: datetime, now: datetime) -> tuple[datetime, int]:
        """The latest due time up to `now`, when `first` was due and is not later, and how many there were before it."""
        latest, before = first, 0
        for moment in self.due_times(first, now):
            latest, before = moment, before + 1
        return latest, before

    def _wanted(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _moments(self, day: date) -> Iterator[datetime]:
        folds = (0, 1) if len(self.hours) == 24 else (0,)
        for hour in self.hours:
            for minute in self.minutes:
                for fold in folds:
                    local = datetime(day.year, day.month, day.day, hour, minute, fold=fold, tzinfo=self.zone)
                    moment = local.astimezone(UTC)
                    # The second reading of a time that does not exist lies before the leap.
                    if fold == 0 or moment.astimezone(self.zone).hour == hour:
                        yield moment


@dataclass(frozen=True, slots=True)
class Every:
    """Due again and again after the same length of time, counted from the due time before."""

    step: timedelta

    def next(self, after: datetime) -> datetime | None:
        """One step later; None beyond the end of time."""
        try:
            return after + self.step
        except OverflowError:
            return None

    def latest(self, first: datetime, now: datetime) -> tuple[datetime, int]:
        """The latest due time up to `now`, when `first` was due and is not later, and how many there were before it."""
        steps = max(0, (now - first) // self.step)
        return first + steps * self.step, steps
