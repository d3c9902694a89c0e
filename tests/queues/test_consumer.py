"""Code that drives the loop itself: leases settled and given back piece by piece, as true as the workers' runs."""

import asyncio
import gc
import threading
import uuid
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.utils import timezone

import queues
from queues import ConsumeError, ConsumerStopped, LeaseLost, Reject, consumer, store
from queues.consumer import Consumer
from queues.models import Attempt, Batch, Chunk, DeadLetter, Job, JobResult, Queue, QueueSlot, Run, Worker
from queues.services import reap
from queues.services.cancel import cancel_batch
from queues.services.enqueue import add_jobs, enqueue, enqueue_batch, seal
from tests.checker import assert_sound
from tests.queues.working import do, do_all, make_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _end_of_the_consumer() -> Iterator[None]:
    yield
    consumer.leave()


def expire(lease: queues.Lease) -> None:
    """The lease ends, and the reaper takes its jobs back."""
    Run.objects.filter(pk=lease.run_id).update(lease_until=timezone.now() - timezone.timedelta(seconds=1))
    assert reap.reap() == 1


def test_a_lease_is_settled_piece_by_piece_and_the_batch_ends() -> None:
    make_queue()
    batch = enqueue_batch(do, range(10))
    with queues.claim("tested", want=100, lease=60) as lease:
        jobs = list(lease)
        assert [job.payload for job in jobs] == list(range(10))
        assert [(job.attempt, job.batch_id, job.queue) for job in jobs] == [(1, batch.pk, "tested")] * 10
        first, second, *rest = [job.id for job in jobs]
        assert lease.settle(ids=[first, second]) == [True, True]
        assert [job.id for job in lease] == rest
        assert lease.settle({rest[0]: None, first: None}) == {rest[0]: True, first: False}
        assert_sound()
        assert lease.settle(ids=rest) == [False] + [True] * 7
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 10)
    run = Run.objects.get()
    assert (run.state, run.succeeded, run.step) == ("done", 10, 3)
    assert_sound()


def test_answers_stand_at_the_places_of_the_ids() -> None:
    make_queue()
    enqueue_batch(do, range(3))
    with queues.claim("tested") as lease:
        a, b, c = [job.id for job in lease]
        assert lease.settle(ids=[c, 10**15, a, c]) == [True, False, True, False]
        assert lease.release([b, a]) == [True, False]
    assert list(Job.objects.filter(chunk__state="ready").values_list("pk", flat=True)) == [b]


def test_every_outcome_means_what_it_means_to_a_worker() -> None:
    make_queue(max_attempts=2, backoff_base=100, jitter=0, keep_results=3600)
    batch = enqueue_batch(do, range(6))
    with queues.claim("tested") as lease:
        ids = [job.id for job in lease]
        said = [
            {"kept": 1},
            ValueError("broken"),
            Reject("never"),
            queues.Snooze(50),
            queues.Cancel(),
            queues.Fail("x"),
        ]
        assert set(lease.settle(dict(zip(ids, said, strict=True))).values()) == {True}
    assert list(JobResult.objects.values_list("job_id", "value")) == [(ids[0], '{"kept":1}')]
    assert dict(Attempt.objects.values_list("job_id", "error_class")) == {
        ids[1]: "ValueError",
        ids[2]: "Reject",
        ids[5]: "Fail",
    }
    assert list(DeadLetter.objects.values_list("job_id", "reason")) == [(ids[2], "rejected by its handler")]
    waits = Chunk.objects.filter(state="ready", run_at__gt=timezone.now() + timezone.timedelta(seconds=40))
    assert sorted(Job.objects.filter(chunk__in=waits).values_list("pk", "failures")) == [
        (ids[1], 1),
        (ids[3], 0),
        (ids[5], 1),
    ]
    batch.refresh_from_db()
    assert batch.state == "running"
    assert_sound()


def test_a_second_failure_is_the_last() -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0)
    batch = enqueue_batch(do, [1])
    for attempt in (1, 2):
        with queues.claim("tested") as lease:
            (job,) = lease
            assert job.attempt == attempt
            lease.settle({job.id: RuntimeError("again")})
    batch.refresh_from_db()
    assert (batch.state, batch.dead) == ("failed", 1)
    assert DeadLetter.objects.get().attempts == 2


def test_fail_fast_stops_what_waits_and_the_loop() -> None:
    make_queue(chunk_size=2, max_attempts=1)
    batch = enqueue_batch(do, range(10), failure_mode="fail_fast")
    with queues.claim("tested", want=4) as lease:
        seen = []
        for job in lease:
            seen.append(job.payload)
            lease.settle({job.id: ValueError("no")})
    assert seen == [0]
    batch.refresh_from_db()
    assert (batch.state, batch.dead, batch.cancelled) == ("failed", 1, 9)
    assert_sound()


@pytest.mark.parametrize("how", ["end", "error"])
def test_leaving_the_block_gives_the_rest_back(how: str) -> None:
    make_queue()
    enqueue_batch(do, range(5))

    def work() -> None:
        with queues.claim("tested") as lease:
            lease.settle(ids=[next(iter(lease)).id])
            if how == "error":
                raise RuntimeError("mine")

    if how == "error":
        with pytest.raises(RuntimeError, match="mine"):
            work()
    else:
        work()
    chunk = Chunk.objects.get()
    assert (chunk.state, chunk.succeeded, chunk.losses, chunk.tries) == ("ready", 1, 0, 0)
    assert not Attempt.objects.exists()
    with queues.claim("tested") as lease:
        assert [job.payload for job in lease] == [1, 2, 3, 4]
        assert {job.attempt for job in lease} == {1}
    assert_sound()


@pytest.mark.parametrize("some", [True, False])
def test_release_with_a_delay_spends_no_attempt(some: bool) -> None:
    make_queue()
    enqueue_batch(do, range(4))
    with queues.claim("tested") as lease:
        ids = [job.id for job in lease]
        lease.settle(ids=ids[:1])
        if some:
            assert lease.release(ids[1:3], delay=300) == [True, True]
        else:
            assert lease.release(delay=300) == [False, True, True, True]
    with queues.claim("tested") as lease:
        assert [job.id for job in lease] == (ids[3:] if some else [])
    late = Chunk.objects.filter(state="ready", run_at__gt=timezone.now() + timezone.timedelta(seconds=290))
    assert set(Job.objects.filter(chunk__in=late, own_state=None).values_list("pk", flat=True)) >= set(ids[1:3])
    assert set(Job.objects.values_list("failures", flat=True)) == {0}
    assert_sound()


def test_no_more_is_handed_out_than_was_wanted() -> None:
    make_queue(chunk_size=10, rate_limit=0.001, rate_burst=25, rate_tokens=25)
    batch = enqueue_batch(do, range(10))
    for wanted in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9]):
        with queues.claim("tested", want=4) as lease:
            assert len(lease) == len(wanted)
            assert [job.payload for job in lease] == wanted
            lease.settle(ids=[job.id for job in lease])
            assert Run.objects.latest("pk").state == "done"
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 10)
    # Jobs that were leased with their chunk only have cost no token: 25 - 10.
    assert Queue.objects.get().rate_tokens == pytest.approx(15, abs=0.1)
    assert_sound()


def test_a_lost_lease_writes_nothing() -> None:
    make_queue()
    enqueue_batch(do, range(3))
    with queues.claim("tested") as lease:
        ids = [job.id for job in lease]
        expire(lease)
        assert lease.settle(ids=ids) == [False] * 3
        assert lease.lost
        assert list(lease) == []
        with pytest.raises(LeaseLost):
            lease.extend(10)
        assert lease.release() == [False] * 3
    chunk = Chunk.objects.get()
    assert (chunk.state, chunk.succeeded, chunk.losses) == ("ready", 0, 1)
    assert (Run.objects.get().late, Worker.objects.get().late) == (3, 3)
    assert_sound()


def test_what_came_again_is_held_alone_one_job_at_a_time_and_the_killer_is_found() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch(do, range(3))
    expire(queues.claim("tested"))
    first, second, third = range(batch.first_job_id, batch.last_job_id + 1)
    with queues.claim("tested") as lease:
        assert [job.id for job in lease] == [first]
        assert Run.objects.latest("pk").marked_job == first
        lease.settle(ids=[first])
    lease = queues.claim("tested")
    assert [job.id for job in lease] == [second]
    expire(lease)
    assert list(DeadLetter.objects.values_list("job_id", "reason")) == [(second, "worker lost")]
    with queues.claim("tested") as lease:
        assert lease.settle(ids=[second, third]) == [False, True]
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, batch.dead) == ("partial", 2, 1)
    assert_sound()


def test_a_lease_lasts_as_long_as_was_said_and_can_be_made_longer() -> None:
    make_queue()
    enqueue_batch(do, range(2))
    with queues.claim("tested", lease=100) as lease:
        before = Run.objects.get().lease_until
        assert 95 < (before - timezone.now()).total_seconds() <= 100
        lease.settle(ids=[next(iter(lease)).id])
        assert abs((Run.objects.get().lease_until - before).total_seconds()) < 1, "settling makes it no longer"
        end = lease.extend(50)
        assert abs((end - before).total_seconds() - 50) < 1
        assert Run.objects.get().lease_until == end


def test_a_renewed_lease_outlives_its_seconds() -> None:
    make_queue()
    enqueue_batch(do, range(2))
    with queues.claim("tested", lease=0.5, renew=True) as lease:
        first = Run.objects.get().lease_until
        wait_for(lambda: Run.objects.get().lease_until > first + timezone.timedelta(seconds=2), 15, "renewals")
        assert reap.reap() == 0
        assert lease.settle(ids=[job.id for job in lease]) == [True, True]


def test_a_renewed_lease_learns_that_its_batch_stops() -> None:
    make_queue()
    batch = enqueue_batch(do, range(100))
    with queues.claim("tested", renew=True) as lease:
        jobs = iter(lease)
        next(jobs)
        cancel_batch(batch_id=batch.pk, actor="me", source="api")
        wait_for(lambda: list(lease) == [], 10, "the loop to see it")
    batch.refresh_from_db()
    assert (batch.state, batch.cancelled) == ("cancelled", 100)


def test_settling_is_part_of_the_caller_s_transaction() -> None:
    make_queue()
    batch = enqueue_batch(do, range(3))
    with queues.claim("tested") as lease:
        ids = [job.id for job in lease]
        with pytest.raises(RuntimeError), transaction.atomic():
            assert lease.settle(ids=ids) == [True] * 3
            raise RuntimeError("my own write failed")
        assert Chunk.objects.get().state == "leased"
        with transaction.atomic():
            assert lease.settle(ids=ids) == [True] * 3
        assert lease.settle(ids=ids) == [False] * 3
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 3)
    assert_sound()


def test_an_answer_that_was_lost_is_known_by_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    batch = enqueue_batch(do, range(4))
    real, broken = store.atomic, []

    def breaks_after_commit(**options: object) -> object:
        return _Broken(real(**options), broken)  # type: ignore[arg-type]

    with queues.claim("tested") as lease:
        ids = [job.id for job in lease]
        for part in (ids[:2], ids[2:]):
            broken.append(True)
            monkeypatch.setattr("queues.services.hold.store.atomic", breaks_after_commit)
            assert lease.settle(ids=part) == [True, True]
            assert not broken
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, Run.objects.get().step) == ("completed", 4, 2)
    assert_sound()


class _Broken:
    """A transaction, the first outermost of which commits but loses its answer."""

    def __init__(self, real: object, broken: list[bool]) -> None:
        self.real, self.broken = real, broken

    def __enter__(self) -> None:
        self.outer = not store.in_transaction()
        self.real.__enter__()  # type: ignore[attr-defined]

    def __exit__(self, *error: object) -> object:
        answer = self.real.__exit__(*error)  # type: ignore[attr-defined]
        if self.outer and self.broken and error[0] is None:
            self.broken.clear()
            raise store.CONNECTION_ERRORS[0]("the answer was lost")
        return answer


def test_limits_pauses_and_open_batches_hold_for_consumers_too() -> None:
    queue = make_queue(max_runs=1, chunk_size=2)
    open_batch = enqueue_batch(do, range(2), open=True)
    assert not queues.claim("tested")
    add_jobs(open_batch, range(2))
    seal(open_batch)
    with queues.claim("tested", want=2) as lease:
        assert len(lease) == 2
        assert not queues.claim("tested"), "the only place is taken"
        assert QueueSlot.objects.get().run_id == lease.run_id
    assert QueueSlot.objects.get().run_id is None
    Queue.objects.filter(pk=queue.pk).update(paused_at=timezone.now())
    assert not queues.claim("tested")
    Queue.objects.filter(pk=queue.pk).update(paused_at=None)
    with queues.claim("tested") as lease:
        lease.settle(ids=[job.id for job in lease])
    open_batch.refresh_from_db()
    assert open_batch.state == "completed"


def test_a_collecting_queue_hands_out_what_it_has_collected() -> None:
    make_queue(flush_jobs=20, chunk_size=5)
    enqueue_batch(do, range(15))
    assert not queues.claim("tested", want=3)
    enqueue_batch(do, range(5))
    with queues.claim("tested", want=3) as lease:
        assert len(lease) == 20


def test_jobs_of_one_handler_at_a_time() -> None:
    make_queue()
    enqueue(do, 1)
    enqueue(do_all, 2)
    with queues.claim("tested") as one, queues.claim("tested") as other:
        assert {one.handler, other.handler} == {"tested.do", "tested.all"}
        assert (len(one), len(other)) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queue": "nobody"}, "unknown queue 'nobody'"),
        ({"want": 0}, "want: 0"),
        ({"want": True}, "want: True"),
        ({"want": 10_001}, "want: 10001"),
        ({"lease": 0}, "lease: 0 s"),
        ({"lease": float("nan")}, "lease: nan"),
        ({"lease": 8 * 86_400}, "lease: 691200 s"),
        ({"lease": "60"}, "lease: '60'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_claimed(arguments: dict[str, object], message: str) -> None:
    make_queue()
    enqueue(do, 1)
    with pytest.raises(ConsumeError, match=message):
        queues.claim(**{"queue": "tested", **arguments})  # type: ignore[arg-type]
    with pytest.raises(ConsumeError, match=message):
        queues.consume(**{"queue": "tested", **arguments})  # type: ignore[arg-type]
    assert not Run.objects.exists()


def test_bad_arguments_of_a_lease_are_refused_and_nothing_is_written() -> None:
    make_queue()
    enqueue(do, 1)
    with queues.claim("tested") as lease:
        (job,) = lease
        with pytest.raises(TypeError, match="'1' is no job id"):
            lease.settle({job.id: None, "1": None})  # type: ignore[dict-item]
        with pytest.raises(TypeError, match="either"):
            lease.settle()  # type: ignore[call-overload]
        for bad in (-1, float("inf"), "soon"):
            with pytest.raises(ValueError, match="delay"):
                lease.release(delay=bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="extend"):
            lease.extend(0)
        with pytest.raises(ConsumeError, match="renew"), transaction.atomic():
            queues.claim("tested", renew=True)
        assert Run.objects.get().step == 0
    for idle in ((0, 1), (2, 1), (0.1, float("inf"))):
        with pytest.raises(ValueError, match="idle"):
            queues.consume("tested", idle=idle)


def test_jobs_that_were_all_cancelled_since_are_let_go_at_once() -> None:
    make_queue()
    enqueue_batch(do, range(2))
    Job.objects.update(own_state="cancelled")
    Chunk.objects.update(cancelled=2)
    assert not queues.claim("tested")
    assert not Run.objects.filter(state="running").exists()
    assert Chunk.objects.get().state == "done"


def test_a_consumer_is_a_worker_that_others_see() -> None:
    make_queue()
    enqueue_batch(do, range(3))
    with Consumer("tested", name="mine") as one, Consumer("tested") as other:
        rows = {row.pk: row for row in Worker.objects.all()}
        assert (rows[one.identity.id].name, rows[one.identity.id].queues) == ("mine", ["tested"])
        assert rows[other.identity.id].name != "mine"
        with one.claim("tested") as lease:
            assert Run.objects.get().worker_id == one.identity.id
            ids = [job.id for job in lease]
            lease.settle({ids[0]: None, ids[1]: Reject("no")})
    mine = Worker.objects.get(name="mine")
    assert (mine.state, mine.processed, mine.failed) == ("stopped", 2, 1)
    with pytest.raises(ConsumerStopped):
        one.claim("tested")


def test_a_consumer_that_leaves_gives_back_what_it_holds() -> None:
    make_queue()
    enqueue_batch(do, range(3))
    leaving = Consumer("tested")
    lease = leaving.claim("tested")
    leaving.leave()
    assert Chunk.objects.get().state == "ready"
    assert lease.settle(ids=[1]) == [False]
    assert not lease.lost


def test_consume_goes_on_until_it_is_stopped() -> None:
    make_queue(chunk_size=10)
    batch = enqueue_batch(do, range(100))
    stop, seen = threading.Event(), []
    for lease in queues.consume("tested", want=10, idle=(0.01, 0.05), stop=stop, name="loop"):
        seen += [job.payload for job in lease]
        lease.settle(ids=[job.id for job in lease])
        if len(seen) == 100:
            stop.set()
    assert seen == list(range(100))
    batch.refresh_from_db()
    assert batch.state == "completed"
    assert Worker.objects.get(name="loop").state == "stopped"


def test_consume_waits_for_work_and_sees_a_stop_while_it_rests() -> None:
    make_queue()
    stop, seen = threading.Event(), []

    def work() -> None:
        try:
            for lease in queues.consume("tested", idle=(0.01, 60.0), stop=stop, name="rests"):
                seen.extend(job.payload for job in lease)
                lease.settle(ids=[job.id for job in lease])
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: Worker.objects.filter(name="rests").exists(), 10, "the consumer")
    enqueue(do, "late")
    wait_for(lambda: seen == ["late"], 10, "the job")
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("how", ["break", "error"])
def test_leaving_the_loop_gives_the_rest_back(how: str) -> None:
    make_queue()
    enqueue_batch(do, range(5))

    def work() -> None:
        for lease in queues.consume("tested", name="left"):
            lease.settle(ids=[next(iter(lease)).id])
            if how == "error":
                raise RuntimeError("mine")
            break

    if how == "error":
        with pytest.raises(RuntimeError, match="mine"):
            work()
    else:
        work()
    gc.collect()
    assert Chunk.objects.get().state == "ready"
    assert Worker.objects.get(name="left").state == "stopped"
    assert Batch.objects.get().state == "running"


def test_many_consumers_share_a_queue_and_each_job_is_had_once() -> None:
    make_queue(chunk_size=20)
    batch = enqueue_batch(do, range(2_000))
    taken: list[list[int]] = [[] for _ in range(4)]
    stop = threading.Event()

    def work(mine: list[int]) -> None:
        try:
            for lease in queues.consume("tested", want=20, idle=(0.01, 0.02), stop=stop, name=str(uuid.uuid4())):
                ids = [job.id for job in lease]
                assert lease.settle(ids=ids) == [True] * len(ids)
                mine += ids
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    wait_for(lambda: Batch.objects.get().state == "completed", 60, "the batch to end")
    stop.set()
    for thread in threads:
        thread.join(10)
    assert sorted(job for mine in taken for job in mine) == list(range(batch.first_job_id, batch.last_job_id + 1))
    assert sum(map(bool, taken)) > 1
    assert Worker.objects.filter(state="stopped").count() == 4
    assert_sound()


def test_from_an_event_loop() -> None:
    make_queue(chunk_size=4)
    batch = enqueue_batch(do, range(12))
    seen: list[int] = []

    async def work() -> None:
        async with queues.aclaim("tested", want=4) as lease:
            assert len(lease) == 4 and not lease.lost
            jobs = list(lease)
            seen.extend(job.payload for job in jobs)
            assert await lease.settle({job.id: None for job in jobs[:3]}) == {job.id: True for job in jobs[:3]}
            assert (await lease.extend(5)) > timezone.now()
            assert await lease.release([jobs[3].id]) == [True]
        stop = asyncio.Event()
        async for lease in queues.aconsume("tested", want=4, idle=(0.01, 0.02), stop=stop, name="async"):
            seen.extend(job.payload for job in lease)
            await lease.settle(ids=[job.id for job in lease])
            if len(seen) == 13:
                stop.set()

    async_to_sync(work)()
    assert sorted(seen) == sorted([*range(12), 3])
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 12)
    assert Worker.objects.get(name="async").state == "stopped"


def test_a_cancelled_task_gives_back_what_it_was_getting() -> None:
    make_queue()
    enqueue_batch(do, range(3))

    async def work() -> None:
        async def hold() -> None:
            async with queues.aclaim("tested"):
                await asyncio.sleep(60)

        task = asyncio.create_task(hold())
        await asyncio.sleep(0)  # it has asked, and nobody has answered yet
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async_to_sync(work)()
    assert Chunk.objects.get().state == "ready"
    assert not Run.objects.filter(state="running").exists()
