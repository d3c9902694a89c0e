"""Signals: each at the right time with the right facts, after the commit, and nobody is disturbed by a receiver."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.dispatch import Signal

from queues import signals
from queues.models import Chunk, Queue, Run
from queues.serve import Server
from queues.services import operate, pause, workers
from queues.services.enqueue import add_jobs, enqueue_batch, seal
from queues.services.reap import reap
from tests.checker import assert_sound
from tests.queues.working import do, drain, leased, make_queue

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = [name for name, value in vars(signals).items() if isinstance(value, Signal)]


class Heard(list[tuple[str, dict[str, Any]]]):
    """What was told, in order."""

    def of(self, name: str) -> list[dict[str, Any]]:
        return [facts for told, facts in self if told == name]

    @property
    def names(self) -> list[str]:
        return [name for name, _facts in self]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Everything that is told during the test."""
    found, receivers = Heard(), []
    for name in NAMES:

        def receive(signal: Signal, sender: None, told: str = name, **facts: Any) -> None:
            found.append((told, facts))

        receivers.append((getattr(signals, name), receive))
        getattr(signals, name).connect(receive)
    yield found
    for signal, receive in receivers:
        signal.disconnect(receive)


def serve(server: Server, name: str = "tested") -> None:
    while server.serve(Queue.objects.get(name=name).pk):
        pass


def test_the_life_of_a_batch(server: Server, heard: Heard) -> None:
    make_queue(max_attempts=2, backoff_base=0, jitter=0, chunk_size=10)
    batch = enqueue_batch(do, [{}, {}, {"die": 1}, {"fail": 1}], name="letters", created_by="anna")
    serve(server)
    assert heard.of("batch_enqueued") == heard.of("batch_enqueued")[:1]
    enqueued, ended = heard.of("batch_enqueued")[0], heard.of("batch_finished")[0]
    assert (enqueued["batch"], enqueued["name"], enqueued["queue"], enqueued["total"]) == (
        batch.pk,
        "letters",
        "tested",
        4,
    )
    assert (enqueued["state"], enqueued["created_by"], enqueued["finished_at"]) == ("running", "anna", None)
    assert [facts["batch"] for facts in heard.of("batch_started")] == [batch.pk]
    assert (ended["state"], ended["succeeded"], ended["dead"], ended["generation"]) == ("partial", 2, 2, 1)
    retried = heard.of("jobs_retried")
    assert [[(job["attempt"], job["error_class"]) for job in one["jobs"]] for one in retried] == [[(1, "ValueError")]]
    dead = heard.of("job_dead")
    assert sorted((one["reason"], one["attempts"], one["error_class"]) for one in dead) == [
        ("out of attempts", 2, "ValueError"),
        ("rejected by its handler", 1, "Reject"),
    ]
    assert {one["batch"] for one in dead} == {batch.pk}
    order = [name for name in heard.names if name in ("batch_enqueued", "batch_started", "batch_finished")]
    assert order == ["batch_enqueued", "batch_started", "batch_finished"]


def test_a_batch_that_is_opened_again_ends_again(heard: Heard) -> None:
    make_queue()
    batch = enqueue_batch(do, [{}, {"die": 1}])
    drain()
    operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="anna", source="api")
    drain()
    assert [(one["generation"], one["dead"]) for one in heard.of("batch_finished")] == [(1, 1), (2, 1)]
    assert len(heard.of("batch_enqueued")) == 1


def test_an_open_batch_is_enqueued_when_it_is_sealed_and_parts_are_told_of_as_one(heard: Heard, settings: Any) -> None:
    make_queue()
    batch = enqueue_batch(do, [], open=True)
    add_jobs(batch, [{}, {}])
    assert heard.of("batch_enqueued") == []
    seal(batch)
    settings.BATCH_MAX_JOBS = 2
    parent = enqueue_batch(do, [{}] * 5, split=True)
    drain()
    told = [(one["batch"], one["total"]) for one in heard.of("batch_enqueued")]
    assert told == [(batch.pk, 2), (parent.pk, 5)]
    assert {one["batch"] for one in heard.of("batch_finished")} == {batch.pk, parent.pk}


def test_runs_with_their_sizes(server: Server, heard: Heard) -> None:
    make_queue(run_size=300, chunk_size=100, flush_jobs=250, flush_seconds=60)
    enqueue_batch(do, [{}] * 249 + [{"die": 1}])
    serve(server)
    started, gathered, ended = (heard.of(f"run_{what}")[0] for what in ("started", "accumulated", "finished"))
    assert (started["jobs"], started["chunks"], started["run_size"], started["chunk_size"]) == (250, 3, 300, 100)
    assert (gathered["jobs"], gathered["flush_jobs"], gathered["flush_seconds"]) == (250, 250, 60.0)
    assert gathered["bytes"] == Run.objects.get().bytes > 0
    assert 0 <= gathered["waited_seconds"] < 60
    assert (ended["jobs"], ended["succeeded"], ended["failed"], ended["dead"], ended["retried"]) == (250, 249, 1, 1, 0)
    assert ended["wanted"] == Run.objects.get().wanted
    assert ended["seconds"] > 0
    assert {one["run"] for one in (started, gathered, ended)} == {Run.objects.get().pk}
    assert heard.names.index("run_started") < heard.names.index("job_dead") < heard.names.index("run_finished")


def test_a_lost_run_and_the_coming_and_going_of_workers(server: Server, heard: Heard) -> None:
    make_queue(max_attempts=1)
    enqueue_batch(do, [{}])
    Chunk.objects.update(solo=True)
    with leased() as execution:
        run = Run.objects.get()
        Run.objects.update(lease_until="2020-01-01T00:00:00Z", marked_job=execution.claim.ids[0])
        assert reap() == 1
        execution.lost = True
    assert heard.of("run_lost") == [
        {"run": run.pk, "queue": "tested", "worker": str(run.worker_id), "marked_job": execution.claim.ids[0]}
    ]
    assert [one["reason"] for one in heard.of("job_dead")] == ["worker lost"]
    who = workers.identify()
    workers.register(identity=who, queues=["tested"])
    workers.leave(worker_id=who.id)
    workers.leave(worker_id=who.id)
    assert [one["queues"] for one in heard.of("worker_started")] == [["tested"]]
    assert [(one["worker"], one["silent"]) for one in heard.of("worker_stopped")] == [(str(who.id), False)]


def test_pausing_and_resuming(heard: Heard) -> None:
    make_queue()
    pause.pause_queue(name="tested", actor="anna", source="api", reason="broken")
    pause.resume_queue(name="tested", actor="ben", source="api")
    assert heard == [
        ("queue_paused", {"queue": "tested", "by": "anna", "reason": "broken", "until": None}),
        ("queue_resumed", {"queue": "tested", "by": "ben", "reason": ""}),
    ]


def test_what_is_rolled_back_is_not_told(heard: Heard) -> None:
    make_queue()
    with pytest.raises(RuntimeError), transaction.atomic():
        enqueue_batch(do, [{}])
        assert heard == []
        raise RuntimeError
    assert heard == []
    with transaction.atomic():
        enqueue_batch(do, [{}])
        assert heard == []
    assert heard.names == ["batch_enqueued"]


def test_a_receiver_that_fails_or_leaves_a_transaction_open_disturbs_nobody(
    server: Server, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_facts: Any) -> None:
        raise ValueError("the receiver is broken")

    def leave_open(**_facts: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE queues_batch SET name = 'changed'")

    make_queue()
    for signal in (signals.batch_finished, signals.job_dead, signals.run_started):
        signal.connect(fail)
    signals.run_finished.connect(leave_open)
    try:
        batch = enqueue_batch(do, [{}, {"die": 1}])
        with caplog.at_level(logging.ERROR):
            serve(server)
    finally:
        for signal in (signals.batch_finished, signals.job_dead, signals.run_started):
            signal.disconnect(fail)
        signals.run_finished.disconnect(leave_open)
    batch.refresh_from_db()
    assert (batch.state, batch.name) == ("partial", "")
    assert "the receiver is broken" in caplog.text
    assert "left a transaction open" in caplog.text
    assert len(heard.of("batch_finished")) == 1
    assert_sound()


def test_a_checkpoint_does_not_wait_for_receivers(declare: Callable[..., Any], server: Server, heard: Heard) -> None:
    make_queue()
    batch = enqueue_batch(do, [{"die": 1}, {}])
    seen: list[int] = []
    with leased() as execution:
        execution.note(0, _reject(), 0.0)
        execution._renewed = float("-inf")
        execution.tick()
        seen.append(len(heard.of("job_dead")))
        assert Run.objects.get().dead == 1, "the checkpoint has been committed"
        execution.succeeded.append(1)
    assert (seen, len(heard.of("job_dead"))) == ([0], 1)
    assert batch.pk == heard.of("job_dead")[0]["batch"]


def _reject() -> Any:
    from queues.domain.outcomes import Reject

    return Reject("no")


def test_nothing_is_read_for_signals_that_nobody_hears(django_assert_max_num_queries: Any) -> None:
    for name in NAMES:
        assert not getattr(signals, name).has_listeners()
    make_queue()
    with django_assert_max_num_queries(40):
        enqueue_batch(do, [{}] * 100)
        drain()


def test_every_signal_is_in_the_documents() -> None:
    from pathlib import Path

    text = (Path(__file__).resolve().parents[2] / "docs/events.md").read_text()
    assert {name for name in NAMES if f"`{name}`" not in text} == set()
