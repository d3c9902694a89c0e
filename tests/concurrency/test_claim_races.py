"""Several workers claim at the same moment."""

import uuid
from collections import Counter
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.db.models import F

from queues.domain.records import Claim
from queues.models import Chunk, Queue, QueueSlot, Run
from queues.services import claim as claim_service
from queues.services import reap, settle
from queues.services.enqueue import enqueue_batch
from queues.services.sync_queues import sync_slots
from tests.checker import assert_sound
from tests.concurrency.crew import traced_queue
from tests.concurrency.together import Team, together

pytestmark = pytest.mark.django_db(transaction=True)


def claimer(queue: Queue, want: int):
    """A worker that takes so many jobs."""
    policy = claim_service.policy(queue_id=queue.pk)
    assert policy is not None
    return lambda: claim_service.claim(policy=policy, worker_id=uuid.uuid4(), want=want, lease=30)


def end(claim: Claim) -> None:
    """The run ends well."""
    settle.settle_whole(claim=claim, step=0, timing=settle.Timing())


def test_no_chunk_is_given_to_two_of_eight_workers() -> None:
    queue = traced_queue(chunk_size=1)
    rounds = Team([claimer(queue, 3)] * 8).rounds(60, lambda _: enqueue_batch("traced.quick", range(24)))
    taken = Counter(chunk.id for answers in rounds for claim in answers if claim for chunk in claim.chunks)
    assert set(taken.values()) == {1}
    assert Chunk.objects.filter(state="leased").count() == len(taken) > 60 * 20


def test_two_workers_never_fire_one_flush_twice() -> None:
    queue = traced_queue(flush_jobs=10, run_size=1_000)

    def prepare(_turn: int) -> None:
        Chunk.objects.all().delete()
        enqueue_batch("traced.quick", range(13), chunk_size=1)

    rounds = Team([claimer(queue, 1_000)] * 4).rounds(100, prepare)
    assert {sum(claim is not None for claim in answers) for answers in rounds} <= {0, 1}
    fired = [sum(c.size for c in claim.chunks) for answers in rounds for claim in answers if claim]
    assert min(fired) >= 10
    assert len(fired) > 50


def test_a_flush_counts_only_what_this_worker_could_lock() -> None:
    queue = traced_queue(flush_jobs=10)
    enqueue_batch("traced.quick", range(13), chunk_size=1)
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT FROM queues_chunk ORDER BY id LIMIT 5 FOR UPDATE")
        assert claimer(queue, 1_000)() is None
    claim = claimer(queue, 1_000)()
    assert claim is not None and len(claim.chunks) == 13


def test_eight_workers_never_overshoot_the_runs_of_a_limited_queue() -> None:
    queue = traced_queue(chunk_size=1, max_runs=3)
    sync_slots(queue=queue)
    enqueue_batch("traced.quick", range(2_000))
    take = claimer(queue, 1)
    most = 0

    def work() -> None:
        nonlocal most
        if claim := take():
            most = max(most, Run.objects.filter(state="running").count())
            end(claim)

    Team([work] * 8).rounds(60, lambda _: None)
    assert most == 3
    assert not QueueSlot.objects.filter(run_id__isnull=False).exists()
    assert_sound()


def test_eight_workers_together_keep_a_rate_limit() -> None:
    queue = traced_queue(chunk_size=1, rate_limit=0.001, rate_burst=25)
    Queue.objects.update(rate_filled_at=F("rate_filled_at") - timedelta(days=1))
    enqueue_batch("traced.quick", range(500))
    claims = [claim for claim in together(*[claimer(queue, 7)] * 8) if claim]
    # What is left of a token lets one more through, as a debt.
    assert sum(len(claim.chunks) for claim in claims) in (25, 26)
    assert -1 < Queue.objects.get().rate_tokens < 1
    assert claimer(queue, 7)() is None or Queue.objects.get().rate_tokens < 0


def test_a_renewal_and_a_reaper_do_not_both_win() -> None:
    queue = traced_queue(chunk_size=1)
    take = claimer(queue, 1)
    held: list[Claim] = []

    def prepare(_turn: int) -> None:
        enqueue_batch("traced.quick", [1])
        claim = take()
        assert claim is not None
        held.append(claim)
        Run.objects.filter(pk=claim.run_id).update(lease_until="2000-01-01T00:00Z")

    def renew() -> bool:
        from queues import store

        return bool(store.row("renew", run=held[-1].run_id, lease=30.0, batches=[])[0])

    rounds = Team([renew, lambda: reap.reap_run(run_id=held[-1].run_id)]).rounds(150, prepare)
    assert {renewed + reaped for renewed, reaped in rounds} == {1}
    for claim, (renewed, _) in zip(held, rounds, strict=True):
        assert Run.objects.get(pk=claim.run_id).state == ("running" if renewed else "lost")
    assert_sound()


def test_two_reapers_take_a_run_once() -> None:
    queue = traced_queue(chunk_size=1)
    take = claimer(queue, 1)

    def prepare(_turn: int) -> None:
        enqueue_batch("traced.quick", range(3))
        while take():
            pass
        Run.objects.filter(state="running").update(lease_until="2000-01-01T00:00Z")

    rounds = Team([reap.reap, reap.reap]).rounds(12, prepare)
    assert sum(map(sum, rounds)) == Run.objects.filter(state="lost").count()
    assert not Run.objects.filter(state="running").exists()
    assert_sound()
