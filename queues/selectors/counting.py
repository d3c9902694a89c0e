"""Several counts at once, each of which ends early."""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet

from queues import store


def capped(most: int, *queries: "QuerySet[Any]") -> list[int]:
    """How many rows each query has, counted as far as `most`. One statement."""
    texts: list[str] = []
    values: list[Any] = []
    for query in queries:
        try:
            text, params = query.order_by().values_list("pk")[:most].query.sql_with_params()
        except EmptyResultSet:
            texts.append("0")
            continue
        texts.append(f"(SELECT COUNT(*) FROM ({text}) AS found)")  # noqa: S608
        values += params
    return list(store.select(f"SELECT {', '.join(texts)}", values)[0])
