"""Counts and parts that are composed of the statements of several queries."""

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from queues.models import Batch, Chunk, Queue
from queues.selectors.counting import capped
from queues.selectors.job_walk import Parts, Walk
from queues.services.enqueue import enqueue_batch
from tests.queues.working import do, make_queue

pytestmark = pytest.mark.django_db


def _two_queues() -> tuple[Queue, Queue]:
    first, second = make_queue("first", chunk_size=1), make_queue("second", chunk_size=2)
    enqueue_batch(do, [{}] * 3, queue="first")
    enqueue_batch(do, [{}] * 4, queue="second", name="a 'quoted' %s name")
    return first, second


def test_several_counts_end_at_the_most_and_take_one_statement() -> None:
    _two_queues()
    with CaptureQueriesContext(connection) as told:
        found = capped(
            3,
            Chunk.objects.all(),
            Chunk.objects.filter(queue__name="second"),
            Batch.objects.none(),
            Batch.objects.filter(name__contains="'quoted' %s"),
            Batch.objects.order_by("-pk"),
        )
    assert (found, len(told)) == ([3, 2, 0, 1, 2], 1)


def test_parts_are_walked_and_counted_as_one_list() -> None:
    first, second = _two_queues()
    parts = Parts(Chunk.objects.all(), ("queue_id",), [(first.pk,), (second.pk,)])
    ids = list(Chunk.objects.order_by("pk").values_list("pk", flat=True))
    with CaptureQueriesContext(connection) as told:
        up, down = (Walk(parts, "", "id", descending=way).rows(("queue_id",), None, 4) for way in (False, True))
    assert [row[1] for row in up] == ids[:4]
    assert [row[1] for row in down] == ids[:0:-1]
    assert {row[2] for row in down} == {first.pk, second.pk}
    assert len(told) == 2
    assert Walk(parts, "", "id", descending=False).rows((), (0, ids[2]), 3, skip=1) == [(0, ids[3]), (0, ids[4])]
    assert parts.counts(["id"], 2, F("size")) == [(2, 2), (2, 4)]
    assert (parts.total(["id"], 4), parts.total((), 9)) == (4, 5)


def test_parts_of_nothing_are_empty() -> None:
    for parts in (Parts(Chunk.objects.none()), Parts(Chunk.objects.all(), ("queue_id",), [])):
        assert Walk(parts, "", "id", descending=False).rows((), None, 5) == []
        assert (parts.counts(["id"], 2, F("size")), parts.total((), 2)) == ([], 0)
