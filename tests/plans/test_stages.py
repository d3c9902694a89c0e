"""The statements of stages and results on a million chunks and jobs."""

from datetime import timedelta

import pytest

from queues.selectors.clock import database_now
from queues.services import delete_check
from tests.plans.conftest import World
from tests.plans.plan import Plan
from tests.plans.test_console import plans

pytestmark = pytest.mark.django_db


def test_the_end_of_a_batch_without_followers_costs_next_to_nothing(world: World) -> None:
    plan = Plan.of("followers", batch=world.batch)
    assert plan.rows <= 5
    assert plan.pages <= 20


def test_the_sweep_of_waiting_stages_reads_running_batches_only(world: World) -> None:
    plan = Plan.of("stages_missed", after=0, limit=200)
    assert plan.pages <= 600  # a hundred of ten thousand batches run


def test_collecting_some_jobs_reads_only_their_rows(world: World) -> None:
    plan = Plan.of("job_ends", jobs=list(range(900_001, 901_001)))
    assert "queues_job_pkey" in plan.indexes("queues_job")
    assert plan.indexes("queues_chunk") == {"queues_chunk_pkey"}
    assert plan.rows <= 12_000


def test_a_page_of_payloads_is_a_range_of_the_key(world: World) -> None:
    plan = Plan.of("payload_page", lows=[1, 10_001], highs=[1_001, 11_001])
    assert plan.indexes("queues_job") == {"queues_job_pkey"}
    assert plan.rows <= 12_000


def test_the_job_that_is_to_make_a_step_is_looked_for_where_it_was_written(world: World) -> None:
    plan = plans(lambda: delete_check.making(database_now() - timedelta(days=3)))[-1]
    assert plan.indexes("queues_chunk") == {"chunk_created"}
    assert plan.rows <= 200  # of a million chunks, those of one minute
