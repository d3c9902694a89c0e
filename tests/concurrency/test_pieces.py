"""kill -9 in a run that is settled piece by piece: no job of a settled piece runs again."""

import pytest

from queues.models import DeadLetter
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_the_piece_in_hand_runs_again(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=40, settle_jobs=10, max_attempts=1)
    payloads = ["kill" if n == 25 else n for n in range(40)]
    batch = enqueue_batch("traced.some_kill", payloads)
    with crew(worker_env, trace, "traced", children=1):
        wait_for(lambda: ended(batch), 60, "the batch")
    first = batch.first_job_id
    assert first is not None
    assert set(trace.repeated()) == set(range(first + 20, first + 25))
    assert DeadLetter.objects.get().job_id == first + 25
    assert (batch.succeeded, batch.dead) == (39, 1)
    assert_sound()
