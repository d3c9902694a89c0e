"""Deleting dead letters: into the trash, with every count in step."""

import pytest

from queues.models import DeadLetter
from queues.selectors import batches
from queues.services.enqueue import enqueue_batch
from queues.services.operate import OperationRefused, start
from tests.checker import assert_sound
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


def test_the_counters_of_an_ended_batch_and_its_parent_follow(settings: object) -> None:
    settings.BATCH_MAX_JOBS = 3  # type: ignore[attr-defined]
    make_queue(max_attempts=1, chunk_size=3)
    parent = enqueue_batch("tested.do", [{"die": 1}, {}, {"die": 2}, {}, {}], split=True)
    drain()
    parent.refresh_from_db()
    assert (parent.state, parent.succeeded, parent.dead) == ("partial", 3, 2)
    operation = start(action="delete_dead", selection={"batch": parent.pk}, actor="ann", source="api")
    assert (operation.total, operation.changed, operation.skipped) == (2, 2, 0)
    parent.refresh_from_db()
    part = parent.parts.get(part=1)
    assert (parent.dead, part.dead, DeadLetter.objects.count()) == (0, 0, 0)
    counts = batches.batch_counts([parent.pk])[parent.pk]
    assert (counts.dead, counts.trashed) == (0, 2)
    assert_sound()


@pytest.mark.parametrize(
    "selection",
    [{}, {"job_ids": []}, {"job_ids": ["x"]}, {"job_ids": [1], "queue": "a"}, {"queue": "a\0"}, {"colour": "red"}],
)
def test_an_unusable_selection_is_refused(selection: dict[str, object]) -> None:
    with pytest.raises(OperationRefused):
        start(action="delete_dead", selection=selection, actor="ann", source="api")
