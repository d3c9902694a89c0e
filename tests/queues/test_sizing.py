"""How large runs and chunks become on a real queue."""

import io
import json
from collections.abc import Callable
from time import sleep
from typing import Any

import pytest
from django.core.checks import Warning as CheckWarning

from queues import handlers
from queues.checks import check_declarations
from queues.domain.outcomes import Job
from queues.models import Chunk, Queue, Run
from queues.serve import Server
from queues.services.enqueue import EnqueueError, add_jobs, enqueue, enqueue_batch, seal
from queues.services.submit import submit
from tests.checker import assert_sound
from tests.queues.working import make_queue

Declare = Callable[..., Any]


def sizes(batch: Any) -> list[int]:
    return list(Chunk.objects.filter(batch=batch).order_by("pk").values_list("size", flat=True))


# Runs


def wanted(handler: str | None = None) -> list[tuple[int, int]]:
    runs = Run.objects.order_by("pk")
    return list((runs.filter(handler=handler) if handler else runs).values_list("wanted", "claimed"))


def test_runs_start_small_and_grow_by_half_up_to_their_bound(server: Server) -> None:
    queue = make_queue(chunk_size=1, run_start=4, run_least=1, run_size=12)
    enqueue_batch("tested.do", range(40))
    server.serve(queue.pk, seconds=60)
    assert wanted() == [(4, 4), (6, 6), (9, 9), (12, 12), (12, 9)]
    assert_sound()


def test_a_slow_handler_shrinks_its_runs_and_no_other(server: Server, declare: Declare) -> None:
    @declare(name="declared.slow")
    def slow(job: Job) -> None:
        sleep(0.03)

    # A run of 6 slow jobs takes 0.18 s, more than twice the target; of quick ones, far less than half.
    queue = make_queue(chunk_size=1, run_start=6, run_least=2, run_size=9, run_target=0.05)
    for _ in range(3):
        for _ in range(12):
            enqueue(slow, {})
        for _ in range(9):
            enqueue("tested.do", {})
    server.serve(queue.pk, seconds=60)
    assert [aim for aim, _ in wanted("declared.slow")][:3] == [6, 4, 2]
    assert all(claimed <= aim for aim, claimed in wanted())
    aims = server.aims(_policy(queue))
    assert (aims["declared.slow"] <= 3, aims["tested.do"]) == (True, 9)
    assert_sound()


def _policy(queue: Queue) -> Any:
    from queues.services import claim

    return claim.policy(queue_id=queue.pk)


def test_an_aim_above_a_bound_that_was_lowered_is_not_kept(server: Server) -> None:
    queue = make_queue(chunk_size=1, run_start=20, run_size=50)
    enqueue_batch("tested.do", range(20))
    server.serve(queue.pk, seconds=60)
    Queue.objects.update(run_size=5)
    enqueue_batch("tested.do", range(10))
    server.serve(queue.pk, seconds=60)
    assert wanted() == [(20, 20), (5, 5), (5, 5)]


def test_a_run_start_above_the_bound_is_the_bound(server: Server) -> None:
    queue = make_queue(chunk_size=1, run_start=50, run_size=3)
    enqueue_batch("tested.do", range(6))
    server.serve(queue.pk, seconds=60)
    assert wanted() == [(3, 3), (3, 3)]


def test_a_queue_that_collects_keeps_its_own_rule(server: Server) -> None:
    queue = make_queue(chunk_size=1, run_start=2, run_size=30, flush_jobs=20)
    enqueue_batch("tested.do", range(25))
    server.serve(queue.pk, seconds=60)
    assert wanted() == [(30, 25)]


# Chunks


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("boundaries", "expected"),
    [("fixed", [200, 50]), ("handler", [100, 100, 50]), ("stage", [250])],
)
def test_boundaries_say_what_cuts_a_batch(declare: Declare, boundaries: str, expected: list[int]) -> None:
    @declare(weight="heavy")
    def heavy(job: Job) -> None: ...

    make_queue(boundaries=boundaries)
    batch = enqueue_batch(heavy, range(250))
    assert sizes(batch) == expected
    assert batch.chunk_size == max(expected) if boundaries != "stage" else 10_000
    assert sizes(enqueue_batch(heavy, range(250), chunk_size=125)) == [125, 125]
    assert_sound()


@pytest.mark.django_db
def test_a_handler_without_a_size_is_cut_by_the_queues(declare: Declare) -> None:
    make_queue(boundaries="handler", chunk_size=40)
    assert sizes(enqueue_batch("tested.do", range(100))) == [40, 40, 20]
    light = declare(chunk_size=70)(lambda job: None)
    assert sizes(enqueue_batch(light, range(100))) == [70, 30]


@pytest.mark.django_db
@pytest.mark.parametrize("source", [list, iter], ids=["list", "generator"])
def test_batches_below_the_threshold_are_spread_job_by_job(source: Callable[[Any], Any]) -> None:
    make_queue(batch_threshold=5, chunk_size=3)
    assert sizes(enqueue_batch("tested.do", source(range(4)))) == [1, 1, 1, 1]
    assert sizes(enqueue_batch("tested.do", source(range(5)))) == [3, 2]
    assert sizes(enqueue_batch("tested.do", source(range(4)), chunk_size=2)) == [2, 2]
    with pytest.raises(EnqueueError, match="at least one"):
        enqueue_batch("tested.do", source([]))
    assert_sound()


@pytest.mark.django_db
def test_an_open_batch_is_never_small_yet() -> None:
    make_queue(batch_threshold=5, chunk_size=3)
    batch = enqueue_batch("tested.do", [1], open=True)
    add_jobs(batch, range(3))
    seal(batch)
    assert sizes(batch) == [1, 3]


@pytest.mark.django_db
def test_the_same_small_batch_is_known_by_its_key_from_list_and_stream() -> None:
    make_queue(batch_threshold=5)
    first = enqueue_batch("tested.do", [1, 2], idempotency_key="once")
    assert enqueue_batch("tested.do", iter([1, 2]), idempotency_key="once").pk == first.pk


@pytest.mark.django_db
def test_files_are_cut_by_the_same_rules() -> None:
    make_queue(batch_threshold=5, chunk_size=3)
    batch = submit(stream=io.BytesIO(b"1\n2\n"), form="jsonl", handler="tested.do", queue=None, actor="a", source="api")
    assert sizes(batch) == [1, 1]


def test_declarations_are_refused_with_the_reason(declare: Declare) -> None:
    with pytest.raises(handlers.DeclarationError, match=r"declared\.\d+': weight: 'fat' is not one of light, heavy"):
        declare(weight="fat")(lambda job: None)


def test_a_declared_size_that_says_nothing_is_told(declare: Declare) -> None:
    handlers.queue("sized")
    declare(queue="sized", name="declared.sized", chunk_size=7)(lambda job: None)
    found = [one for one in check_declarations() if isinstance(one, CheckWarning) and one.id == "queues.W004"]
    assert ["declared.sized" in one.msg for one in found] == [True]
    handlers._queues.pop("sized")
    handlers.queue("sized", boundaries="handler")
    assert [one for one in check_declarations() if one.id == "queues.W004"] == []


# Advice


@pytest.mark.django_db
def test_advice_from_the_last_runs() -> None:
    from dataclasses import replace
    from datetime import timedelta
    from uuid import uuid4

    from django.utils import timezone

    from queues.selectors.advice import advise, chunk_in_words, in_words
    from tests.queues.commanding import command

    queue = make_queue(run_target=5.0)
    assert advise(queue) == []
    assert "no finished runs" in command("advise", "tested").out
    now = timezone.now()
    for jobs, seconds in ((50, 1.0), (100, 2.0)):
        Run.objects.create(
            queue=queue,
            worker_id=uuid4(),
            handler="tested.do",
            lease_until=now,
            state="done",
            chunks=1,
            claimed=jobs,
            succeeded=jobs - 10,
            failed=10,
            p50_ms=seconds / jobs * 1000,
            started_at=now - timedelta(seconds=seconds),
            finished_at=now,
        )
    (found,) = advise(queue)
    assert (found.handler, found.runs, found.jobs, found.lanes) == ("tested.do", 2, 150, 1)
    assert (found.job_ms, found.p50_ms) == (pytest.approx(20.0), pytest.approx(20.0))
    assert (found.advice.kind, found.advice.least, found.advice.most, found.advice.size) == ("medium", 50, 100, 100)
    assert found.advice.run_seconds == pytest.approx(2.0)
    assert in_words(found) == ("tested.do: 20.0 ms a job (medium), so runs of 50-100 jobs; 100 take about 2.0 s")
    assert chunk_in_words(found) == (
        "Chunks of 50: a run takes 2 of them, about 2.0 s; a crash repeats at most 2 s in any case."
    )
    Queue.objects.update(run_size=50)
    (found,) = advise(Queue.objects.get())
    assert (found.chunk.size, found.chunk.a_run) == (20, 3), "runs cannot be larger than the policy says"
    Queue.objects.update(run_size=500, flush_jobs=400)
    (found,) = advise(Queue.objects.get())
    assert (found.chunk.size, found.chunk.a_run) == (200, 3), "a queue that collects takes all it may"
    Queue.objects.update(flush_jobs=None)
    words = chunk_in_words(replace(found, whole=True))
    assert words.endswith("a crash repeats the whole run.")
    assert chunk_in_words(replace(found, job_ms=3_000.0)).endswith("a crash repeats only the jobs in hand.")
    Queue.objects.update(concurrency=10)
    (found,) = advise(Queue.objects.get())
    assert (found.job_ms, found.advice.kind, found.advice.size) == (pytest.approx(200.0), "waiting", 200)

    answer = command("advise", "tested", "--json")
    assert (answer.code, answer.document["run_size"]) == (0, 500)
    assert answer.document["handlers"][0]["advice"]["most"] == 200
    assert answer.document["handlers"][0]["chunk"]["size"] == 100
    table = command("advise", "tested").out
    assert "tested.do" in table and "100-200" in table
    assert command("advise", "unheard").code == 1
    assert json.dumps(answer.document)
