"""Dead letters by cause, on fifty thousand of them: an index alone tells them, however wide the letters are."""

import pytest
from django.db import connection

from queues.selectors import causes, operations, trash
from queues.selectors.clock import database_now
from queues.selectors.dead_letters import DeadLetterQuery
from tests.plans.conftest import World
from tests.plans.test_console import plans

pytestmark = pytest.mark.django_db


def test_causes_are_told_by_an_index_alone(world: World) -> None:
    with connection.cursor() as cursor:
        # The letters of this world have short messages, so that reading them whole is no dearer than their index.
        cursor.execute("SET LOCAL enable_seqscan = off")
    found = plans(lambda: causes.cause_list(DeadLetterQuery(), database_now()))
    grouping = [plan for plan in found if plan.rows_of("Index Only Scan") >= 50_000]
    assert len(grouping) == 1
    assert grouping[0].indexes("queues_deadletter") == {"dead_fingerprint"}
    assert sum(plan.rows for plan in found if plan is not grouping[0]) < 20_000


@pytest.mark.parametrize("query", [DeadLetterQuery(queue="queue-3"), DeadLetterQuery(batch=77)])
def test_causes_under_a_filter_are_bounded(world: World, query: DeadLetterQuery) -> None:
    for plan in plans(lambda: causes.cause_list(query, database_now())):
        assert "" not in plan.indexes("queues_deadletter")
        assert plan.rows < 30_000


def test_lists_of_operations_and_of_the_trash_are_bounded(world: World) -> None:
    for read in (
        operations.running_operations,
        operations.operation_page,
        lambda: trash.trash_page(trash.TrashQuery()),
    ):
        for plan in plans(read):
            assert plan.rows < 1_000
