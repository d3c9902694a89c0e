"""Handlers and a worker for tests: the real claim, run and settle, in this thread and without a keeper."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from queues import handlers, runner
from queues.domain.outcomes import Job, Reject
from queues.execution import Execution
from queues.models import Queue
from queues.services import claim as claim_service
from queues.services import finish
from queues.services.sync_queues import sync_slots

LEASE = 30.0


@handlers.handler(queue="tested", name="tested.do")
def do(job: Job) -> Any:
    """Does what the payload says: nothing, `{"die": 1}`, `{"fail": 1}` or `{"value": ...}`."""
    what = job.payload if isinstance(job.payload, dict) else {}
    if "die" in what:
        raise Reject(f"asked to die: {what['die']}")
    if "fail" in what:
        raise ValueError(f"asked to fail: {what['fail']}")
    return what.get("value")


@handlers.handler(queue="tested", name="tested.all", whole=True)
def do_all(jobs: list[Job]) -> None:
    """Accepts everything."""


def make_queue(name: str = "tested", **policy: Any) -> Queue:
    """A queue, archived at once unless said otherwise."""
    queue = Queue.objects.create(name=name, handler="tested.do", **{"archive_after": 0, **policy})
    sync_slots(queue=queue)
    return queue


def drain(name: str = "tested", *, runs: int = 10_000, want: int = 1_000) -> int:
    """Work on a queue until nothing is due; the number of runs made."""
    policy = claim_service.policy(queue_id=Queue.objects.get(name=name).pk)
    assert policy is not None
    for made in range(runs):
        claim = claim_service.claim(policy=policy, worker_id=uuid.uuid4(), want=want, lease=LEASE)
        if claim is None:
            return made
        claim_service.load(claim=claim)
        execution = Execution(claim, LEASE)
        runner.run(execution, handlers.find(claim.handler))
        execution.close()
        finish.finish(batches=claim.batch_ids)
    return runs


@contextmanager
def leased(name: str = "tested", *, want: int = 1_000) -> Iterator[Execution]:
    """A run in the middle of its work."""
    policy = claim_service.policy(queue_id=Queue.objects.get(name=name).pk)
    assert policy is not None
    claim = claim_service.claim(policy=policy, worker_id=uuid.uuid4(), want=want, lease=LEASE)
    assert claim is not None
    claim_service.load(claim=claim)
    execution = Execution(claim, LEASE)
    yield execution
    execution.close()
