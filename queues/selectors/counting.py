"""Several counts at once, each of which ends early."""

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import QuerySet

from queues import store
from queues.sql import statement


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
        texts.append(statement("part_count").format(part=text))
        values += params
    return list(store.select("counts", values, counts=", ".join(texts))[0])
