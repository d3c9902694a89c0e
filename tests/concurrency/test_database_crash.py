"""PostgreSQL stops in the middle of the work and comes back: the work goes on where it was."""

import pytest
from django.db import connection

from queues import store
from queues.models import Attempt, Batch
from queues.services.enqueue import enqueue_batch
from tests.checker import assert_sound
from tests.concurrency.crew import Trace, crew, ended, traced_queue
from tests.concurrency.private import private_database
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def all_ended(batches: list[Batch]) -> bool:
    """Whether all have ended; not known while the server is away."""
    try:
        return all(ended(batch) for batch in batches)
    except store.CONNECTION_ERRORS:
        connection.close()
        return False


def test_work_goes_on_after_immediate_stops_of_the_server(trace: Trace) -> None:
    with private_database() as database:
        traced_queue(chunk_size=100)
        batches = [enqueue_batch("traced.slow", [1] * 1_500) for _ in range(2)]
        with crew(database.env, trace, "traced", children=2, lease_seconds=8) as crowd:
            for share in (300, 1_000, 1_700):
                wait_for(lambda share=share: trace.count() > share, 40, f"{share} jobs")
                database.crash()
            wait_for(lambda: all_ended(batches), 60, "both batches to end")
            crowd.stop()
        assert set(trace.jobs()) == {j for b in batches for j in range(b.first_job_id, b.last_job_id + 1)}
        # The workers lived, so their results were not lost with the connections: nothing ran twice.
        assert trace.repeated() == {}
        assert [(b.state, b.succeeded, b.generation) for b in batches] == [("completed", 1_500, 1)] * 2
        assert not Attempt.objects.exists()
        assert_sound()
