"""Taking jobs in: what is written, for whom, and what is not."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from queues.domain.outcomes import Job
from queues.models import Batch, Chunk, JobKey, Queue
from queues.models import Job as JobRow
from queues.services.enqueue import EnqueueError, JobSpec, add_jobs, enqueue, enqueue_batch, seal
from tests.checker import assert_sound
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue() -> Queue:
    """The queue of the tested handlers, with small chunks."""
    return make_queue(chunk_size=10)


def payloads(**where: Any) -> list[str]:
    """The stored texts, by id."""
    return list(JobRow.objects.filter(**where).order_by("pk").values_list("payload", flat=True))


def lanes() -> list[tuple[int, datetime, int]]:
    """Priority, due time and size of the chunks, by id."""
    return list(Chunk.objects.order_by("pk").values_list("priority", "run_at", "size"))


def test_one_job_is_a_chunk_of_one(queue: Queue) -> None:
    job = enqueue("tested.do", {"a": [1, 2.5, None]})
    chunk = Chunk.objects.get()
    assert (chunk.first_id, chunk.span, chunk.size, chunk.batch_id) == (job, 1, 1, None)
    assert (chunk.state, chunk.priority, chunk.handler, chunk.bytes) == ("ready", 2, "tested.do", 18)
    assert payloads() == ['{"a":[1,2.5,null]}']
    assert_sound()


def test_a_batch_is_cut_into_chunks_of_consecutive_ids(queue: Queue) -> None:
    batch = enqueue_batch("tested.do", range(25), name="numbers", metadata={"by": "test"}, created_by="me")
    assert (batch.total, batch.name, batch.metadata, batch.created_by) == (25, "numbers", {"by": "test"}, "me")
    assert batch.last_job_id - batch.first_job_id == 24
    assert batch.sealed_at is not None and batch.started_at is None
    first = batch.first_job_id
    assert list(Chunk.objects.order_by("pk").values_list("first_id", "span", "size", "batch_id")) == [
        (first, 10, 10, batch.pk),
        (first + 10, 10, 10, batch.pk),
        (first + 20, 5, 5, batch.pk),
    ]
    assert payloads(batch=batch) == [str(n) for n in range(25)]
    assert_sound()


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda items: (item for item in items), set])
def test_any_iterable_will_do(queue: Queue, kind: Callable[[Any], Any]) -> None:
    assert enqueue_batch("tested.do", kind(range(30))).total == 30
    assert sorted(map(int, payloads())) == list(range(30))


def test_a_generator_may_read_the_same_connection(queue: Queue) -> None:
    def rows() -> Iterator[int]:
        for number in range(4_100):  # more than two blocks: within a COPY the first query would wait for ever
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s::int", [number])
                yield cursor.fetchone()[0]

    assert enqueue_batch("tested.do", rows()).total == 4_100
    assert sorted(map(int, payloads())) == list(range(4_100))


def test_a_generator_may_enqueue_jobs_itself(queue: Queue) -> None:
    def rows() -> Iterator[int]:
        for number in range(3):
            enqueue("tested.do", number)
            yield number

    batch = enqueue_batch("tested.do", rows())
    assert (batch.total, JobRow.objects.count()) == (3, 6)
    assert_sound()


def test_a_generator_that_fails_leaves_nothing(queue: Queue) -> None:
    def rows() -> Iterator[int]:
        yield from range(3_000)
        raise LookupError("no more rows")

    with pytest.raises(LookupError):
        enqueue_batch("tested.do", rows())
    assert (Batch.objects.count(), Chunk.objects.count(), JobRow.objects.count()) == (0, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_what_the_caller_rolls_back_was_never_there(queue: Queue) -> None:
    with pytest.raises(LookupError), transaction.atomic():
        enqueue("tested.do", 1, key="k")
        enqueue_batch("tested.do", range(100))
        raise LookupError
    assert (Batch.objects.count(), Chunk.objects.count(), JobRow.objects.count()) == (0, 0, 0)
    assert not JobKey.objects.exists()
    queue.refresh_from_db()
    assert queue.hinted_at is None


@pytest.mark.django_db(transaction=True)
def test_a_commit_hands_the_batch_over_to_the_broker(queue: Queue) -> None:
    with transaction.atomic():
        batch = enqueue_batch("tested.do", range(3))
        queue.refresh_from_db()
        assert (queue.hinted_at, batch.queued_at) == (None, None)
    queue.refresh_from_db()
    batch.refresh_from_db()
    assert queue.hinted_at is not None and batch.queued_at is not None


def test_specs_give_single_jobs_another_priority_or_time(queue: Queue) -> None:
    later = timezone.now() + timedelta(hours=1)
    batch = enqueue_batch(
        "tested.do",
        [0, JobSpec(1, priority="critical"), JobSpec(2, run_at=later), 3, JobSpec(4, priority=0, queue="tested")],
        priority="low",
    )
    assert [(priority, size) for priority, _, size in lanes()] == [(0, 2), (3, 2), (3, 1)]
    assert lanes()[2][1] == later
    assert (batch.total, sorted(payloads())) == (5, list("01234"))
    by_priority = {chunk.priority: payloads(chunk_id=chunk.pk) for chunk in Chunk.objects.filter(run_at__lt=later)}
    assert by_priority == {0: ["1", "4"], 3: ["0", "3"]}
    assert_sound()


def test_a_batch_may_have_a_priority_and_a_time(queue: Queue) -> None:
    at = datetime(2040, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    enqueue_batch("tested.do", range(3), priority="background", run_at=at)
    enqueue("tested.do", 1, priority="high", run_at=at)
    assert lanes() == [(4, at, 3), (1, at, 1)]


def test_the_queue_s_own_priority_and_chunk_size_are_the_default(queue: Queue) -> None:
    Queue.objects.update(default_priority=1)
    assert enqueue_batch("tested.do", range(12)).chunk_size == 10
    assert enqueue_batch("tested.do", range(12), chunk_size=4).chunk_size == 4
    assert [(p, size) for p, _, size in lanes()] == [(1, 10), (1, 2), (1, 4), (1, 4), (1, 4)]


def test_another_queue_than_the_handler_s_may_be_named(queue: Queue) -> None:
    other = make_queue("other")
    batch = enqueue_batch("tested.do", [1], queue="other")
    enqueue("tested.do", 1, queue="other")
    assert batch.queue_id == other.pk
    assert set(Chunk.objects.values_list("queue_id", flat=True)) == {other.pk}


def test_large_payloads_cut_chunks_by_their_size(queue: Queue) -> None:
    enqueue_batch("tested.do", ["x" * 900_000] * 12)
    assert [size for _, _, size in lanes()] == [5, 5, 2]


def test_an_open_batch_takes_jobs_until_it_is_sealed(queue: Queue) -> None:
    batch = enqueue_batch("tested.do", range(5), open=True)
    assert add_jobs(batch, range(5, 17)) == 12
    assert add_jobs(batch.pk, [JobSpec(99, priority="high")]) == 1
    assert set(Chunk.objects.values_list("state", "held_why")) == {("held", "open")}
    assert drain() == 0
    batch.refresh_from_db()
    assert (batch.total, batch.sealed_at, batch.state) == (18, None, "running")
    assert_sound()
    seal(batch)
    drain()
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 18)
    assert_sound()
    with pytest.raises(EnqueueError, match="not open"):
        add_jobs(batch, [1])
    with pytest.raises(EnqueueError, match="not open"):
        seal(batch)


def test_an_open_batch_may_begin_empty_but_not_be_sealed_so(queue: Queue) -> None:
    batch = enqueue_batch("tested.do", [], open=True)
    with pytest.raises(EnqueueError, match="at least one job"):
        seal(batch)
    add_jobs(batch, [1])
    seal(batch)
    drain()
    batch.refresh_from_db()
    assert batch.state == "completed"


def test_an_open_batch_refuses_what_is_too_much(queue: Queue, settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 20
    batch = enqueue_batch("tested.do", range(15), open=True)
    with pytest.raises(EnqueueError, match="at most 20"):
        add_jobs(batch, iter(range(6)))
    assert JobRow.objects.count() == 15
    add_jobs(batch, range(5))
    assert_sound()


def test_split_makes_a_parent_and_its_parts(queue: Queue, settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 20
    parent = enqueue_batch("tested.do", range(50), split=True, name="large")
    parts = list(parent.parts.order_by("part"))
    assert parent.is_parent and parent.total == 50
    assert [(p.part, p.total, p.name, p.is_parent) for p in parts] == [
        (1, 20, "large", False),
        (2, 20, "large", False),
        (3, 10, "large", False),
    ]
    assert (parent.first_job_id, parent.last_job_id) == (parts[0].first_job_id, parts[2].last_job_id)
    assert [payloads(batch=part)[0] for part in parts] == ["0", "20", "40"]
    assert_sound()
    drain()
    parent.refresh_from_db()
    assert (parent.state, parent.succeeded) == ("completed", 50)
    assert set(parent.parts.values_list("state", flat=True)) == {"completed"}


def test_split_makes_no_parts_where_none_are_needed(queue: Queue) -> None:
    batch = enqueue_batch("tested.do", range(20), split=True)
    assert not batch.is_parent and not batch.parts.exists()


def test_a_bad_item_of_a_late_part_undoes_all_parts(queue: Queue, settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 20
    with pytest.raises(EnqueueError, match="item 45"):
        enqueue_batch("tested.do", [object() if n == 45 else n for n in range(50)], split=True)
    assert (Batch.objects.count(), Chunk.objects.count(), JobRow.objects.count()) == (0, 0, 0)


def test_a_unique_key_is_taken_until_its_job_has_ended(queue: Queue) -> None:
    first = enqueue("tested.do", 1, key="user 7")
    assert first is not None
    assert enqueue("tested.do", 2, key="user 7") is None
    assert enqueue("tested.do", 2, key="user 8") is not None
    assert JobRow.objects.count() == 2
    drain()
    assert not JobKey.objects.exists()
    assert enqueue("tested.do", 3, key="user 7") is not None
    assert_sound()


def test_a_dead_letter_keeps_its_key(queue: Queue) -> None:
    enqueue("tested.do", {"die": 1}, key="k")
    drain()
    assert enqueue("tested.do", 2, key="k") is None


def test_keys_are_of_their_queue(queue: Queue) -> None:
    make_queue("other")
    assert enqueue("tested.do", 1, key="k") is not None
    assert enqueue("tested.do", 1, key="k", queue="other") is not None


def test_a_batch_leaves_out_the_jobs_whose_key_is_taken(queue: Queue) -> None:
    enqueue("tested.do", 3, key="3")
    batch = enqueue_batch("tested.do", [n % 12 for n in range(24)], key=str)
    assert batch.total == 11
    assert sorted(map(int, payloads(batch=batch))) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert JobKey.objects.count() == 12
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert (batch.succeeded, JobKey.objects.count()) == (11, 0)
    assert_sound()


def test_a_batch_all_of_whose_keys_are_taken_ends_empty(queue: Queue) -> None:
    enqueue("tested.do", 3, key="3")
    batch = enqueue_batch("tested.do", [3, 3], key=str)
    from queues.services import finish

    finish.sweep()
    batch.refresh_from_db()
    assert (batch.total, batch.state) == (0, "completed")
    assert_sound()


def test_keys_with_mixed_lanes_span_their_gaps(queue: Queue) -> None:
    for taken in (4, 5, 11):
        enqueue("tested.do", taken, key=str(taken))
    specs = [JobSpec(n, priority="high" if n % 3 else "low") for n in range(40)]
    batch = enqueue_batch("tested.do", specs, key=str)
    assert batch.total == 37
    assert_sound()
    drain()
    batch.refresh_from_db()
    assert batch.succeeded == 37
    assert_sound()


def test_the_same_key_and_content_is_the_same_batch(queue: Queue) -> None:
    first = enqueue_batch("tested.do", iter(range(30)), idempotency_key="import 7")
    again = enqueue_batch("tested.do", list(range(30)), idempotency_key="import 7")
    assert (again.pk, JobRow.objects.count(), Batch.objects.count()) == (first.pk, 30, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"payloads": range(29)},
        {"payloads": [*range(29), 30]},
        {"payloads": reversed(range(30))},
        {"payloads": [*range(29), "29"]},
        {"payloads": [JobSpec(0, priority="high"), *range(1, 30)]},
        {"priority": "high"},
        {"run_at": datetime(2040, 1, 1, tzinfo=UTC)},
        {"handler": "tested.all"},
        {"queue": "other"},
    ],
    ids=["fewer", "another", "order", "type", "one priority", "priority", "time", "handler", "queue"],
)
def test_the_same_key_with_other_content_is_refused(queue: Queue, other: dict[str, Any]) -> None:
    make_queue("other")
    enqueue_batch("tested.do", range(30), idempotency_key="import 7")
    call = {"handler": "tested.do", "payloads": range(30), "idempotency_key": "import 7", **other}
    with pytest.raises(EnqueueError, match="other content"):
        enqueue_batch(**call)
    assert (JobRow.objects.count(), Batch.objects.count()) == (30, 1)


def test_idempotency_knows_parts_too(queue: Queue, settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 20
    first = enqueue_batch("tested.do", range(50), idempotency_key="k", split=True)
    assert enqueue_batch("tested.do", range(50), idempotency_key="k", split=True).pk == first.pk
    with pytest.raises(EnqueueError, match="other content"):
        enqueue_batch("tested.do", range(51), idempotency_key="k", split=True)


def test_an_idempotent_enqueue_leaves_no_lock_timeout_behind(queue: Queue) -> None:
    def timeout() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            return str(cursor.fetchone()[0])

    before = timeout()
    enqueue_batch("tested.do", range(3), idempotency_key="k")
    assert timeout() == before


def test_a_callback_runs_when_its_batch_has_ended(queue: Queue, declare: Callable[..., Any]) -> None:
    told: list[Any] = []

    @declare()
    def after(job: Job) -> None:
        told.append(job.payload)

    batch = enqueue_batch("tested.do", [{}, {}, {"die": 1}], callback=after, name="mail")
    drain()
    assert told == [
        {
            "batch": batch.pk,
            "name": "mail",
            "state": "partial",
            "total": 3,
            "succeeded": 2,
            "dead": 1,
            "cancelled": 0,
        }
    ]
    assert_sound()


def test_numbers_stay_exact(queue: Queue) -> None:
    from queues.domain.payload import JsonText

    seen = "[1.10,12345678901234567890123,1e400,0.1000000000000000055511151231257827]"
    enqueue("tested.do", JsonText(seen))
    enqueue_batch("tested.do", [JsonText(seen), 2**70])
    assert payloads() == [seen, seen, str(2**70)]


def test_text_of_every_kind_survives(queue: Queue, declare: Callable[..., Any]) -> None:
    seen: list[Any] = []
    texts = ["\\", "\\N", "\\.", "a\tb\nc\rd", "'\"", "\u2028\x7f\x01", "🦑", "", "{}", "\\\\u0000", "%s %(x)s"]
    handler = declare()(lambda job: seen.append(job.payload))
    enqueue_batch(handler, [*texts, {text: text for text in texts}])
    for text in texts:
        enqueue(handler, text)
    drain()
    assert seen == [*texts, {text: text for text in texts}, *texts]


def test_an_open_batch_keeps_its_idempotency_key_while_jobs_are_added() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1, 2], open=True, idempotency_key="open-one")
    add_jobs(first, [3])
    seal(first)
    again = enqueue_batch("tested.do", [1, 2], open=True, idempotency_key="open-one")
    assert again.pk == first.pk
    with pytest.raises(EnqueueError, match="other content"):
        enqueue_batch("tested.do", [1, 2, 3], idempotency_key="open-one")
