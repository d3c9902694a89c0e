"""Two batches that end at the same moment: the one that waits for both starts once, and never not at all."""

import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import transaction

from queues.domain.outcomes import Reject
from queues.domain.records import Policy
from queues.execution import Execution
from queues.models import Batch, BatchLink, Chunk
from queues.services import claim as claim_service
from queues.services import finish
from queues.services.enqueue import enqueue_batch
from queues.services.link import LinkRefused, link
from tests.checker import assert_sound
from tests.concurrency.crew import traced_queue
from tests.concurrency.together import Team, together

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 300


def underway(queue_id: int, rounds: int) -> list[list[Execution]]:
    """Pairs of batches of one job each, held by runs; behind each pair waits a batch."""
    policy = claim_service.policy(queue_id=queue_id)
    assert policy is not None
    made = []
    while len(made) < rounds:
        with transaction.atomic():
            made += [_pair(policy) for _ in range(min(50, rounds - len(made)))]
    return made


def _pair(policy: Policy) -> list[Execution]:
    runs, before = [], []
    for _ in range(2):
        before.append(enqueue_batch("traced.quick", [1], queue="ending"))
        claim = claim_service.claim(policy=policy, worker_id=uuid.UUID(int=1), want=1, lease=600)
        assert claim is not None
        claim_service.load(claim=claim)
        runs.append(Execution(claim, 600))
    enqueue_batch("traced.quick", [1, 2], after=before, queue="later")
    return runs


def ender(pairs: list[list[Execution]], which: int) -> Iterator[list[int]]:
    """Ends one run and its batch of each pair; every third second one fails."""
    for turn, pair in enumerate(pairs):
        run = pair[which]
        if which and turn % 3 == 0:
            run.note(0, Reject("no"), 0.0)
        else:
            run.succeeded.append(0)
        run.close()
        yield finish.finish(batches=run.claim.batch_ids)


def test_whoever_ends_last_starts_what_waits_for_both() -> None:
    queue = traced_queue("ending", chunk_size=1, run_size=1)
    traced_queue("later")
    (pairs,) = together(lambda: underway(queue.pk, ROUNDS), timeout=120)
    first, second = ender(pairs, 0), ender(pairs, 1)
    Team([lambda: next(first), lambda: next(second)]).rounds(ROUNDS, lambda _: None, timeout=120)
    failed = (ROUNDS + 2) // 3
    assert Counter(Chunk.objects.filter(queue__name="later").values_list("state", "held_why")) == {
        ("ready", ""): ROUNDS - failed,
        ("cancelled", ""): failed,
    }
    assert Counter(Batch.objects.filter(queue__name="later").values_list("state", "stop_reason")) == {
        ("running", ""): ROUNDS - failed,
        ("cancelled", "upstream"): failed,
    }
    assert finish.sweep() == []
    assert_sound()


def test_a_batch_enqueued_while_the_one_before_ends_is_started_by_one_of_the_two() -> None:
    queue = traced_queue("ending", chunk_size=1, run_size=1)
    traced_queue("later")
    (pairs,) = together(lambda: underway(queue.pk, ROUNDS), timeout=120)
    ending = ender(pairs, 0)
    turns = iter([pair[0].claim.batch_ids[0] for pair in pairs])

    def follow() -> int:
        return enqueue_batch("traced.quick", [1], after=[next(turns)], queue="later").pk

    answers = Team([lambda: next(ending), follow]).rounds(ROUNDS, lambda _: None, timeout=120)
    made = [batch for _ended, batch in answers]
    assert Counter(Chunk.objects.filter(batch__in=made).values_list("state", "held_why")) == {("ready", ""): ROUNDS}
    assert BatchLink.objects.filter(after__in=made).count() == ROUNDS


def test_two_links_at_once_do_not_close_a_circle() -> None:
    traced_queue()
    pairs = [[enqueue_batch("traced.quick", [1]).pk for _ in range(2)] for _ in range(100)]
    forward, back = iter(pairs), iter(pairs)

    def linked(pair: list[int]) -> bool:
        try:
            link(*pair)
        except LinkRefused as error:
            assert "that would be a circle" in str(error)
            return False
        return True

    answers = Team([lambda: linked(next(forward)), lambda: linked(next(back)[::-1])]).rounds(
        100, lambda _: None, timeout=120
    )
    assert {sum(both) for both in answers} == {1}
    assert BatchLink.objects.count() == 100


def test_a_link_made_while_the_batch_before_ends_is_kept_by_one_of_the_two() -> None:
    queue = traced_queue("ending", chunk_size=1, run_size=1)
    traced_queue("later")
    waiting = [
        enqueue_batch("traced.quick", [1], queue="later").pk for _ in range(ROUNDS)
    ]  # older than what they wait for
    (pairs,) = together(lambda: underway(queue.pk, ROUNDS), timeout=120)
    ending, turns = ender(pairs, 0), iter(zip(pairs, waiting, strict=True))

    def follow() -> None:
        pair, batch = next(turns)
        link(pair[0].claim.batch_ids[0], batch)

    Team([lambda: next(ending), follow]).rounds(ROUNDS, lambda _: None, timeout=120)
    assert Counter(Chunk.objects.filter(batch__in=waiting).values_list("state", "held_why")) == {("ready", ""): ROUNDS}


@pytest.mark.parametrize("dies", [False, True])
def test_an_end_within_the_transaction_that_enqueues_the_next_is_not_missed_and_does_not_wait(
    dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = traced_queue("ending", chunk_size=1, run_size=1)
    traced_queue("later")
    (((run, _other),),) = together(lambda: underway(queue.pk, 1))
    run.succeeded.append(0)
    if dies:  # between its commit and what it does after it
        monkeypatch.setattr("queues.services.stages._after_commit", lambda *_: None)
    with transaction.atomic():
        batch = enqueue_batch("traced.quick", [1], after=run.claim.batch_ids, queue="later")
        assert together(lambda: (run.close(), finish.finish(batches=run.claim.batch_ids))[1], timeout=20) == [
            run.claim.batch_ids
        ]
    chunks = Chunk.objects.filter(batch=batch)
    assert chunks.get().state == ("held" if dies else "ready")
    finish.sweep()
    assert chunks.get().state == "ready"
