"""SQL expressions that several reads share."""

from datetime import UTC, datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    Aggregate,
    BigIntegerField,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    Subquery,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Extract

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


class BoundedSums(Subquery):
    """Sums over a sub-select: [sum where due, sum where not due, rows seen].

    The sub-select must yield `jobs` and `due`. A slice of it bounds the work however long the backlog is;
    Django can aggregate over a slice only for a whole query, not for each row of another one.
    """

    template = (
        "(SELECT ARRAY[COALESCE(SUM(bounded.jobs) FILTER (WHERE bounded.due), 0),"
        " COALESCE(SUM(bounded.jobs) FILTER (WHERE NOT bounded.due), 0), COUNT(*)]::bigint[]"
        " FROM (%(subquery)s) AS bounded)"
    )
    output_field = ArrayField(BigIntegerField())
