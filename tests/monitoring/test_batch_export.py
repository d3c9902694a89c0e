"""What a batch offers as files, and what it says where there is nothing to export."""

from collections.abc import Callable

import pytest
from django.test import Client

from queues.models import Queue
from queues.services.enqueue import enqueue_batch
from tests.monitoring.worlds import waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("viewer")


def test_results_that_are_not_kept_are_not_offered(viewer: Client) -> None:
    batch = waiting_batch()
    page = viewer.get(f"/batches/{batch.pk}/").content.decode()
    assert "/export/results" not in page and f"/batches/{batch.pk}/export/errors.csv" in page
    assert '<span class="muted" id="no-results">queue tested keeps no results</span>' in page
    assert 'role="link" aria-disabled="true"' in page
    for form in ("csv", "jsonl"):
        answer = viewer.get(f"/batches/{batch.pk}/export/results.{form}")
        assert answer.status_code == 404
        assert f"Queue tested keeps no results: there are none of batch {batch.pk}" in answer.content.decode()


def test_results_that_are_left_can_be_had_when_the_queue_keeps_none_any_more(viewer: Client) -> None:
    make_queue(keep_results=60.0)
    batch = enqueue_batch("tested.do", [{"value": 7}])
    drain()
    Queue.objects.update(keep_results=None)
    assert f"/batches/{batch.pk}/export/results.csv" in viewer.get(f"/batches/{batch.pk}/").content.decode()
    answer = viewer.get(f"/batches/{batch.pk}/export/results.csv")
    assert b"".join(answer.streaming_content).decode().splitlines()[1:] == [f"{batch.first_job_id},7"]  # type: ignore[attr-defined]
    assert "no-results" in viewer.get(f"/batches/{waiting_batch().pk}/").content.decode()


def test_a_queue_that_keeps_results_offers_them_before_there_are_any(viewer: Client) -> None:
    make_queue(keep_results=60.0)
    page = viewer.get(f"/batches/{waiting_batch().pk}/").content.decode()
    assert "Kept results CSV" in page and "no-results" not in page
