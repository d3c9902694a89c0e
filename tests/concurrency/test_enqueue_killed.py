"""kill -9 of an enqueuer between the gate, the jobs and the commit: no jobs, and no tokens taken."""

import signal
import subprocess
import sys

import pytest

from queues.models import Batch, Chunk, EnqueueBucket, Job
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import PROJECT, other_connections, traced_queue
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

# Dies in the middle of the payloads, or with everything written and charged but not committed.
ENQUEUER = """
import os, signal, sys
import django
django.setup()
from django.db import transaction
from queues import enqueue_batch

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def payloads():
    for n in range(5_000):
        if n == 4_000 and sys.argv[1] == "streaming":
            die()
        yield n

with transaction.atomic():
    enqueue_batch("traced.quick", payloads())
    die()
"""


@pytest.mark.parametrize("moment", ["streaming", "charged"])
def test_a_killed_enqueuer_has_taken_nothing(worker_env: dict[str, str], moment: str) -> None:
    traced_queue(enqueue_rate=0.001, enqueue_burst=10)
    enqueue_batch("traced.quick", range(4))
    env = worker_env | {"BATCHCONSOLE_APPS": "tests.concurrency"}
    died = subprocess.run([sys.executable, "-c", ENQUEUER, moment], cwd=PROJECT, env=env, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    wait_for(lambda: not other_connections(), 10, "the end of its session")
    assert EnqueueBucket.objects.get().tokens == pytest.approx(6, abs=0.1)
    assert (Batch.objects.count(), Chunk.objects.count(), Job.objects.count()) == (1, 1, 4)
    assert enqueue_batch("traced.quick", range(100)).total == 100
    assert_sound()
