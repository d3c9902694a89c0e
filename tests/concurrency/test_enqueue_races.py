"""Several callers enqueue at the same moment."""

import itertools
import threading

import pytest
from django.db import transaction

from queues import store
from queues.models import Batch, Chunk, Job, JobKey
from queues.services.enqueue import EnqueueError, enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import traced_queue
from tests.concurrency.together import Team, together

pytestmark = pytest.mark.django_db(transaction=True)


def test_id_blocks_of_eight_enqueuers_never_overlap() -> None:
    sizes = (1, 7, 200, 2_000, 3, 50, 1, 999)
    works = [lambda n=n: store.one("reserve_ids", sequence="queues_job_id_seq", wanted=n) for n in sizes]
    rounds = Team(works).rounds(200, lambda _: None)
    blocks = sorted((first, size) for answers in rounds for first, size in zip(answers, sizes, strict=True))
    for (first, size), (following, _) in itertools.pairwise(blocks):
        assert first + size <= following


def test_batches_of_eight_enqueuers_have_their_own_ids() -> None:
    traced_queue(chunk_size=100)
    batches = together(*[lambda n=n: enqueue_batch("traced.quick", [n] * (500 + n)) for n in range(8)])
    for number, batch in enumerate(batches):
        jobs = Job.objects.filter(batch=batch).values_list("pk", "payload")
        assert len(jobs) == 500 + number and {payload for _, payload in jobs} == {str(number)}
        assert all(batch.first_job_id <= job <= batch.last_job_id for job, _ in jobs)
    assert_sound()


def test_an_enqueuer_with_a_long_transaction_holds_up_nobody() -> None:
    traced_queue()
    with transaction.atomic():
        enqueue_batch("traced.quick", range(10))
        assert together(lambda: enqueue_batch("traced.quick", range(10)).total, timeout=10) == [10]


def test_keys_in_opposite_orders_never_deadlock() -> None:
    traced_queue()
    keys = [f"k{n:04}" for n in range(300)]

    def take(items: list[str]) -> int:
        return enqueue_batch("traced.quick", items, key=str).total

    def clear(_turn: int) -> None:
        JobKey.objects.all().delete()

    rounds = Team([lambda: take(keys), lambda: take(keys[::-1])]).rounds(40, clear)
    assert {sum(answers) for answers in rounds} == {300}


def test_one_key_at_once_is_taken_once() -> None:
    traced_queue()
    works = [lambda: enqueue("traced.quick", 1, key="the one")] * 6
    rounds = Team(works).rounds(30, lambda _: JobKey.objects.all().delete())
    assert {sum(job is not None for job in answers) for answers in rounds} == {1}
    assert Job.objects.count() == Chunk.objects.count() == 30


def test_two_callers_with_the_same_idempotency_key_get_the_same_batch() -> None:
    traced_queue()
    turn = 0

    def call() -> int:
        return enqueue_batch("traced.quick", range(100), idempotency_key=f"import {turn}").pk

    def prepare(number: int) -> None:
        nonlocal turn
        turn = number

    rounds = Team([call] * 3).rounds(30, prepare)
    assert {len(set(answers)) for answers in rounds} == {1}
    assert (Batch.objects.count(), Job.objects.count()) == (30, 3_000)
    assert_sound()


def test_the_second_caller_waits_and_is_refused_other_content() -> None:
    traced_queue()
    inserted, release = threading.Event(), threading.Event()
    answers: list[object] = []

    def first() -> None:
        with transaction.atomic():
            answers.append(enqueue_batch("traced.quick", [1], idempotency_key="k").pk)
            inserted.set()
            release.wait(20)

    def second() -> None:
        inserted.wait(20)
        threading.Timer(0.3, release.set).start()
        with pytest.raises(EnqueueError, match="other content"):
            enqueue_batch("traced.quick", [2], idempotency_key="k")

    together(first, second)
    assert (Batch.objects.count(), Job.objects.count()) == (1, 1)


def test_waiting_for_another_caller_leaves_the_transaction_as_it_was() -> None:
    traced_queue()
    inserted, release = threading.Event(), threading.Event()

    def first() -> int:
        with transaction.atomic():
            batch = enqueue_batch("traced.quick", [1], idempotency_key="k")
            inserted.set()
            release.wait(20)
        return batch.pk

    def second() -> tuple[int, str]:
        inserted.wait(20)
        threading.Timer(0.3, release.set).start()
        with transaction.atomic():
            batch = enqueue_batch("traced.quick", [1], idempotency_key="k")
            with transaction.get_connection().cursor() as cursor:
                cursor.execute("SHOW lock_timeout")
                return batch.pk, cursor.fetchone()[0]

    mine, (theirs, timeout) = together(first, second)
    assert (mine, timeout) == (theirs, "0")
