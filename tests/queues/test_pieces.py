"""Runs that are settled piece by piece."""

import logging
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ValidationError

from queues import execution as execution_module
from queues.domain.outcomes import Job
from queues.models import Attempt, Queue, Run
from queues.serve import Server
from queues.services import settle as settle_service
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import make_queue

Declare = Callable[..., Any]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "queues.pieces")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "queues.pieces"]


def counts(lines: list[str]) -> list[str]:
    """How many jobs had ended, and how many had failed, by each line of progress."""
    return [line.partition(": ")[2].rpartition(", ")[0] for line in lines if "jobs/s" in line]


@pytest.mark.parametrize("form", ["def", "async def", "threads"])
def test_a_run_is_settled_after_each_so_many_jobs(
    server: Server, declare: Declare, told: Callable[[], list[str]], form: str
) -> None:
    seen: dict[int, int] = {}

    def do(job: Job) -> None:
        if job.payload == 4:
            raise ValueError("the fifth fails")

    async def async_do(job: Job) -> None:
        do(job)

    handler = declare()(async_do if form == "async def" else do)
    queue = make_queue(chunk_size=35, settle_jobs=10, concurrency=1 if form == "def" else 3, max_attempts=1)
    real = settle_service.settle

    def settle(**values: Any) -> Any:
        seen[values["step"]] = len(values["ended"].succeeded) + len(values["ended"].others)
        return real(**values)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(execution_module.settle_service, "settle", settle)
        batch = enqueue_batch(handler, range(35))
        server.serve(queue.pk)
    batch.refresh_from_db()
    assert (batch.succeeded, batch.dead) == (34, 1)
    run = Run.objects.get()
    assert (run.state, run.succeeded, run.failed, run.claimed) == ("done", 34, 1, 35)
    assert Attempt.objects.count() == 1
    lines = counts(told())
    assert lines[-1] == "35 of 35 jobs, 1 failed"
    # Jobs side by side may end a few more before the piece is settled.
    pieces = list(seen.values())[:3]
    assert len(lines) == 4 and all(10 <= piece <= 12 for piece in pieces)
    if form == "def":
        assert lines == [f"{n} of 35 jobs, 1 failed" for n in (10, 20, 30, 35)]
        # The last five have all succeeded: that is the other way to end a run, which needs no plan.
        assert (pieces, run.step) == ([10, 10, 10], 4)
    assert_sound()


def test_what_cannot_be_settled_now_is_settled_later(
    server: Server, told: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue(chunk_size=30, settle_jobs=10)
    real, left = settle_service.settle, [2]

    def away(**values: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise psycopg.OperationalError("the connection was lost")
        return real(**values)

    monkeypatch.setattr(execution_module.settle_service, "settle", away)
    batch = enqueue_batch("tested.do", range(30))
    server.serve(queue.pk)
    batch.refresh_from_db()
    assert (batch.succeeded, left) == (30, [0])
    assert any("a piece is settled later: the connection was lost" in line for line in told())
    assert counts(told())[-1] == "30 of 30 jobs, 0 failed"
    assert_sound()


def test_a_run_whose_lease_is_gone_stops_at_the_end_of_its_piece(server: Server, declare: Declare) -> None:
    called = []

    @declare()
    def handler(job: Job) -> None:
        called.append(job.payload)
        if job.payload == 7:
            Run.objects.update(state="lost", finished_at=Run.objects.get().started_at)

    queue = make_queue(chunk_size=100, settle_jobs=10)
    enqueue_batch(handler, range(100))
    server.serve(queue.pk)
    assert called == list(range(10))
    assert Run.objects.get().late == 10


def test_a_cancelled_batch_stops_at_the_end_of_its_piece(server: Server, declare: Declare) -> None:
    from queues.services.cancel import cancel_batch

    called = []

    @declare()
    def handler(job: Job) -> None:
        called.append(job.payload)
        if job.payload == 3:
            cancel_batch(batch_id=job.batch_id, actor="tests", source="test")

    queue = make_queue(chunk_size=50, settle_jobs=10)
    batch = enqueue_batch(handler, range(50))
    server.serve(queue.pk)
    batch.refresh_from_db()
    assert called == list(range(10))
    assert (batch.succeeded, batch.cancelled) == (10, 40)
    assert_sound()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"acknowledge": "all_or_nothing"}, "acknowledge is all_or_nothing"),
        ({"acknowledge": "last_successful"}, "acknowledge is last_successful"),
        ({"handler": "tested.all"}, "tested.all is called once"),
        ({"name": "wholes"}, "declared.whole is called once"),
    ],
)
def test_where_there_are_no_pieces_it_is_refused(declare: Declare, policy: dict[str, Any], said: str) -> None:
    declare(queue="wholes", name="declared.whole", whole=True)(lambda jobs: None)
    queue = Queue(**{"name": "pieced", "settle_jobs": 10, **policy})
    with pytest.raises(ValidationError) as refused:
        queue.clean()
    assert said in refused.value.message_dict["settle_jobs"][0]
    Queue(name="pieced", settle_jobs=10, handler="tested.do").clean()
