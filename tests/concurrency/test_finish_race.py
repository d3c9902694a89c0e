"""Two last chunks of a batch settled at the same moment: the batch ends once."""

import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest
from django.db import transaction

from queues.domain.outcomes import Reject
from queues.domain.records import Policy
from queues.execution import Execution
from queues.models import Batch, Job, Run
from queues.services import claim as claim_service
from queues.services import finish
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import traced_queue
from tests.concurrency.together import Team, together

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 1_000


def underway(queue_id: int, batches: int) -> list[list[Execution]]:
    """Batches of two jobs in two chunks; each chunk is held by a run of its own."""
    policy = claim_service.policy(queue_id=queue_id)
    assert policy is not None
    made = []
    while len(made) < batches:
        with transaction.atomic():  # some at a time: a claim walks over what its own transaction has claimed before
            made += [_pair(policy) for _ in range(min(50, batches - len(made)))]
    return made


def _pair(policy: Policy) -> list[Execution]:
    enqueue_batch("traced.quick", [1, 2], chunk_size=1, queue="ending", callback="traced.quick")
    runs = []
    for _ in range(2):
        claim = claim_service.claim(policy=policy, worker_id=uuid.UUID(int=1), want=1, lease=600)
        assert claim is not None
        claim_service.load(claim=claim)
        runs.append(Execution(claim, 600))
    return runs


def end(run: Execution, fails: bool) -> list[int]:
    """The run ends, and if that was the last of its batch, the batch; which were."""
    if fails:
        run.note(0, Reject("no"), 0.0)
    else:
        run.succeeded.append(0)
    run.close()
    return finish.finish(batches=run.claim.batch_ids)


def ender(pairs: list[list[Execution]], which: int) -> Iterator[list[int]]:
    """Ends one run of each pair, one at a time; every third second run fails."""
    for turn, pair in zip(count(), pairs, strict=False):
        yield end(pair[which], fails=bool(which) and turn % 3 == 0)


def test_a_batch_ends_once_whoever_settles_last() -> None:
    traced_queue()  # where the callbacks go
    queue = traced_queue("ending", chunk_size=1, run_size=1)
    (pairs,) = together(lambda: underway(queue.pk, ROUNDS), timeout=600)
    first, second = ender(pairs, 0), ender(pairs, 1)
    answers = Team([lambda: next(first), lambda: next(second)]).rounds(ROUNDS, lambda _: None)
    assert {len(one) + len(other) for one, other in answers} == {1}
    assert Counter(Batch.objects.values_list("state", "generation")) == {
        ("completed", 1): ROUNDS - (ROUNDS + 2) // 3,
        ("partial", 1): (ROUNDS + 2) // 3,
    }
    assert Job.objects.filter(batch=None).count() == ROUNDS  # one callback each
    assert set(Run.objects.values_list("state", flat=True)) == {"done"}
    assert_sound()
