"""What the Celery app promises about its messages."""

import os
import socket
import subprocess
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from batchconsole import broker
from batchconsole.celery import CONTROL, RINGS, WORK, app
from queues import shutdown
from tests.house.processes import PROJECT, python
from tests.house.ringing.tasks import mark

PUBLISH = """
import time
import django
django.setup()
from tests.house.ringing.tasks import mark
for attempt in range(4):  # the first one imports the client
    began = time.perf_counter()
    try:
        mark.delay("nowhere")
        print("sent", end=" ")
    except Exception as error:
        print(type(error).__name__, end=" ")
    print(time.perf_counter() - began)
"""


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
@pytest.mark.parametrize("state", ["closed", "silent"])
def test_sending_gives_up_soon(scheme: str, state: str, silent_port: int, tmp_path: Path) -> None:
    pytest.importorskip(scheme)
    port = silent_port if state == "silent" else 1
    env = os.environ | {
        "BATCHCONSOLE_HOME": str(tmp_path),
        "CELERY_BROKER_URL": f"{scheme}://127.0.0.1:{port}//",
        "DJANGO_SETTINGS_MODULE": "batchconsole.settings",
    }
    done = subprocess.run(
        python("-c", PUBLISH), cwd=PROJECT, env=env, text=True, capture_output=True, timeout=60, check=True
    )
    said = [line.split() for line in done.stdout.splitlines()]
    assert [outcome for outcome, _ in said] == ["OperationalError"] * 4
    # The best of three: what a busy machine adds is not ours.
    assert min(float(seconds) for _, seconds in said[1:]) < 0.25


def test_every_message_expires(tmp_path: Path) -> None:
    options = broker.transport_options(tmp_path)
    with app.connection_for_write(broker.URL, transport_options=options) as connection:
        mark.apply_async(["nowhere"], connection=connection)
        queue = app.amqp.queues[WORK](connection.default_channel)
        assert queue.get().headers["expires"]


@pytest.mark.parametrize(
    ("task", "queue"),
    [("queues.tasks.serve_queue", WORK), *((task, CONTROL) for task, _ in RINGS.values())],
)
def test_control_never_waits_behind_work(task: str, queue: str) -> None:
    assert app.amqp.router.route({}, task)["queue"].name == queue


@pytest.mark.django_db(transaction=True)  # the scheduler closes and commits as it likes
def test_beat_rings_at_the_intervals_and_no_ring_outlives_the_next() -> None:
    schedule = DatabaseScheduler(app=app).schedule
    assert schedule.keys() == RINGS.keys()
    for name, (task, seconds) in RINGS.items():
        assert schedule[name].task == task
        assert schedule[name].schedule.run_every.total_seconds() == seconds
    assert all(row.expire_seconds <= RINGS[row.name][1] for row in PeriodicTask.objects.all())


def test_nothing_waits_for_results_or_late_acknowledgements() -> None:
    assert app.conf.task_ignore_result
    assert not app.conf.task_acks_late
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.beat_max_loop_interval == 1


def test_the_shutdown_flag_is_cheap_to_read() -> None:
    count = 100_000
    assert min(timeit.repeat(shutdown.requested, number=count, repeat=5)) / count < 200e-9


def test_the_shutdown_flag_reaches_forked_processes() -> None:
    code = """
import os, time
from queues import shutdown
if not os.fork():
    until = time.monotonic() + 10
    while not shutdown.requested() and time.monotonic() < until:
        time.sleep(0.01)
    os._exit(0 if shutdown.requested() else 1)
shutdown.request()
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""
    subprocess.run(python("-c", code), cwd=PROJECT, check=True, timeout=30)


def test_a_foreground_worker_finishes_at_the_first_signal_and_ends_at_the_second() -> None:
    code = """
import os, signal
from queues import shutdown
shutdown.request_on_signals()
assert not shutdown.requested()
os.kill(os.getpid(), signal.SIGINT)
assert shutdown.requested()
print("finishing", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
print("not reached", flush=True)
"""
    done = subprocess.run(python("-c", code), cwd=PROJECT, text=True, capture_output=True, timeout=30, check=False)
    assert done.stdout == "finishing\n"
    assert done.returncode < 0


def test_every_ring_is_heard() -> None:
    app.loader.import_default_modules()
    assert {task for task, _ in RINGS.values()} <= app.tasks.keys()
