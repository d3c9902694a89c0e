"""Batches: exact counts, lists by keyset, causes of failure."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring.snapshot import Snapshot
from queues.models import Batch
from queues.selectors import batch_lists, batch_work, batches, dead_letters
from queues.selectors.batch_lists import BatchQuery
from queues.selectors.batches import BatchCounts
from queues.selectors.dead_letters import DeadLetterQuery
from queues.services import archive, operate, operate_batches
from queues.services.enqueue import add_jobs, enqueue_batch, seal
from tests.monitoring.worlds import ran_batch, waiting_batch
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db
ANN = {"actor": "ann", "source": "api"}


def counts(batch: Batch, *, recount: bool = False) -> BatchCounts:
    return batches.batch_counts([batch.pk], recount=[batch.pk] if recount else [])[batch.pk]


def test_each_job_is_counted_where_it_stands() -> None:
    make_queue(chunk_size=10, run_size=10)
    batch = enqueue_batch("tested.do", [{"n": n} for n in range(8)] + [{"die": 1}, {"die": 2}] + [{}] * 25)
    with leased(want=10):
        assert counts(batch) == BatchCounts(running=10, waiting=25)
    assert counts(batch).total == 35


def test_a_finished_batch_is_the_same_from_its_counters_and_from_its_chunks() -> None:
    batch = ran_batch(succeed=20, die=3)
    assert counts(batch) == counts(batch, recount=True) == BatchCounts(succeeded=20, dead=3)


def test_what_was_deleted_is_in_the_trash() -> None:
    batch = ran_batch(succeed=1, die=2)
    operate.start(action="delete_dead", selection={"batch": batch.pk}, actor="maria", source="api")
    assert counts(batch, recount=True) == BatchCounts(succeeded=1, trashed=2)


def test_a_parent_is_the_sum_of_its_parts_whatever_their_state() -> None:
    make_queue()
    items = ({"die": 1} if n % 5_000 == 0 else {"n": n} for n in range(12_000))
    parent = enqueue_batch("tested.do", items, split=True, name="large")
    assert counts(parent) == BatchCounts(waiting=12_000)
    drain(runs=4)
    assert counts(parent).total == 12_000
    row = batches.batch(parent.pk)
    assert row is not None
    assert row.started_at is not None, "it starts with its first part"
    drain()
    assert counts(parent) == BatchCounts(succeeded=11_997, dead=3)
    assert [part.part for part in batches.batch_parts(parent.pk)] == [1, 2]
    assert batch_lists.batch_page(BatchQuery()).rows[0].id == parent.pk
    assert len(batch_lists.batch_page(BatchQuery()).rows) == 1


def test_many_batches_cost_as_many_queries_as_one() -> None:
    many = [waiting_batch(2, name=f"b{n}").pk for n in range(6)]
    with CaptureQueriesContext(
        connection,
    ) as one:
        batches.batch_counts(many[:1])
    with CaptureQueriesContext(connection) as all_of_them:
        assert len(batches.batch_counts(many)) == 6
    assert len(all_of_them) == len(one)


def test_unknown_batches_are_nothing() -> None:
    assert batches.batch(404) is None
    assert Snapshot({404}).batch(404) is None
    assert batches.batch_counts([]) == {}


def test_pages_follow_each_other_without_gap_or_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lists, "PAGE_SIZE", 3)
    ids = [waiting_batch(1, name=f"b{n}").pk for n in range(8)][::-1]
    first = batch_lists.batch_page(BatchQuery())
    second = batch_lists.batch_page(BatchQuery(), before=first.older)
    third = batch_lists.batch_page(BatchQuery(), before=second.older)
    assert [row.id for page in (first, second, third) for row in page.rows] == ids
    assert (first.newer, third.older) == (None, None)
    back = batch_lists.batch_page(BatchQuery(), after=third.newer)
    assert [row.id for row in back.rows] == [row.id for row in second.rows]
    assert batch_lists.batch_page(BatchQuery(), after=back.newer).newer is None


def test_filters_narrow_the_list() -> None:
    done = ran_batch(succeed=1, name="Nightly import")
    open_one = waiting_batch(1, name="Mail")

    def found(**query: str) -> list[int]:
        return [row.id for row in batch_lists.batch_page(BatchQuery(**query)).rows]

    assert found(state="completed") == [done.pk]
    assert found(name="IMPORT") == [done.pk]
    assert found(queue="tested", state="running") == [open_one.pk]
    assert found(queue="unknown") == []


def test_causes_group_what_died_alike() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"fail": 1}] * 3 + [{"die": 1}])
    drain()
    found = dead_letters.causes(DeadLetterQuery(batch=batch.pk))
    assert [cause.count for cause in found.rows] == [3, 1]
    assert found.exact
    assert "asked to fail" in found.rows[0].message
    assert dead_letters.causes(DeadLetterQuery(batch=batch.pk + 1)).rows == []


def test_causes_of_very_many_are_those_of_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "GROUPED", 4)
    batch = ran_batch(die=9)
    found = dead_letters.causes(DeadLetterQuery(batch=batch.pk))
    assert not found.exact


def test_dead_letters_page_by_death_also_where_many_died_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "PAGE_SIZE", 3)
    ran_batch(die=8)
    everything = DeadLetterQuery()
    first = dead_letters.dead_letter_page(everything)
    second = dead_letters.dead_letter_page(everything, before=first.older)
    third = dead_letters.dead_letter_page(everything, before=second.older)
    ids = [row.job_id for page in (first, second, third) for row in page.rows]
    assert len(set(ids)) == len(ids) == 8
    assert third.older is None
    back = dead_letters.dead_letter_page(everything, after=third.newer)
    assert [row.job_id for row in back.rows] == [row.job_id for row in second.rows]


def test_dead_letters_of_a_parent_are_those_of_its_parts() -> None:
    make_queue()
    items = ({"die": 1} if n in (5, 11_000) else {} for n in range(11_500))
    parent = enqueue_batch("tested.do", items, split=True)
    drain()
    assert dead_letters.dead_letter_count(DeadLetterQuery(batch=parent.pk)) == 2


# events


def happened(batch: Batch) -> list[tuple[str, str]]:
    """What its page says that was done, the last first."""
    return [(entry.action, entry.target) for entry in batch_work.events(batch.pk, batch.created_at).rows]


def test_events_are_also_those_of_operations_by_another_filter() -> None:
    mine, other = waiting_batch(3), waiting_batch(2)
    operate.start(action="cancel", selection={"queue": "tested", "state": "pending"}, **ANN, reason="tiles")
    # Nothing of it is among these.
    operate.start(action="retry", selection={"job_ids": [other.first_job_id, other.last_job_id]}, **ANN)
    begun = ("cancel jobs", "pending, queue tested")
    assert happened(mine) == [begun]
    assert happened(other) == [("retry jobs", "2 jobs"), begun]
    operate_batches.start(action="retry_batches", batches=[mine.pk], **ANN)
    # The number of a batch is not that of a job.
    assert happened(mine) == [begun]


def test_numbers_of_jobs_that_lie_between_are_not_of_the_batch() -> None:
    make_queue()
    mine = enqueue_batch("tested.do", [{}], open=True)
    other = enqueue_batch("tested.do", [{}] * 3)
    add_jobs(mine, [{}])
    mine.refresh_from_db()
    assert mine.first_job_id < other.first_job_id <= other.last_job_id < mine.last_job_id
    operate.start(action="cancel", selection={"batch": other.pk, "state": "pending"}, **ANN)
    assert happened(mine) == []
    operate.start(action="cancel", selection={"job_ids": [other.first_job_id, mine.last_job_id]}, **ANN)
    assert happened(mine) == [("cancel jobs", "2 jobs")]


def test_events_of_a_parent_are_those_of_jobs_of_its_parts(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 2
    make_queue()
    parent = enqueue_batch("tested.do", [{}] * 5, split=True)
    part = parent.parts.order_by("part")[1]
    operate.start(action="cancel", selection={"job_ids": [part.first_job_id]}, **ANN)
    assert happened(parent) == happened(part) == [("cancel jobs", f"job {part.first_job_id}")]
    assert happened(parent.parts.order_by("part")[0]) == []


def test_jobs_in_the_archive_are_still_of_their_batch() -> None:
    make_queue()
    gone, mine = enqueue_batch("tested.do", [{}], open=True), enqueue_batch("tested.do", [{}])
    add_jobs(gone, [{}])
    seal(gone)
    drain()
    archive.archive()
    gone.refresh_from_db()
    operation = operate.start(action="retry", selection={"job_ids": [gone.last_job_id]}, **ANN)
    assert operation.skipped == 1
    assert (happened(gone), happened(mine)) == ([("retry jobs", f"job {gone.last_job_id}")], [])


def test_the_page_tells_what_such_an_event_was_about(signed_in: Callable[[str], Client]) -> None:
    batch = waiting_batch(2)
    operate.start(action="cancel", selection={"queue": "tested", "state": "pending"}, **ANN, reason="tiles")
    page = signed_in("viewer").get(f"/batches/{batch.pk}/").content.decode()
    events = page[page.index('id="events"') :]
    assert "<b>cancel jobs</b>" in events and ">(pending, queue tested)</span>" in events
    assert "<bdi>tiles</bdi>" in events
