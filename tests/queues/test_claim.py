"""Which chunks a worker gets, in which order, and how many."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from queues.domain.records import Claim
from queues.domain.states import Priority
from queues.models import Chunk, Queue, QueueSlot, Run
from queues.services import claim as claim_service
from queues.services import pause, settle
from queues.services.enqueue import JobSpec, enqueue, enqueue_batch
from queues.services.sync_queues import sync_slots
from tests.checker import assert_sound
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


def take(queue: Queue, want: int = 1_000, **options: Any) -> Claim | None:
    """What a worker is given now, loaded."""
    policy = claim_service.policy(queue_id=queue.pk)
    assert policy is not None
    claim = claim_service.claim(policy=policy, worker_id=uuid.uuid4(), want=want, lease=30, **options)
    if claim is not None:
        claim_service.load(claim=claim)
    return claim


def end(claim: Claim) -> None:
    """The run ends well."""
    settle.settle_whole(claim=claim, step=0, timing=settle.Timing())


def test_the_claim_leases_chunks_and_makes_their_run() -> None:
    queue = make_queue(chunk_size=10)
    batch = enqueue_batch("tested.do", range(25))
    claim = take(queue)
    assert claim is not None
    assert claim.payloads == list(range(25))
    assert claim.ids == list(range(batch.first_job_id, batch.last_job_id + 1))
    run = Run.objects.get()
    assert (run.state, run.claimed, run.chunks, run.handler) == ("running", 25, 3, "tested.do")
    assert 25 < (run.lease_until - run.started_at).total_seconds() < 35
    assert all((c.state, c.run_id, c.run_ids) == ("leased", run.pk, [run.pk]) for c in Chunk.objects.all())
    batch.refresh_from_db()
    assert batch.started_at is not None
    assert take(queue) is None
    assert_sound()


def test_five_priorities_are_served_in_order_whatever_came_first() -> None:
    queue = make_queue(chunk_size=2)
    names = ["background", "low", "critical", "normal", "high"]
    enqueue_batch("tested.do", [JobSpec(name, priority=name) for name in names for _ in range(3)])
    for name in names:
        enqueue("tested.do", name, priority=name)
    served: list[Any] = []
    while claim := take(queue, want=1):
        served += claim.payloads
        end(claim)
    assert served == [priority.label for priority in Priority for _ in range(4)]


def test_within_a_priority_the_one_due_first_is_served_first() -> None:
    queue = make_queue()
    now = timezone.now()
    for hours in (1, 3, 2):
        enqueue("tested.do", hours, run_at=now - timedelta(hours=hours))
    claim = take(queue)
    assert claim is not None and claim.payloads == [3, 2, 1]


def test_a_job_of_the_future_is_not_served_and_holds_up_nobody() -> None:
    queue = make_queue()
    at = timezone.now() + timedelta(hours=1)
    enqueue_batch("tested.do", ["later"] * 500, run_at=at, priority="critical", chunk_size=1)
    enqueue("tested.do", "now", priority="background")
    claim = take(queue)
    assert claim is not None and claim.payloads == ["now"]
    assert take(queue) is None
    Chunk.objects.filter(state="ready").update(run_at=timezone.now())
    claim = take(queue)
    assert claim is not None and set(claim.payloads) == {"later"}


def test_many_small_chunks_or_one_large_one() -> None:
    queue = make_queue()
    enqueue_batch("tested.do", range(1_000), chunk_size=1)
    claim = take(queue, want=100)
    assert claim is not None and (len(claim.chunks), len(claim.ids)) == (100, 100)
    enqueue_batch("tested.do", range(1_000), chunk_size=1_000, priority="high")
    claim = take(queue, want=100)
    assert claim is not None and (len(claim.chunks), len(claim.ids)) == (1, 1_000)


def test_a_run_has_one_handler_only(declare: Callable[..., Any]) -> None:
    queue = make_queue()
    other = declare()(lambda job: None)
    for handler in ("tested.do", other, "tested.do", other):
        enqueue(handler, 1)
    first, second = take(queue), take(queue)
    assert first is not None and second is not None
    assert [(len(c.ids), {chunk.handler for chunk in c.chunks}) for c in (first, second)] == [
        (2, {"tested.do"}),
        (2, {other.handler_name}),
    ]


def test_a_run_stays_below_so_many_bytes() -> None:
    queue = make_queue()
    enqueue_batch("tested.do", ["x" * 1_000_000] * 40)
    claim = take(queue)
    assert claim is not None
    assert sum(chunk.bytes for chunk in claim.chunks[:-1]) < claim_service.MAX_BYTES
    assert len(claim.ids) < 40


def test_a_solo_chunk_runs_alone_and_carefully() -> None:
    queue = make_queue(chunk_size=10)
    enqueue_batch("tested.do", range(40))
    Chunk.objects.filter(pk=Chunk.objects.order_by("pk")[1].pk).update(solo=True)
    claims = [take(queue), take(queue), take(queue)]
    assert [(len(c.chunks), c.careful) for c in claims if c] == [(3, False), (1, True)]
    assert list(Run.objects.order_by("pk").values_list("careful", flat=True)) == [False, True]


def test_two_solo_chunks_are_two_runs() -> None:
    queue = make_queue(chunk_size=10)
    enqueue_batch("tested.do", range(20))
    Chunk.objects.update(solo=True)
    assert [len(c.chunks) for c in (take(queue), take(queue)) if c] == [1, 1]


def test_a_paused_queue_serves_nothing_until_it_is_resumed() -> None:
    queue = make_queue()
    enqueue_batch("tested.do", range(3))
    pause.pause_queue(name="tested", actor="me", source="api", reason="the server is down")
    assert take(queue) is None
    pause.resume_queue(name="tested", actor="me", source="api")
    assert take(queue) is not None


def test_a_pause_with_an_end_ends_by_itself() -> None:
    queue = make_queue()
    enqueue_batch("tested.do", range(3))
    until = timezone.now() + timedelta(hours=1)
    pause.pause_queue(name="tested", actor="me", source="api", until=until)
    assert take(queue) is None
    Queue.objects.update(paused_until=timezone.now())
    assert take(queue) is not None


def test_a_pause_is_refused_that_makes_no_sense() -> None:
    make_queue()
    with pytest.raises(pause.PauseRefused, match="future"):
        pause.pause_queue(name="tested", actor="me", source="api", until=timezone.now())
    with pytest.raises(pause.PauseRefused, match="not paused"):
        pause.resume_queue(name="tested", actor="me", source="api")
    with pytest.raises(pause.PauseRefused, match="unknown"):
        pause.pause_queue(name="nowhere", actor="me", source="api")


def test_a_queue_that_collects_waits_for_enough_jobs() -> None:
    queue = make_queue(flush_jobs=5)
    for number in range(4):
        enqueue("tested.do", number)
    assert take(queue) is None
    assert Chunk.objects.filter(state="ready").count() == 4
    enqueue("tested.do", 4)
    claim = take(queue)
    assert claim is not None and claim.payloads == [0, 1, 2, 3, 4]


def test_or_for_enough_bytes() -> None:
    queue = make_queue(flush_bytes=100)
    enqueue("tested.do", "x" * 50)
    assert take(queue) is None
    enqueue("tested.do", "x" * 50)
    assert take(queue) is not None


def test_or_until_the_oldest_has_waited_long_enough() -> None:
    queue = make_queue(flush_jobs=100, flush_seconds=60)
    enqueue("tested.do", 1)
    assert take(queue) is None
    an_hour_ago = timezone.now() - timedelta(hours=1)
    enqueue("tested.do", "due long ago, but new", run_at=an_hour_ago)
    assert take(queue) is None
    Chunk.objects.filter(run_at__gt=an_hour_ago).update(
        created_at=F("created_at") - timedelta(seconds=61), run_at=F("run_at") - timedelta(seconds=61)
    )
    claim = take(queue)
    assert claim is not None and len(claim.ids) == 2


def test_a_collecting_queue_does_not_hold_back_a_suspect() -> None:
    queue = make_queue(flush_jobs=100)
    enqueue("tested.do", 1)
    Chunk.objects.update(solo=True)
    assert take(queue) is not None


def test_a_limited_queue_has_so_many_runs_at_a_time() -> None:
    queue = make_queue(chunk_size=10, max_runs=2)
    sync_slots(queue=queue)
    enqueue_batch("tested.do", range(50))
    first, second = take(queue, want=10), take(queue, want=10)
    assert first is not None and second is not None
    assert take(queue, want=10) is None
    assert set(QueueSlot.objects.values_list("run_id", flat=True)) == {first.run_id, second.run_id}
    end(first)
    assert QueueSlot.objects.filter(run_id=None).count() == 1
    assert take(queue, want=10) is not None
    assert take(queue, want=10) is None
    assert_sound()


def test_a_limit_that_shrinks_lets_runs_end_first() -> None:
    queue = make_queue(chunk_size=10, max_runs=3)
    sync_slots(queue=queue)
    enqueue_batch("tested.do", range(50))
    claims = [take(queue, want=10) for _ in range(3)]
    queue.max_runs = 1
    queue.save()
    sync_slots(queue=queue)
    assert QueueSlot.objects.count() == 3
    assert take(queue, want=10) is None
    for claim in claims:
        assert claim is not None
        end(claim)
    assert take(queue, want=10) is not None
    assert take(queue, want=10) is None


def rewind(queue: Queue, seconds: float) -> None:
    """Let the bucket fill for so long."""
    Queue.objects.filter(pk=queue.pk).update(rate_filled_at=F("rate_filled_at") - timedelta(seconds=seconds))


def test_a_rate_limit_lets_so_many_jobs_through() -> None:
    queue = make_queue(chunk_size=1, rate_limit=10, rate_burst=20)
    enqueue_batch("tested.do", range(100))
    rewind(queue, 1000)
    claim = take(queue)
    assert claim is not None and len(claim.ids) == 20
    Queue.objects.update(rate_tokens=-100, rate_filled_at=timezone.now())
    assert take(queue) is None
    rewind(queue, 10.75)
    claim = take(queue)
    assert claim is not None and 7 <= len(claim.ids) < 80


def test_a_chunk_larger_than_the_bucket_runs_and_leaves_a_debt() -> None:
    queue = make_queue(chunk_size=50, rate_limit=1, rate_burst=5)
    enqueue_batch("tested.do", range(100))
    rewind(queue, 1000)
    claim = take(queue)
    assert claim is not None and len(claim.ids) == 50
    queue.refresh_from_db()
    assert queue.rate_tokens == pytest.approx(-45)
    assert take(queue) is None
    rewind(queue, 40)
    assert take(queue) is None
    rewind(queue, 5)
    assert take(queue) is not None


def test_a_claim_that_takes_nothing_spends_no_tokens() -> None:
    queue = make_queue(rate_limit=10, rate_burst=5)
    rewind(queue, 1000)
    filled = Queue.objects.get().rate_filled_at
    assert take(queue) is None
    assert Queue.objects.values_list("rate_tokens", "rate_filled_at").get() == (0, filled)


def test_the_wait_of_the_oldest_chunk_is_on_the_run() -> None:
    queue = make_queue()
    enqueue("tested.do", 1)
    enqueue("tested.do", 2)
    past = timezone.now() - timedelta(seconds=90)
    Chunk.objects.filter(pk=Chunk.objects.earliest("pk").pk).update(created_at=past, run_at=past)
    assert take(queue) is not None
    assert 90_000 <= Run.objects.get().wait_ms < 120_000


def test_jobs_that_have_left_or_ended_are_not_loaded() -> None:
    make_queue(chunk_size=20, backoff_base=60)
    batch = enqueue_batch("tested.do", range(20))
    with leased() as execution:
        from queues.domain.outcomes import Cancel, Fail

        execution.succeeded += [0, 7, 8, 19]
        execution.note(3, Fail("no"), 0.0)
        execution.note(4, Cancel(), 0.0)
    assert Chunk.objects.get(first_id=batch.first_job_id).state == "ready"
    with leased() as execution:
        left = {1, 2, 5, 6, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}
        assert set(execution.claim.ids) == {batch.first_job_id + n for n in left}
        assert Run.objects.latest("pk").claimed == len(left)
        execution.succeeded += range(len(left))
    assert_sound()


def test_what_nobody_has_started_is_released_without_a_trace() -> None:
    make_queue(chunk_size=10)
    enqueue_batch("tested.do", range(10))
    with leased():
        pass
    run, chunk = Run.objects.get(), Chunk.objects.get()
    assert (run.state, run.returned, chunk.state, chunk.losses, chunk.solo) == ("released", 10, "ready", 0, False)
    assert drain() == 1
