"""Workers told from outside to wait, to go on and to stop; their health and figures; what dead ones held taken back."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from queues import consumer, shutdown
from queues.consumer import Consumer, ConsumerStopped
from queues.domain.idle import Pauses
from queues.domain.outcomes import Job
from queues.models import Attempt, AuditEntry, Chunk, Run, Worker
from queues.selectors import worker_health
from queues.selectors.clock import database_now
from queues.serve import Server
from queues.services import control
from queues.services.control import ControlRefused
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.admin_asking import act, ask, said
from tests.queues.commanding import command
from tests.queues.working import do, make_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

# What is promised is 2 s; the rest is for a busy machine.
PROMISED = 2.0 + 1.0
WHO = {"actor": "me", "source": "api"}


@pytest.fixture(autouse=True)
def _process_goes_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What tells this process to stop is taken back."""
    monkeypatch.setattr(shutdown, "_flag", shutdown._flag)
    yield
    consumer.leave()


def worker_row(**values: Any) -> Worker:
    """A worker that is not of this machine."""
    facts = {"name": "far", "host": "far", "machine": "another", "pid": 1, "process_started": 1.0, "version": "1"}
    row = Worker.objects.create(id=uuid.uuid4(), **(facts | {"state": "polling"} | values))
    if "heartbeat_at" in values:
        Worker.objects.filter(pk=row.pk).update(heartbeat_at=values["heartbeat_at"])
    return row


def ago(seconds: float) -> Any:
    return timezone.now() - timedelta(seconds=seconds)


def state_of(worker: uuid.UUID) -> tuple[str, str]:
    found: tuple[str, str] = Worker.objects.values_list("state", "command").get(pk=worker)
    return found


@pytest.mark.parametrize(
    ("state", "order", "verb", "refusal"),
    [
        ("polling", "", "suspend", ""),
        ("ready", "", "suspend", ""),
        ("polling", "", "stop", ""),
        ("suspended", "suspend", "resume", ""),
        ("suspended", "suspend", "stop", ""),
        ("polling", "suspend", "resume", ""),
        ("suspended", "resume", "suspend", ""),
        ("polling", "", "resume", "is not suspended"),
        ("suspended", "resume", "resume", "is not suspended"),
        ("suspended", "suspend", "suspend", "is suspended already"),
        ("polling", "suspend", "suspend", "is suspended already"),
        ("polling", "stop", "stop", "is stopping already"),
        ("polling", "stop", "suspend", "is stopping already"),
        ("interrupted", "", "suspend", "is stopping already"),
        ("stopped", "", "suspend", "has stopped"),
        ("stopped", "", "resume", "has stopped"),
        ("stopped", "stop", "stop", "has stopped"),
    ],
)
def test_orders_that_make_no_sense_are_refused(state: str, order: str, verb: str, refusal: str) -> None:
    row = worker_row(state=state, command=order)
    order_it = getattr(control, verb)
    if refusal:
        with pytest.raises(ControlRefused, match=refusal):
            order_it(worker=row.pk, **WHO)
        assert state_of(row.pk) == (state, order)
        assert not AuditEntry.deeds().exists()
    else:
        assert order_it(worker=row.pk, reason="why", **WHO).command == verb
        assert state_of(row.pk) == (state, verb)
        entry = AuditEntry.deeds().get()
        assert (entry.actor, entry.source, entry.action, entry.reason) == ("me", "api", f"{verb} worker", "why")
        assert entry.target == f"far ({row.pk})"


def test_an_unknown_worker_is_refused() -> None:
    with pytest.raises(ControlRefused, match="unknown worker"):
        control.stop(worker=uuid.uuid4(), **WHO)


def test_a_suspended_worker_gives_back_waits_and_goes_on(server: Server, declare: Callable[..., Any]) -> None:
    started, calls = threading.Event(), []

    @declare()
    def handle(job: Job) -> None:
        calls.append(job.id)
        started.set()
        wait_for(lambda: server.keeper.suspended or len(calls) > 1, 10, "the order")

    queue = make_queue(chunk_size=50)
    batch = enqueue_batch(handle, range(50))
    me = server.identity.id

    def order() -> None:
        try:
            started.wait(10)
            control.suspend(worker=me, **WHO)
        finally:
            connection.close()

    ordering = threading.Thread(target=order)
    ordering.start()
    asked = time.monotonic()
    # The keeper hears it within a second, and halts the run at its next turn; then the job in hand is the last.
    assert 1 <= server.serve(queue.pk) < 50
    assert time.monotonic() - asked < PROMISED
    ordering.join()
    chunk = Chunk.objects.get()
    assert (chunk.state, chunk.losses, chunk.tries) == ("ready", 0, 0)
    wait_for(lambda: state_of(me) == ("suspended", "suspend"), PROMISED, "its state")
    beat = Worker.objects.get(pk=me).heartbeat_at
    assert server.serve(queue.pk) == 0, "it claims nothing"
    wait_for(lambda: Worker.objects.get(pk=me).heartbeat_at > beat, 10, "a heartbeat")
    assert state_of(me) == ("suspended", "suspend")
    control.resume(worker=me, **WHO)
    wait_for(lambda: state_of(me) == ("polling", ""), PROMISED, "it to go on")
    server.serve(queue.pk)
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded, sorted(calls)) == (
        "completed",
        50,
        list(range(batch.first_job_id, batch.last_job_id + 1)),
    )
    assert not Attempt.objects.exists()
    assert_sound()


def test_a_worker_told_to_stop_gives_back_and_ends(server: Server, declare: Callable[..., Any]) -> None:
    calls = []

    @declare()
    def handle(job: Job) -> None:
        calls.append(job.id)
        if len(calls) == 1:
            control.stop(worker=server.identity.id, **WHO)
            wait_for(shutdown.requested, 10, "the order")

    queue = make_queue(chunk_size=50)
    enqueue_batch(handle, range(50))
    assert server.serve(queue.pk) == 1
    wait_for(lambda: state_of(server.identity.id) == ("interrupted", "stop"), PROMISED, "its state")
    assert Chunk.objects.get().state == "ready"
    assert server.serve(queue.pk) == 0
    with pytest.raises(ControlRefused, match="is stopping already"):
        control.resume(worker=server.identity.id, **WHO)
    server.leave()
    assert state_of(server.identity.id) == ("stopped", "stop")
    assert_sound()


def test_a_consumer_can_be_suspended_and_stopped_without_its_neighbour() -> None:
    make_queue(chunk_size=1)
    enqueue_batch(do, range(20))
    with Consumer("tested") as one, Consumer("tested") as other:
        lease = one.claim("tested", want=5)
        control.suspend(worker=one.identity.id, **WHO)
        wait_for(lambda: list(lease) == [], PROMISED, "the loop to end early")
        assert not one.claim("tested")
        lease.close()
        wait_for(lambda: state_of(one.identity.id)[0] == "suspended", PROMISED, "its state")
        control.resume(worker=one.identity.id, **WHO)
        wait_for(lambda: state_of(one.identity.id) == ("polling", ""), PROMISED, "it to go on")
        lease = one.claim("tested", want=5)
        control.stop(worker=one.identity.id, **WHO)
        wait_for(lambda: state_of(one.identity.id)[0] == "interrupted", PROMISED, "the order to be heard")
        with pytest.raises(ConsumerStopped):
            one.claim("tested")
        assert state_of(one.identity.id)[0] == "interrupted", "it still holds something"
        lease.close()
        assert state_of(one.identity.id)[0] == "stopped"
        with other.claim("tested", want=20) as rest:
            assert len(list(rest)) == 20
    assert not shutdown.requested()


def test_an_idle_consumer_told_to_stop_says_so_by_itself() -> None:
    make_queue()
    idle = Consumer("tested")
    control.stop(worker=idle.identity.id, **WHO)
    wait_for(lambda: state_of(idle.identity.id)[0] == "stopped", PROMISED, "its end")


def test_health_goes_by_the_age_of_the_heartbeat() -> None:
    for name, age in (("fresh", 0), ("quiet", 30), ("gone", 300)):
        worker_row(name=name, heartbeat_at=ago(age))
    worker_row(name="left", state="stopped", heartbeat_at=ago(1))
    now = database_now()
    assert {seen.name: seen.health for seen in worker_health.listed(now, stopped=True)} == {
        "fresh": "healthy",
        "quiet": "silent",
        "gone": "dead",
        "left": "stopped",
    }
    assert [seen.name for seen in worker_health.listed(now)] == ["fresh", "quiet", "gone"]
    healthy, other = worker_health.by_health(now, limit=60)
    assert set(healthy.values_list("name", flat=True)) == {"fresh", "quiet"}
    assert set(other.values_list("name", flat=True)) == {"gone"}


def held_by(worker: Worker, jobs: int = 3, lease: float = 3_600.0) -> None:
    """A run of that worker."""
    enqueue_batch(do, range(jobs))
    with Consumer("tested") as mine:
        claimed = mine.claim("tested", lease=lease)
        Run.objects.filter(pk=claimed.run_id).update(worker_id=worker.pk)
        mine._leases.clear()  # as if its process had died


def test_a_dead_worker_s_runs_are_taken_back_at_once() -> None:
    make_queue()
    dead = worker_row(heartbeat_at=ago(20))
    held_by(dead)
    done = control.reclaim(worker=dead.pk, reason="power cut", **WHO)
    assert (done.workers, done.runs) == (1, 1)
    assert (Chunk.objects.get().state, Chunk.objects.get().losses) == ("ready", 1)
    assert Run.objects.get().state == "lost"
    assert state_of(dead.pk)[0] == "stopped"
    entry = AuditEntry.deeds().get()
    assert (entry.action, entry.reason, entry.outcome) == ("reclaim worker", "power cut", {"runs": 1})
    assert control.reclaim(worker=dead.pk, **WHO).runs == 0
    assert_sound()


def test_a_worker_that_beats_is_refused_unless_forced_and_its_late_results_are_dropped() -> None:
    make_queue()
    enqueue_batch(do, range(3))
    with Consumer("tested") as alive, alive.claim("tested", lease=3_600) as lease:
        with pytest.raises(ControlRefused, match="it lives; stop it, or force"):
            control.reclaim(worker=alive.identity.id, **WHO)
        assert Run.objects.get().state == "running"
        assert control.reclaim(worker=alive.identity.id, force=True, **WHO).runs == 1
        assert lease.settle(ids=[job.id for job in lease]) == [False] * 3
        assert state_of(alive.identity.id)[0] != "stopped"
    assert Chunk.objects.get().state == "ready"
    assert_sound()


def test_all_that_were_silent_for_long_are_taken_back() -> None:
    make_queue()
    silent, quiet = worker_row(heartbeat_at=ago(500)), worker_row(heartbeat_at=ago(30))
    # The reaper has marked it stopped meanwhile, but its lease is long.
    marked = worker_row(heartbeat_at=ago(400), state="stopped")
    for worker in (silent, quiet, marked):
        held_by(worker)
    worker_row(heartbeat_at=ago(900), state="stopped")
    assert control.reclaim(older_than=120, **WHO) == control.Reclaimed(workers=2, runs=2)
    assert set(Run.objects.filter(state="running").values_list("worker_id", flat=True)) == {quiet.pk}
    assert_sound()


@pytest.mark.parametrize("seconds", [0, 14.9, float("nan"), float("inf"), -1])
def test_nobody_is_taken_for_dead_too_soon(seconds: float) -> None:
    with pytest.raises(ControlRefused, match="from 15 s, for a living worker beats every 5 s"):
        control.reclaim(older_than=seconds, **WHO)


def test_either_a_worker_or_seconds() -> None:
    for wrong in ({}, {"worker": uuid.uuid4(), "older_than": 60.0}):
        with pytest.raises(ControlRefused, match="either"):
            control.reclaim(**wrong, **WHO)  # type: ignore[arg-type]


def test_figures_of_a_worker_s_runs() -> None:
    queue = make_queue(max_attempts=2)
    now = database_now()
    row = worker_row(started_at=now - timedelta(seconds=100))
    Worker.objects.filter(pk=row.pk).update(started_at=now - timedelta(seconds=100))
    idle = worker_row(name="idle")

    def run(seconds_ago: float, took: float, **counts: int) -> None:
        end = now - timedelta(seconds=seconds_ago)
        Run.objects.create(
            queue=queue,
            worker=row,
            started_at=end - timedelta(seconds=took),
            finished_at=end,
            lease_until=end,
            state="done",
            chunks=1,
            claimed=100,
            **counts,
        )

    run(10, 1.0, succeeded=90, failed=10, retried=6, dead=4)
    run(20, 3.0, succeeded=50, cancelled=6, late=2)
    run(7_200, 9.0, succeeded=1_000)  # before the window
    row.refresh_from_db()
    done = worker_health.figures([row, idle], now)
    mine = done[row.pk]
    assert (mine.runs, mine.processed, mine.succeeded, mine.failed, mine.retried, mine.dead, mine.late) == (
        2,
        156,
        140,
        10,
        6,
        4,
        2,
    )
    assert mine.success_rate == pytest.approx(140 / 150)
    assert mine.mean_run_ms == pytest.approx(2_000)
    assert mine.jobs_per_second == pytest.approx(1.56, rel=0.01)
    nothing = done[idle.pk]
    assert (nothing.runs, nothing.success_rate, nothing.mean_run_ms) == (0, None, None)


def test_the_command_lists_and_tells() -> None:
    make_queue()
    row = worker_row(name="one")
    other = worker_row(name="two", heartbeat_at=ago(100))
    assert command("workers", "suspend", "one", "--reason", "noise").out == "worker one is told: suspend\n"
    listed = {seen["name"]: seen for seen in command("workers", "list", "--json").document}
    assert (listed["one"]["state"], listed["one"]["command"], listed["one"]["health"]) == (
        "polling",
        "suspend",
        "healthy",
    )
    assert listed["two"]["health"] == "dead"
    assert listed["one"]["figures"]["success_rate"] is None
    assert command("workers", "resume", str(row.pk)[:8], "--json").document == {
        "id": str(row.pk),
        "name": "one",
        "state": "polling",
        "command": "resume",
    }
    shown = command("workers", "list").out
    assert "polling (told: resume)" in shown and "dead" in shown
    refused = command("workers", "resume", "two")
    assert (refused.code, refused.err) == (1, "worker two is not suspended")
    held_by(other)
    assert command("workers", "reclaim", "two", "--json").document == {"workers": 1, "runs": 1}
    assert command("workers", "reclaim", "--older-than", "60").out == "0 runs taken back from 0 workers\n"
    assert "two" in command("workers", "list", "--all").out
    assert "two" not in command("workers", "list").out


def test_what_the_command_refuses() -> None:
    worker_row(name="twin")
    worker_row(name="twin")
    assert command("workers", "stop", "twin").err == "'twin' is more than one worker: use more of its id"
    assert (
        command("workers", "stop", "nobody").err == "no worker 'nobody'; `manage.py workers list` shows those there are"
    )
    assert command("workers", "reclaim").code == 2
    assert command("workers", "reclaim", "--older-than", "1").code == 1
    assert command("workers", "reclaim", "twin", "--older-than", "60").code == 2


def test_a_stopped_worker_does_not_stand_in_the_way_of_its_name() -> None:
    worker_row(name="host:1", state="stopped")
    here = worker_row(name="host:1")
    assert worker_health.named("host:1") == here.pk
    assert worker_health.named(str(here.pk)) == here.pk
    assert worker_health.named(here.pk.hex[:12]) == here.pk


def test_the_admin_tells_workers(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss", password="x"))
    make_queue()
    alive, dead = worker_row(name="alive"), worker_row(name="dead", heartbeat_at=ago(100))
    held_by(dead)

    def told(action: str, *rows: Worker) -> str:
        return said(act(client, reverse("admin:queues_worker_changelist"), action, [row.pk for row in rows]))

    assert told("suspend", alive) == "1 told to wait."
    assert told("suspend", alive) == "1 not: is suspended already"
    assert told("resume", alive) == "1 told to go on."
    page = reverse("admin:queues_worker_changelist")
    assert "1 not: was heard of" in said(ask(client, page, "reclaim", [alive.pk, dead.pk]))
    assert told("reclaim", alive, dead) == "1 had their work taken back."
    assert told("stop", alive) == "1 told to stop."
    assert Run.objects.get(worker=dead).state == "lost"
    assert set(AuditEntry.deeds().values_list("actor", "source", "action")) == {
        ("boss", "admin", f"{verb} worker") for verb in ("suspend", "resume", "reclaim", "stop")
    }


def test_pauses_double_up_to_a_bound_and_begin_anew_with_work() -> None:
    pauses = Pauses(0.1, 0.5)
    assert [pauses.next() for _ in range(5)] == [0.1, 0.2, 0.4, 0.5, 0.5]
    pauses.reset()
    assert pauses.next() == 0.1
    pauses.at_most()
    assert pauses.next() == 0.5
    for first, longest in ((0.0, 1.0), (1.0, 0.5), (float("nan"), 1.0), (0.1, 10_000.0)):
        with pytest.raises(ValueError, match="idle"):
            Pauses(first, longest)


def test_a_suspended_foreground_worker_waits_even_in_a_burst(declare: Callable[..., Any]) -> None:
    from queues.foreground import Foreground

    @declare()
    def handle(_job: Job) -> None:
        pass

    make_queue()
    enqueue(handle, 1)
    worker = Foreground()
    me = worker._server.identity.id
    control.suspend(worker=me, **WHO)
    wait_for(lambda: state_of(me)[0] == "suspended", PROMISED, "its state")
    told: list[int] = []

    def report(total: int) -> None:
        told.append(total)
        if len(told) == 3:
            control.resume(worker=me, **WHO)

    assert worker.run(burst=True, report=report) == 1
    assert told[:3] == [0, 0, 0]
    worker.leave()
