"""Operations on jobs that workers are busy with: each job has one end, and every count agrees."""

import pytest

from queues.models import Job, Operation, TrashedJob
from queues.services import operate
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def settled(operations: list[Operation]) -> bool:
    """Go on with the operations; whether all of them have ended."""
    operate.advance_all()
    for operation in operations:
        operation.refresh_from_db()
    return all(operation.state == "done" for operation in operations)


def test_jobs_are_moved_cancelled_and_deleted_under_their_workers(worker_env: dict[str, str], trace: Trace) -> None:
    traced_queue(chunk_size=20, run_size=40)
    traced_queue("other", chunk_size=20)
    batch = enqueue_batch("traced.slow", [4] * 3_000)
    low, high = batch.first_job_id or 0, batch.last_job_id or 0
    jobs = range(low, high + 1)
    wanted = [
        ("priority", {"priority": "high"}, jobs[::3]),
        ("cancel", {}, jobs[1::7]),
        ("delete", {}, jobs[2::11]),
        ("queue", {"queue": "other"}, jobs[5::13]),
    ]
    with crew(worker_env, trace, "traced", "other", children=2) as workers:
        wait_for(trace.count, 20, "the first job")
        operations = [
            operate.start(
                action=action, selection={"job_ids": list(chosen)}, options=options, actor="ann", source="api"
            )
            for action, options, chosen in wanted
        ]
        wait_for(lambda: settled(operations), 60, "the operations to end")
        back = operate.undo(operation_id=operations[2].pk, actor="ann", source="api")
        wait_for(lambda: settled([back]), 30, "the undo to end")
        wait_for(lambda: ended(batch), 60, "the batch to end")
        workers.stop()
    cancelled = set(Job.objects.filter(own_state="cancelled").values_list("pk", flat=True))
    assert (batch.succeeded, batch.cancelled, batch.dead) == (3_000 - len(cancelled), len(cancelled), 0)
    assert len(cancelled) == operations[1].changed
    assert set(trace.jobs()) == set(jobs) - cancelled
    assert set(trace.jobs().values()) == {1}
    assert TrashedJob.objects.count() == 0
    assert operations[2].changed == back.changed
    assert all(operation.changed for operation in operations)
    for operation in operations:
        assert operation.changed + operation.skipped == operation.total == sum(operation.outcomes.values())
    assert_sound()
