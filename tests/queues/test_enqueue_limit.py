"""How fast jobs may come into a queue: a bucket that holds a whole batch, or refuses it."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F

from queues.domain.records import EnqueueLimit
from queues.models import Batch, Chunk, EnqueueBucket, Job, KafkaOffset, Queue
from queues.services import enqueue_limit, pause
from queues.services.enqueue import EnqueueError, EnqueueLimited, add_jobs, enqueue, enqueue_batch
from queues.services.take_messages import Message, take_messages, value_only
from tests.checker import assert_sound
from tests.concurrency.together import together
from tests.queues.working import make_queue
from tests.waiting import wait_for


def pass_time(seconds: float) -> None:
    """As if the bucket had been filled so much earlier."""
    EnqueueBucket.objects.update(filled_at=F("filled_at") - timedelta(seconds=seconds))


def tokens() -> float:
    return EnqueueBucket.objects.get().tokens


def refused(payloads: Any, **options: Any) -> float:
    before = (Batch.objects.count(), Chunk.objects.count(), Job.objects.count())
    with pytest.raises(EnqueueLimited) as limited:
        enqueue_batch("tested.do", payloads, **options)
    assert isinstance(limited.value, EnqueueError)
    assert f"retry after {limited.value.retry_after:g} s" in str(limited.value)
    assert (Batch.objects.count(), Chunk.objects.count(), Job.objects.count()) == before
    return limited.value.retry_after


@pytest.mark.django_db
def test_a_batch_larger_than_the_bucket_comes_in_whole_and_is_paid_for() -> None:
    make_queue(enqueue_rate=1.0, enqueue_burst=50)
    assert enqueue_batch("tested.do", range(1_000)).total == 1_000
    assert tokens() == pytest.approx(-950, abs=5)
    after = refused([1])
    assert 945 < after <= 951
    pass_time(after)
    assert enqueue_batch("tested.do", [1]).total == 1
    assert refused([1]) <= 1
    assert_sound()


@pytest.mark.django_db
def test_single_jobs_come_in_at_the_rate_after_a_burst() -> None:
    make_queue(enqueue_rate=0.01, enqueue_burst=3)
    assert [enqueue("tested.do", n) is not None for n in range(3)] == [True] * 3
    with pytest.raises(EnqueueLimited) as limited:
        enqueue("tested.do", 3)
    assert 99 < limited.value.retry_after <= 100
    pass_time(100)
    assert enqueue("tested.do", 3)
    pass_time(10_000)
    assert [enqueue("tested.do", n) is not None for n in range(3)] == [True] * 3
    with pytest.raises(EnqueueLimited):
        enqueue("tested.do", 3)


@pytest.mark.django_db
def test_without_a_burst_the_bucket_holds_a_second() -> None:
    make_queue(enqueue_rate=7.0)
    enqueue_batch("tested.do", range(5))
    assert tokens() == pytest.approx(2, abs=0.5)
    assert EnqueueLimit(0.5).size == 1.0


@pytest.mark.django_db
def test_a_stream_is_charged_by_what_it_held() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=100)
    enqueue_batch("tested.do", (n for n in range(70)))
    assert tokens() == pytest.approx(30, abs=0.5)
    enqueue_batch("tested.do", (n for n in range(20_000)), split=True)
    assert tokens() == pytest.approx(-19_970, abs=0.5)
    pulled = []
    # The gate stands before the stream: no more than its first item is pulled.
    refused(pulled.append(n) or n for n in range(10_000))
    assert len(pulled) <= 2_000


@pytest.mark.django_db
def test_only_what_was_enqueued_is_charged() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=100)
    enqueue_batch("tested.do", range(10), key=str)
    enqueue_batch("tested.do", range(30), key=str)
    assert tokens() == pytest.approx(70, abs=0.5)
    assert enqueue("tested.do", 1, key="5") is None
    assert tokens() == pytest.approx(70, abs=0.5)
    with pytest.raises(EnqueueError, match="item 3"):
        enqueue_batch("tested.do", [1, 2, 3, float("nan")])
    assert tokens() == pytest.approx(70, abs=0.5)


@pytest.mark.django_db
def test_the_same_batch_again_costs_nothing() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=5)
    first = enqueue_batch("tested.do", range(10), idempotency_key="once")
    assert enqueue_batch("tested.do", range(10), idempotency_key="once").pk == first.pk
    refused(range(10), idempotency_key="twice")


@pytest.mark.django_db
def test_jobs_that_are_added_are_charged_too() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=5)
    batch = enqueue_batch("tested.do", [], open=True)
    assert add_jobs(batch, range(10)) == 10
    with pytest.raises(EnqueueLimited):
        add_jobs(batch, [1])
    batch.refresh_from_db()
    assert batch.total == 10


@pytest.mark.django_db
def test_a_queue_without_a_rate_has_no_bucket_and_pays_nothing() -> None:
    make_queue()
    enqueue_batch("tested.do", range(10))
    enqueue("tested.do", 1)
    assert EnqueueBucket.objects.count() == 0


@pytest.mark.django_db
def test_a_new_rate_counts_from_the_next_enqueue_on() -> None:
    queue = make_queue(enqueue_rate=0.001, enqueue_burst=1)
    enqueue_batch("tested.do", range(1_000))
    refused([1])
    Queue.objects.filter(pk=queue.pk).update(enqueue_rate=None, enqueue_burst=None)
    assert enqueue_batch("tested.do", [1]).total == 1
    Queue.objects.filter(pk=queue.pk).update(enqueue_rate=1_000_000)
    pass_time(1)
    assert enqueue_batch("tested.do", [1]).total == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_has_cost_nothing() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=10)
    enqueue_batch("tested.do", range(3))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue_batch("tested.do", range(100))
        assert tokens() < 0
        raise ZeroDivisionError
    assert tokens() == pytest.approx(7, abs=0.1)
    with transaction.atomic():
        with pytest.raises(EnqueueError):
            enqueue_batch("tested.do", [float("inf")])
        enqueue_batch("tested.do", range(7))  # a refusal leaves the caller's transaction usable
    assert Job.objects.count() == 10
    assert_sound()


@pytest.mark.django_db(transaction=True)
def test_eight_enqueuers_at_once_do_not_overshoot() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=3)

    def one() -> int:
        try:
            return enqueue_batch("tested.do", [1] * 5).total
        except EnqueueLimited:
            return 0

    # The first goes into debt; nobody else finds anything.
    assert sorted(together(*[one] * 8)) == [0] * 7 + [5]
    assert tokens() == pytest.approx(-2, abs=0.1)
    EnqueueBucket.objects.update(tokens=3)

    def single() -> int:
        try:
            return enqueue("tested.do", 1) is not None
        except EnqueueLimited:
            return 0

    assert sum(together(*[single] * 8)) == 3
    assert_sound()


@pytest.mark.django_db(transaction=True)
def test_a_long_transaction_holds_up_enqueuers_for_a_bounded_time_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.queues.working import drain

    queue = make_queue(enqueue_rate=100.0, enqueue_burst=50, rate_limit=1_000)
    enqueue_batch("tested.do", range(5))
    monkeypatch.setattr(enqueue_limit, "PATIENCE", 100)
    with transaction.atomic():
        enqueue("tested.do", 1)

        def elsewhere() -> Any:
            with pytest.raises(EnqueueLimited, match="another enqueue that is still open goes first") as limited:
                enqueue("tested.do", 2)
            # A worker answers hints and claims; a person pauses the queue.
            pause.pause_queue(name="tested", actor="tests", source="test")
            pause.resume_queue(name="tested", actor="tests", source="test")
            return limited.value.retry_after, drain()

        assert together(elsewhere, timeout=20) == [(1.0, 1)]
    assert Queue.objects.get(pk=queue.pk).paused_at is None
    assert enqueue("tested.do", 2)


@pytest.mark.django_db(transaction=True)
def test_an_enqueuer_that_waited_is_judged_by_what_the_first_has_left() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=1)
    answers: list[Any] = []

    def second() -> None:
        try:
            answers.append(enqueue("tested.do", 2))
        except EnqueueLimited as limited:
            answers.append(limited.retry_after)
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        enqueue("tested.do", 1)
        thread.start()
        wait_for(_somebody_waits, 10, "the second enqueuer at the lock")
    thread.join(20)
    assert len(answers) == 1 and 999 < answers[0] <= 1000
    assert Job.objects.count() == 1


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_the_command_says_when_to_come_back(tmp_path: Path) -> None:
    from tests.queues.commanding import command

    make_queue(enqueue_rate=0.01, enqueue_burst=1)
    path = tmp_path / "jobs.jsonl"
    path.write_text("1\n2\n")
    assert command("enqueue", "tested.do", path).code == 0
    answer = command("enqueue", "tested.do", path)
    assert answer.code == 75
    assert "queue 'tested' takes 0.01 jobs a second; retry after " in answer.err
    assert answer.err.rstrip().endswith("nothing was enqueued")
    assert Batch.objects.count() == 1


@pytest.mark.parametrize(
    ("policy", "field", "said"),
    [
        ({"enqueue_rate": 0}, "enqueue_rate", "from 0.000001 to 1,000,000,000"),
        ({"enqueue_rate": float("inf")}, "enqueue_rate", "from 0.000001 to 1,000,000,000"),
        ({"enqueue_rate": 1, "enqueue_burst": -1}, "enqueue_burst", "from 0.000001 to 1,000,000,000"),
        ({"enqueue_burst": 5}, "enqueue_burst", "says nothing without an enqueue_rate"),
        ({"batch_threshold": 10_001}, "batch_threshold", "at most 10,000"),
        ({"run_target": 0}, "run_target", "above 0"),
        ({"run_target": float("nan")}, "run_target", "above 0"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_set(policy: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(ValidationError) as unclean:
        Queue(name="limited", **policy).clean()
    assert said in unclean.value.message_dict[field][0]


def _message(offset: int, value: bytes) -> Message:
    return Message("orders", 0, offset, None, value, None)


@pytest.mark.django_db(transaction=True)
def test_messages_of_a_log_are_let_in_together_and_what_breaks_the_rules_stops_none_of_them() -> None:
    make_queue(enqueue_rate=0.001, enqueue_burst=1, payload_rules={"required": ["id"]})

    def take(start: int) -> tuple[int, int]:
        values = [b'{"id": 1}', b'{"no": 2}', b"{", b'{"id": 3}', b'{"id": 4}']
        taken = take_messages(
            source="readers",
            messages=[_message(start + place, value) for place, value in enumerate(values)],
            expected={("orders", 0): start},
            handler="tested.do",
            queue="tested",
            envelope=value_only,
        )
        return taken.jobs, taken.unreadable

    assert take(0) == (3, 2)
    assert tokens() == pytest.approx(-2, abs=0.1)
    with pytest.raises(EnqueueLimited) as limited:
        take(5)
    assert KafkaOffset.objects.get().next_offset == 5
    pass_time(limited.value.retry_after)
    assert take(5) == (3, 2)
    assert (Batch.objects.count(), Job.objects.count(), KafkaOffset.objects.get().next_offset) == (2, 10, 10)
    assert_sound()
