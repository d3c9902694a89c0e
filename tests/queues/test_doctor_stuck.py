"""The doctor on stuck work and configuration, the system checks, and the command's answers."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.core.checks import CheckMessage
from django.db import connection
from django.utils import timezone

from queues import handlers
from queues.checks import check_declarations
from queues.models import Batch, Chunk, JobKey, Queue, QueueSlot, Run, Worker
from queues.services import configuration, doctor
from queues.services.batch_pause import pause_batch
from queues.services.doctor import Problem, check_configuration, check_stuck, examine
from queues.services.enqueue import enqueue, enqueue_batch
from tests.queues.commanding import command
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db
LONG_AGO = timedelta(minutes=10)


def _stuck() -> list[str]:
    return [f"{problem.check}: {problem.subject}: {problem.message}" for problem in check_stuck()]


def _worker(**values: Any) -> Worker:
    facts = {"name": "w", "host": "h", "machine": "m", "pid": 1, "process_started": 0, "version": "1", "state": "ready"}
    return Worker.objects.create(id=uuid.uuid4(), **{**facts, **values})


def test_nothing_to_say_of_a_healthy_system() -> None:
    make_queue()
    _worker()
    enqueue_batch(do, [{}] * 3)
    drain()
    enqueue_batch(do, [{}] * 3)
    assert examine(counts=True) == []
    answer = command("doctor", "--counts")
    assert (answer.code, answer.out) == (0, "all is as it should be\n")
    assert command("doctor", "--json").document == {"problems": [], "warnings": []}


def test_expired_runs() -> None:
    queue = make_queue()
    now = timezone.now()
    Run.objects.create(queue=queue, worker_id=uuid.uuid4(), lease_until=now - timedelta(seconds=5), chunks=1, claimed=1)
    assert _stuck() == []
    Run.objects.update(lease_until=now - LONG_AGO)
    assert _stuck() == [
        "reap: runs: 1 leases have ended, the first 10 minutes ago, and nobody took the work back: is `reap` rung?"
    ]


def test_unannounced_batches() -> None:
    queue = make_queue()
    batch = enqueue_batch(do, [{}])
    Batch.objects.update(queued_at=None)
    assert _stuck() == []
    Batch.objects.update(created_at=batch.created_at - 3 * LONG_AGO, sealed_at=batch.created_at - 3 * LONG_AGO)
    assert "hand-over: batches: 1 have not been announced, the oldest for 30 minutes" in _stuck()[0]
    Queue.objects.filter(pk=queue.pk).update(paused_at=timezone.now())
    assert _stuck() == []


def test_a_missed_end() -> None:
    make_queue()
    batch = enqueue_batch(do, [{}])
    drain()
    Batch.objects.update(state="running", finished_at=None, succeeded=None, dead=None, cancelled=None)
    assert _stuck() == []
    Chunk.objects.update(finished_at=timezone.now() - LONG_AGO)
    assert _stuck() == [f"finish: batch {batch.pk}: nothing is left to do for 10 minutes: is `finish` rung?"]


def test_slots_and_keys() -> None:
    queue = make_queue()
    QueueSlot.objects.create(queue=queue, number=1, run_id=2**40)
    enqueue(do, {}, key="alive")
    JobKey.objects.create(queue=queue, key="lost", job_id=2**40)
    assert _stuck() == [
        f"slots: slot 1 of queue tested: held by run {2**40}, which is gone",
        f"keys: key 'lost': its job {2**40} has ended",
    ]


def test_silent_workers() -> None:
    _worker(heartbeat_at=timezone.now() - timedelta(minutes=1))
    _worker(name="gone", heartbeat_at=timezone.now() - LONG_AGO)
    _worker(name="ended", heartbeat_at=timezone.now() - LONG_AGO, state="stopped")
    assert _stuck() == ["workers: worker gone: not heard of for 10 minutes, and not taken for stopped"]


def test_work_without_a_worker() -> None:
    make_queue()
    enqueue(do, {}, run_at=timezone.now() - LONG_AGO)
    Chunk.objects.update(created_at=timezone.now() - LONG_AGO)
    assert _stuck() == ["workers: queue tested: work is due for 10 minutes, and no worker is alive"]
    _worker()
    assert [line.split(" ", 1)[0] for line in _stuck()] == ["standstill:"], "a worker alone is no movement"


def test_handlers_that_are_not_there() -> None:
    queue = make_queue()
    make_queue("bare")
    Queue.objects.filter(name="bare").update(handler="")
    enqueue(do, {})
    _worker()
    assert check_stuck() == [Problem("handlers", "queue bare", "no handler is declared for it", warning=True)]
    assert command("doctor").code == 0
    Queue.objects.filter(pk=queue.pk).update(handler="old.name")
    Chunk.objects.update(handler="other.name")
    assert sorted(_stuck())[1:] == [
        "handlers: queue tested: its handler 'old.name' is not declared",
        "handlers: queue tested: jobs wait for handler 'other.name', which is not declared here",
    ]


def test_archiving_that_lags() -> None:
    make_queue(archive_after=60)
    enqueue(do, {})
    drain()
    Chunk.objects.update(finished_at=timezone.now() - timedelta(minutes=60))
    assert _stuck() == []
    Chunk.objects.update(finished_at=timezone.now() - timedelta(minutes=62))
    problem = check_stuck()[0]
    assert (problem.check, problem.subject, problem.warning) == ("archive", "queue tested", True)


def test_held_for_a_reason_that_is_over() -> None:
    make_queue(chunk_size=2)
    batch = enqueue_batch(do, [{}] * 5)
    pause_batch(batch_id=batch.pk, actor="a", source="api")
    opened = enqueue_batch(do, [{}], open=True)
    assert _stuck() == [], "paused and open ones are held rightly"
    Batch.objects.filter(pk=batch.pk).update(paused_at=None)
    Batch.objects.filter(pk=opened.pk).update(sealed_at=timezone.now())
    assert _stuck() == [
        f"held: batch {batch.pk}: 5 jobs in 3 chunks are held because it is paused, but it is not",
        f"held: batch {opened.pk}: 1 jobs in 1 chunks are held because it is open, but it is sealed",
    ]


# configuration


def _asked(**facts: Any) -> list[str]:
    return [f"{problem.subject}: {problem.message}" for problem in check_configuration()]


def test_configuration_is_fine() -> None:
    assert _asked() == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SET LOCAL synchronous_commit = off", "synchronous_commit: is off: accepted jobs may be lost in a crash"),
        ("SET LOCAL TimeZone = 'Asia/Tokyo'", "timezone: the session's is Asia/Tokyo, Django's is UTC"),
        ("SELECT setval('queues_job_id_seq', 1)", "queues_job_id_seq: is at 1, but job"),
        (
            "DELETE FROM django_migrations WHERE id = (SELECT max(id) FROM django_migrations WHERE app = 'queues')",
            "run `manage.py migrate`",
        ),
    ],
    ids=["commit", "zone", "sequence", "migration"],
)
def test_configuration_faults(statement: str, said: str) -> None:
    make_queue()
    enqueue_batch(do, [{}] * 5)
    with connection.cursor() as cursor:
        cursor.execute(statement)
    try:
        assert any(said in line for line in _asked()), _asked()
        assert command("doctor").code == 1
    finally:
        with connection.cursor() as cursor:  # a sequence is not rolled back
            cursor.execute("SELECT setval('queues_job_id_seq', (SELECT max(id) FROM queues_job) + 1000)")


def test_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "CONNECTIONS_EACH", 10_000)
    assert _asked() == []
    _worker()
    assert "1 workers want 10000 each" in _asked()[0]


def test_threads_that_may_open_connections_are_a_warning_with_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(concurrency=30_000)
    assert _asked() == []
    _worker()
    found = [one for one in configuration.check_configuration() if one.subject == "connections"]
    assert [one.warning for one in found] == [True]
    assert "1 workers may want 30002 at their busiest, others hold " in found[0].message
    assert "max_connections leaves " in found[0].message
    # Whole calls, and coroutines on one loop, use the one session of their worker.
    Queue.objects.update(name="elsewhere", handler="tested.all")
    assert _asked() == []


def test_clocks_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    real = configuration.database_now
    monkeypatch.setattr(configuration, "database_now", lambda: real() + timedelta(seconds=30))
    assert _asked() == ["this machine: is 30.0 s behind the database"]


def test_a_broker_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def __enter__(self) -> "Away":
            return self

        def __exit__(self, *_: object) -> None: ...

        def ensure_connection(self, **_: Any) -> None:
            raise OSError("connection refused")

    monkeypatch.setattr(current_app, "connection_for_write", Away)
    assert "broker: not reachable: connection refused" in _asked()[0]


def test_the_command_tells_problems_before_warnings() -> None:
    make_queue("bare")
    Queue.objects.update(handler="")
    QueueSlot.objects.create(queue=Queue.objects.get(), number=1, run_id=2**40)
    answer = command("doctor")
    assert answer.code == 1
    assert [line.split()[0] for line in answer.out.splitlines()[1:]] == ["problem", "warning"]
    found = command("doctor", "--json").document
    assert (len(found["problems"]), len(found["warnings"])) == (1, 1)
    assert found["problems"][0]["subject"] == "slot 1 of queue bare"


def test_counts_only_when_asked() -> None:
    make_queue()
    enqueue_batch(do, [{}])
    Batch.objects.update(total=2)
    assert [problem for problem in doctor.examine() if problem.check == "counts"] == []
    answer = command("doctor", "--counts")
    assert (answer.code, "total is 2, but its chunks hold 1" in answer.out) == (1, True)


# system checks


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setattr(handlers, "_queues", dict(handlers._queues))
    monkeypatch.setattr(handlers, "_handlers", dict(handlers._handlers))
    yield handlers._queues


def _checked() -> list[CheckMessage]:
    return check_declarations()


def test_what_is_declared_here_is_sound() -> None:
    assert _checked() == []


@pytest.mark.usefixtures("declared")
@pytest.mark.parametrize(
    ("policy", "id", "said"),
    [
        ({"no_such": 1}, "queues.E001", "no_such"),
        ({"chunk_size": 0}, "queues.E002", "chunk_size"),
        ({"run_size": 10, "flush_jobs": 11}, "queues.E002", "flush_jobs: one run takes at most run_size (10) jobs"),
        ({"backoff": "wild"}, "queues.E002", "backoff"),
        ({"backoff_base": 10.0, "backoff_cap": 1.0}, "queues.E002", "backoff_cap"),
        ({"rate_burst": 3.0}, "queues.E002", "rate_burst: says nothing without a rate_limit"),
        ({"rate_limit": float("inf")}, "queues.E002", "rate_limit"),
        ({"purge_after": float("nan")}, "queues.E002", "purge_after"),
        ({"handler": "nobody"}, "queues.E002", "no handler of this name"),
        ({"timeout": 5.0, "concurrency": 2}, "queues.E002", "plain_one is a plain function"),
        ({"acknowledge": "all_or_nothing"}, "queues.W001", "says nothing for declared.plain_one"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_declaration_that_cannot_work(policy: dict[str, Any], id: str, said: str) -> None:
    handlers.queue("declared", **policy)

    @handlers.handler(queue="declared", name="declared.plain_one")
    def plain_one(job: Any) -> None: ...

    found = _checked()
    assert [message.id for message in found] == [id]
    assert "queue 'declared': " in found[0].msg
    assert said in found[0].msg


@pytest.mark.usefixtures("declared")
def test_a_timeout_works_for_async_and_whole_handlers() -> None:
    handlers.queue("declared", timeout=5.0, concurrency=4)

    @handlers.handler(queue="declared", name="declared.one")
    async def one(job: Any) -> None: ...

    @handlers.handler(queue="declared", name="declared.all", whole=True)
    def everything(jobs: Any) -> None: ...

    assert _checked() == []


def test_settings_that_make_no_sense(settings: Any) -> None:
    settings.LEASE_SECONDS = 2.0
    settings.PURGE_AFTER = 1.0
    assert [message.id for message in _checked()] == ["queues.W002", "queues.W003"]
