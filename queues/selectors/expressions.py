"""SQL expressions that several reads share."""

from datetime import UTC, datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    Aggregate,
    BigIntegerField,
    Case,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    SmallIntegerField,
    Subquery,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Extract

from queues.domain.states import HeldWhy

# Jobs of a chunk that are neither done nor cancelled: waiting while it is ready, running while it is leased.
UNENDED = F("size") - F("succeeded") - F("cancelled")


def seconds_between(start: Combinable, end: Combinable) -> Combinable:
    """`end - start` as a number of seconds."""
    span = ExpressionWrapper(end - start, output_field=DurationField())
    return Extract(span, "epoch", output_field=FloatField())


def time_bucket(moment: str, seconds: int) -> Combinable:
    """The start of the bucket of so many seconds, counted from 1970, in which a time lies.

    `date_bin` is whole-number arithmetic; `extract(epoch)` makes a numeric of each row, which takes four times as
    long as reading the row.
    """
    width, origin = Value(timedelta(seconds=seconds)), Value(datetime(1970, 1, 1, tzinfo=UTC))
    return Func(width, F(moment), origin, function="date_bin", output_field=DateTimeField())


class Percentile(Aggregate):
    """`percentile_cont`: null when there is nothing to rank."""

    function = "percentile_cont"
    name = "Percentile"
    template = "%(function)s(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, expression: str, fraction: float) -> None:
        super().__init__(expression, fraction=repr(float(fraction)))


def ready_kind(now: datetime) -> Case:
    """How a ready chunk stands, as a number to sum by: 0 due, 1 scheduled, 2 waiting for its next try."""
    return Case(When(run_at__lte=now, then=0), When(is_retry=True, then=2), default=1, output_field=SmallIntegerField())


# How a parked chunk stands, as a number to sum by: 0 dead, 1 in the trash.
PARKED_KIND = Case(When(held_why=HeldWhy.DEAD, then=0), default=1, output_field=SmallIntegerField())


class BoundedSums(Subquery):
    """Sums over a sub-select by kind, and what was seen of it: [sum of kind 0, of kind 1, of kind 2, rows].

    The sub-select must yield `jobs` and `kind`. A slice of it bounds the work however long the backlog is;
    Django can aggregate over a slice only for a whole query, not for each row of another one.
    """

    template = (
        "(SELECT ARRAY[COALESCE(SUM(bounded.jobs) FILTER (WHERE bounded.kind = 0), 0),"
        " COALESCE(SUM(bounded.jobs) FILTER (WHERE bounded.kind = 1), 0),"
        " COALESCE(SUM(bounded.jobs) FILTER (WHERE bounded.kind = 2), 0), COUNT(*)]::bigint[]"
        " FROM (%(subquery)s) AS bounded)"
    )
    output_field = ArrayField(BigIntegerField())
