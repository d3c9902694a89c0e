"""What people did, as marks on a chart over time. Pure but for one bounded query."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring import activity as places
from monitoring.charts import WIDTH
from monitoring.series import Series
from queues.selectors import activity

MOST = 40
# Marks that are told in words below the chart.
TOLD = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """One deed: where it stands on the chart, and what it was."""

    x: float
    entry: activity.Entry
    url: str


@dataclass(frozen=True, slots=True)
class Marks:
    """The deeds of a chart's time, the last first."""

    all: list[Mark]
    since: datetime

    @property
    def told(self) -> list[Mark]:
        """The last ones."""
        return self.all[:TOLD]

    @property
    def more(self) -> int:
        """How many others."""
        return len(self.all) - len(self.told)


def marks(series: Series, target: str = "") -> Marks:
    """The deeds within a series, of one target or of all."""
    first, last = series.points[0].start, series.points[-1].start
    span = (last - first).total_seconds() + series.bucket
    found = activity.deeds(first, MOST, until=last + timedelta(seconds=series.bucket), target=target)
    return Marks([Mark(_x(one.at, first, span), one, places.link(one)) for one in found], first)


def _x(at: datetime, first: datetime, span: float) -> float:
    return round(min(1.0, (at - first).total_seconds() / span) * WIDTH, 1)
