"""`work`: one process does everything, and leaves nothing behind when it is stopped."""

import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from queues import foreground, shutdown, store
from queues.models import Batch, Chunk, DeadLetter, Job, Queue, Run, Worker
from queues.services import sync_queues
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import do, make_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
PROJECT = Path(__file__).resolve().parents[2]


def test_burst_ends_when_nothing_is_due() -> None:
    make_queue(backoff_base=3600, backoff_cap=3600)
    make_queue("second")
    batch = enqueue_batch(do, [{"n": n} for n in range(500)])
    enqueue_batch(do, [{"die": 1}, {"fail": 1}], queue="second")
    later = enqueue(do, {}, run_at=timezone.now() + timedelta(hours=1))
    assert command("work", "--burst", "--json").document == {"jobs": 502}
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 500)
    assert DeadLetter.objects.count() == 1
    assert Job.objects.filter(pk=later).exists()
    assert Worker.objects.get().state == "stopped"
    assert not shutdown.requested()
    assert_sound()


def test_only_the_named_queues() -> None:
    make_queue()
    make_queue("second")
    enqueue(do, {})
    enqueue(do, {}, queue="second")
    assert command("work", "--burst", "--queue", "second").out == "1 jobs ended\n"
    assert Chunk.objects.get(state="ready").queue.name == "tested"
    assert Worker.objects.get().queues == ["second"]
    answer = command("work", "--queue", "second", "--queue", "nobody")
    assert (answer.code, Worker.objects.count()) == (1, 1)
    assert answer.err == "unknown queue 'nobody'; `manage.py queues list` shows those there are"


def test_a_paused_queue_is_left_alone() -> None:
    queue = make_queue()
    enqueue(do, {})
    Queue.objects.filter(pk=queue.pk).update(paused_at=timezone.now())
    assert command("work", "--burst", "--json").document == {"jobs": 0}


def test_hints_of_others_do_not_matter() -> None:
    make_queue()
    enqueue(do, {})
    Queue.objects.update(hinted_at=timezone.now())
    assert command("work", "--burst", "--json").document == {"jobs": 1}


def test_it_does_the_errands_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    errands = {name: (lambda name=name: rung.append(name), 0.0) for name in foreground.ERRANDS}
    monkeypatch.setattr(foreground, "ERRANDS", errands)
    make_queue()
    worker = foreground.Foreground()
    try:
        worker.run(burst=True)
    finally:
        worker.leave()
    assert rung == ["reap", "finish", "operate", "drive", "recur", "archive", "purge"]


def test_a_database_that_goes_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    enqueue(do, {})
    monkeypatch.setattr(foreground, "LONGEST_PAUSE", 0.05)
    worker = foreground.Foreground()
    real, failures = store.rows, [True, True]

    def sometimes(name: str, /, **values: Any) -> Any:
        if name == "due_queues" and failures:
            failures.pop()
            raise store.CONNECTION_ERRORS[0]("gone")
        return real(name, **values)

    monkeypatch.setattr(store, "rows", sometimes)
    monkeypatch.setattr(shutdown, "requested", lambda: not Chunk.objects.exclude(state="done").exists())
    try:
        assert worker.run(burst=False) == 1
    finally:
        worker.leave()
    assert failures == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_without_loss(number: int, worker_env: dict[str, str], tmp_path: Path) -> None:
    sync_queues.sync_queues()
    files = [tmp_path / f"{n}.json" for n in range(5)]
    for file in files:
        file.write_text("{}")
    batch = enqueue_batch("demo.check_file", [{"path": str(file)} for file in files] * 1_000)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "work", "--json"],
        cwd=PROJECT,
        env=worker_env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: Run.objects.filter(state="running").exists(), 30, "a run")
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in err) == (0, False)
    assert time.monotonic() - began < 10
    assert not Run.objects.filter(state="running").exists()
    assert Worker.objects.get().state == "stopped"
    ended = sum(Chunk.objects.filter(batch=batch).values_list("succeeded", flat=True))
    assert json.loads(out)["jobs"] == ended
    assert Batch.objects.get(pk=batch.pk).total == 5_000
    assert_sound()
    assert command("work", "--burst").code == 0
    batch.refresh_from_db()
    assert (batch.state, batch.succeeded) == ("completed", 5_000)
    assert not Chunk.objects.filter(batch=batch, tries__gt=0).exists()
    assert_sound()
