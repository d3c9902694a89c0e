"""A job's state is one rule in two languages: they agree on every job that there can be."""

import random
from datetime import timedelta
from itertools import count, product

import pytest
from django.utils import timezone

from queues import store
from queues.domain.records import ClaimedChunk
from queues.domain.states import ChunkState, HeldWhy, JobState, OwnState, job_state
from queues.models import Chunk, Job
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db

WHYS = {
    ChunkState.HELD: [HeldWhy.OPEN, HeldWhy.PAUSED, HeldWhy.STAGE],
    ChunkState.PARKED: [HeldWhy.DEAD, HeldWhy.TRASHED],
}
LANES = [(state, why) for state in ChunkState for why in WHYS.get(state, [HeldWhy.NONE])]


def test_python_and_sql_agree_on_every_kind_of_job() -> None:
    queue, draw, ids = make_queue(), random.Random(7), count(1_000)
    now, expected = timezone.now(), {}
    chunks, jobs = [], []
    population = product(LANES, [True, False], [True, False], [True, False], range(3))
    for number, ((state, why), due, listed, has_bits, _) in enumerate(population, 1):
        born = draw.randint(1, 40)
        numbers = [next(ids) for _ in range(born)]
        if listed:
            draw.shuffle(numbers)
        bits = bytes(draw.randrange(256) for _ in range((born + 7) // 8)) if has_bits else None
        ended = state in (ChunkState.DONE, ChunkState.CANCELLED)
        chunks.append(
            Chunk(
                id=number,
                queue=queue,
                handler="tested.do",
                priority=2,
                run_at=now + timedelta(hours=-1 if due else 1),
                state=state,
                held_why=why,
                size=born,
                succeeded=born,
                first_id=None if listed else numbers[0],
                span=None if listed else born,
                job_ids=numbers if listed else None,
                ended=bits,
                run_id=1 if state is ChunkState.LEASED else None,
                finished_at=now if ended else None,
            )
        )
        for place, job in enumerate(numbers):
            own, failures = draw.choice([None, None, *OwnState]), draw.choice([0, 0, 3])
            bit = bool(bits and bits[place >> 3] >> (place & 7) & 1)
            jobs.append(Job(id=job, chunk_id=number, payload="1", own_state=own, failures=failures))
            expected[job] = job_state(state, why, own, bit, due=due, failures=failures)
    Chunk.objects.bulk_create(chunks)
    Job.objects.bulk_create(jobs)
    found = {job: JobState(state) for job, state in store.rows("job_state", jobs=list(expected))}
    assert found == expected
    assert set(expected.values()) == set(JobState)


def test_the_bit_of_a_job_is_where_postgresql_finds_it() -> None:
    """`get_bit` counts from the low bit of each byte, as Python does here."""
    queue = make_queue()
    Chunk.objects.create(
        id=1, queue=queue, handler="h", priority=2, state="ready", size=20, first_id=100, span=20, ended=bytes(3)
    )
    chunk = ClaimedChunk(0, 1, None, "h", 2, 0.0, 20, 0, 0, 0, 100, 20, None, None, 0, 0, False, False)
    Job.objects.bulk_create(Job(id=100 + n, chunk_id=1, payload="1") for n in range(20))
    for job in (100, 107, 108, 119):
        bits = bytearray(3)
        bits[chunk.place(job) >> 3] |= 1 << (chunk.place(job) & 7)
        Chunk.objects.update(ended=bytes(bits))
        rows = store.rows("job_state", jobs=list(range(100, 120)))
        assert [number for number, state in rows if state == "succeeded"] == [job]


def test_jobs_that_are_not_there_have_no_state() -> None:
    assert store.rows("job_state", jobs=[1, 2]) == []
