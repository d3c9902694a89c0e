"""Batches that wait for others: which end starts them, which stops them, and what a retry changes."""

from collections import Counter
from typing import Any

import pytest

from queues.models import AuditEntry, Batch, BatchLink, Chunk
from queues.services import finish, operate
from queues.services.cancel import cancel_batch
from queues.services.enqueue import EnqueueError, add_jobs, enqueue_batch, seal
from queues.services.link import LinkRefused, link
from queues.services.stuck import check_stuck
from tests.checker import assert_sound
from tests.queues.admin_asking import act
from tests.queues.commanding import command
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


def held(batch: Batch) -> Counter[tuple[str, str]]:
    """How the chunks of a batch and its parts stand."""
    batches = [batch.pk, *batch.parts.values_list("pk", flat=True)]
    return Counter(Chunk.objects.filter(batch__in=batches).values_list("state", "held_why"))


def states(*batches: Batch) -> list[tuple[str, str]]:
    """How batches stand, read anew."""
    found = Batch.objects.in_bulk([batch.pk for batch in batches])
    return [(found[batch.pk].state, found[batch.pk].stop_reason) for batch in batches]


def started(batch: Batch) -> bool:
    """Whether nothing of it is held any more."""
    return ("held", "stage") not in held(batch)


def test_a_stage_starts_in_the_transaction_that_ends_the_one_before() -> None:
    make_queue(chunk_size=2)
    first = enqueue_batch("tested.do", range(4))
    second = enqueue_batch("tested.do", range(4), after=[first])
    assert (second.stage, held(second)) == (2, {("held", "stage"): 2})
    assert drain(runs=1, want=2) == 1
    assert finish.finish(batches=[first.pk, second.pk]) == []
    assert held(second) == {("held", "stage"): 2}
    with leased() as execution:
        execution.succeeded += [0, 1]
    assert held(second) == {("held", "stage"): 2}
    assert finish.finish(batches=[first.pk]) == [first.pk]
    assert held(second) == {("ready", ""): 2}
    drain()
    assert states(first, second) == [("completed", ""), ("completed", "")]
    assert_sound()


def test_a_diamond_fans_out_and_in() -> None:
    make_queue()
    top = enqueue_batch("tested.do", [1])
    left = enqueue_batch("tested.do", [1], after=[top])
    right = enqueue_batch("tested.do", [1], after=[top])
    bottom = enqueue_batch("tested.do", [1], after=[right, left.pk])
    assert [top.stage, left.stage, right.stage, bottom.stage] == [1, 2, 2, 3]
    assert drain(runs=1) == 1
    assert (started(left), started(right), started(bottom)) == (True, True, False)
    assert drain(runs=1, want=1) == 1
    assert not started(bottom)
    drain()
    assert set(states(top, left, right, bottom)) == {("completed", "")}
    assert_sound()


@pytest.mark.parametrize(
    ("policy", "jobs", "expected"),
    [
        ("completed", [{}, {}], "completed"),
        ("completed", [{}, {"die": 1}], "cancelled"),
        ("completed", [{"die": 1}], "cancelled"),
        ("ended", [{}, {"die": 1}], "completed"),
        ("ended", [{"die": 1}], "completed"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_the_policy_says_which_end_lets_it_start(policy: str, jobs: Any, expected: str, late: bool) -> None:
    make_queue()
    first = enqueue_batch("tested.do", jobs)
    if late:  # the one before has ended when the next is enqueued
        drain()
    second = enqueue_batch("tested.do", [1, 2], after=[first], after_policy=policy)
    drain()
    finish.sweep()
    second.refresh_from_db()
    stopped = expected == "cancelled"
    assert (second.state, second.stop_reason) == (expected, "upstream" if stopped else "")
    assert (second.succeeded, second.cancelled) == ((0, 2) if stopped else (2, 0))
    assert_sound()


def test_a_wrong_end_goes_down_the_graph_as_far_as_its_policies_let_it() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [{"die": 1}])
    second = enqueue_batch("tested.do", [1], after=[first])
    third = enqueue_batch("tested.do", [1], after=[second])
    anyway = enqueue_batch("tested.do", [1], after=[second], after_policy="ended")
    drain()
    assert states(first, second, third) == [("failed", ""), ("cancelled", "upstream"), ("cancelled", "upstream")]
    assert states(anyway) == [("completed", "")]
    assert_sound()


def test_a_wrong_end_does_not_wait_for_the_other_batches_before() -> None:
    make_queue()
    make_queue("tested.slow")
    first = enqueue_batch("tested.do", [{"die": 1}])
    slow = enqueue_batch("tested.do", [1], queue="tested.slow")
    last = enqueue_batch("tested.do", [1], after=[first, slow])
    drain()
    assert states(slow, last) == [("running", ""), ("cancelled", "upstream")]
    drain("tested.slow")
    assert states(slow, last) == [("completed", ""), ("cancelled", "upstream")]


def test_cancelling_stops_what_waits_for_it() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1])
    second = enqueue_batch("tested.do", [1], after=[first])
    cancel_batch(batch_id=first.pk, actor="me", source="api")
    assert states(first, second) == [("cancelled", "cancelled"), ("cancelled", "upstream")]
    assert_sound()


@pytest.mark.parametrize("split_first", [False, True])
@pytest.mark.parametrize("ends_well", [False, True])
def test_parents_with_parts_on_either_side(settings: Any, split_first: bool, ends_well: bool) -> None:
    settings.BATCH_MAX_JOBS = 3
    make_queue(chunk_size=3)
    jobs = [{}] * 6 + [{} if ends_well else {"die": 1}]
    first = enqueue_batch("tested.do", jobs if split_first else jobs[-1:], split=split_first)
    second = enqueue_batch("tested.do", range(7), split=True, after=[first])
    assert set(second.parts.values_list("stage", flat=True)) == {2}
    assert held(second) == {("held", "stage"): 3}
    drain()
    assert states(second) == [("completed", "") if ends_well else ("cancelled", "upstream")]
    assert set(second.parts.values_list("state", flat=True)) == {"completed" if ends_well else "cancelled"}
    assert_sound()


def test_a_crash_between_the_end_of_the_work_and_of_the_batch_is_mended_by_the_sweep() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1])
    second = enqueue_batch("tested.do", [1], after=[first])
    with leased() as execution:
        execution.succeeded.append(0)
    assert held(second) == {("held", "stage"): 1}
    assert finish.sweep() == [first.pk]
    assert held(second) == {("ready", ""): 1}


def test_a_crash_before_the_stopped_batch_has_ended_is_mended_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    first = enqueue_batch("tested.do", [{"die": 1}])
    second = enqueue_batch("tested.do", [1], after=[first])
    third = enqueue_batch("tested.do", [1], after=[second])
    with leased() as execution:
        from queues.domain.outcomes import Reject

        execution.note(0, Reject("no"), 0.0)
    finish._with_followers(first.pk)  # what `finish` does first; then the process dies
    assert states(first, second, third) == [("failed", ""), ("running", "upstream"), ("running", "")]
    assert finish.sweep() == [second.pk, third.pk]
    assert states(second, third) == [("cancelled", "upstream")] * 2
    assert_sound()


def test_the_sweep_starts_what_waits_for_nobody() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1])
    second = enqueue_batch("tested.do", [1], after=[first])
    drain()
    Chunk.objects.filter(batch=second).update(state="held", held_why="stage", finished_at=None, succeeded=0, ended=None)
    Batch.objects.filter(pk=second.pk).update(state="running", finished_at=None)
    assert finish.sweep() == []
    assert held(second) == {("ready", ""): 1}


def test_retrying_what_died_before_does_not_run_later_stages_again() -> None:
    make_queue(max_attempts=1)
    first = enqueue_batch("tested.do", [{"die": 1}, {}])
    second = enqueue_batch("tested.do", [1], after=[first], after_policy="ended")
    drain()
    second.refresh_from_db()
    ended = second.finished_at
    operate.start(action="retry_dead", selection={"batch": first.pk}, actor="me", source="api")
    assert states(first, second) == [("running", ""), ("completed", "")]
    drain()
    second.refresh_from_db()
    assert (second.finished_at, second.generation) == (ended, 1)
    assert states(first) == [("partial", "")]


def test_a_batch_keeps_waiting_while_one_before_it_runs_again() -> None:
    make_queue(max_attempts=1)
    make_queue("tested.slow")
    first = enqueue_batch("tested.do", [{"die": 1}])
    slow = enqueue_batch("tested.do", [1], queue="tested.slow")
    last = enqueue_batch("tested.do", [1], after=[first, slow], after_policy="ended")
    drain()
    operate.start(action="retry_dead", selection={"batch": first.pk}, actor="me", source="api")
    drain("tested.slow")
    assert states(first, slow, last) == [("running", ""), ("completed", ""), ("running", "")]
    assert held(last) == {("held", "stage"): 1}
    drain()
    assert states(first, last) == [("failed", ""), ("completed", "")]


def test_a_batch_stopped_by_an_end_before_stays_cancelled_when_that_is_retried() -> None:
    make_queue(max_attempts=1)
    first = enqueue_batch("tested.do", [{"die": 1}])
    second = enqueue_batch("tested.do", [1], after=[first])
    drain()
    operate.start(action="retry_dead", selection={"batch": first.pk}, actor="me", source="api")
    drain()
    assert states(second) == [("cancelled", "upstream")]


@pytest.mark.parametrize("order", ["sealed first", "sealed last"])
def test_an_open_batch_waits_for_both_its_seal_and_its_turn(order: str) -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1])
    second = enqueue_batch("tested.do", [1], after=[first], open=True)
    add_jobs(second, [2])
    assert held(second) == {("held", "open"): 2}
    if order == "sealed first":
        seal(second)
        assert held(second) == {("held", "stage"): 2}
        drain()
    else:
        drain()
        assert held(second) == {("held", "open"): 2}
        seal(second)
        drain()
    assert states(first, second) == [("completed", ""), ("completed", "")]
    assert_sound()


def test_an_open_batch_is_stopped_by_a_wrong_end() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [{"die": 1}])
    second = enqueue_batch("tested.do", [1], after=[first], open=True)
    drain()
    assert states(second) == [("cancelled", "upstream")]
    with pytest.raises(EnqueueError, match="is not open"):
        add_jobs(second, [2])


def test_a_batch_of_which_no_job_was_new_ends_in_its_turn() -> None:
    make_queue()
    make_queue("tested.slow")
    enqueue_batch("tested.do", [1], key=str)
    slow = enqueue_batch("tested.do", [1], queue="tested.slow")
    empty = enqueue_batch("tested.do", [1], key=str, after=[slow])
    last = enqueue_batch("tested.do", [2], after=[empty])
    finish.sweep()
    assert (empty.total, states(empty, last)) == (0, [("running", ""), ("running", "")])
    drain("tested.slow")
    drain()
    assert states(slow, empty, last) == [("completed", "")] * 3


def test_a_paused_batch_is_not_started_by_its_turn() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1])
    second = enqueue_batch("tested.do", [1], after=[first])
    Batch.objects.filter(pk=second.pk).update(paused_at="2030-01-01T00:00Z", paused_by="me")
    drain()
    assert held(second) == {("held", "paused"): 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"after": [10**9]}, "after: unknown batch 1000000000"),
        ({"after": [True]}, r"after\[0\]: a batch or its id is needed, not True"),
        ({"after": 7}, "after: a list of batches is needed"),
        ({"after": ["7"]}, r"after\[0\]: a batch or its id is needed, not '7'"),
        ({"after": range(1, 1_100)}, "after: 1,099 batches; at most 1,000"),
        ({"after_policy": "soon"}, "after_policy: 'soon' is not one of completed, ended"),
    ],
)
def test_what_cannot_be_waited_for_is_refused_with_nothing_written(options: Any, message: str) -> None:
    make_queue()
    with pytest.raises(EnqueueError, match=message):
        enqueue_batch("tested.do", [1], **options)
    assert not Batch.objects.exists()


def test_a_part_is_not_waited_for(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 2
    make_queue()
    parent = enqueue_batch("tested.do", range(3), split=True)
    part = parent.parts.first()
    assert part is not None
    with pytest.raises(EnqueueError, match=f"batch {part.pk} is a part; wait for batch {parent.pk}"):
        enqueue_batch("tested.do", [1], after=[part])
    other = enqueue_batch("tested.do", [1])
    with pytest.raises(LinkRefused, match=f"batch {part.pk} is a part; link batch {parent.pk}"):
        link(part, other)


def test_batches_that_exist_are_linked_and_their_stages_follow() -> None:
    make_queue()
    third, second, first = (enqueue_batch("tested.do", [1]) for _ in range(3))
    link(second, third)
    link(first, second, actor="ann", reason="order matters")  # ids fall along the chain
    link(first, second)
    stages = dict(Batch.objects.values_list("pk", "stage"))
    assert [stages[batch.pk] for batch in (first, second, third)] == [1, 2, 3]
    assert AuditEntry.objects.filter(action="link batches").count() == 2
    assert drain(runs=1) == 1
    assert (started(second), started(third)) == (True, False)
    drain()
    assert states(first, second, third) == [("completed", "")] * 3
    assert_sound()


def test_a_circle_is_refused_and_named() -> None:
    make_queue()
    a, b, c = (enqueue_batch("tested.do", [1]) for _ in range(3))
    link(a, b)
    link(b, c)
    circle = f"batch {c.pk} -> batch {a.pk} -> batch {b.pk} -> batch {c.pk}"
    with pytest.raises(LinkRefused, match=f"that would be a circle: {circle}"):
        link(c, a)
    with pytest.raises(LinkRefused, match="cannot wait for itself"):
        link(a, a)
    assert BatchLink.objects.count() == 2
    drain()
    assert states(a, b, c) == [("completed", "")] * 3


def test_a_batch_that_has_started_is_not_linked() -> None:
    make_queue()
    make_queue("tested.slow")
    slow = enqueue_batch("tested.do", [1], queue="tested.slow")
    batch = enqueue_batch("tested.do", [1, 2])
    with leased() as execution:
        with pytest.raises(LinkRefused, match=f"batch {batch.pk} has already started"):
            link(slow, batch)
        execution.succeeded += [0, 1]
    finish.sweep()
    with pytest.raises(LinkRefused, match=f"batch {batch.pk} is completed"):
        link(slow, batch)


def test_a_batch_is_not_linked_to_an_end_that_it_does_not_want() -> None:
    make_queue()
    failed = enqueue_batch("tested.do", [{"die": 1}])
    drain()
    batch = enqueue_batch("tested.do", [1])
    with pytest.raises(LinkRefused, match=f"batch {failed.pk} has ended as failed; batch {batch.pk} wants completed"):
        link(failed, batch)
    with pytest.raises(LinkRefused, match="unknown batch 999999999"):
        link(999999999, batch)
    easy = enqueue_batch("tested.do", [1], after_policy="ended")
    link(failed, easy)
    assert held(easy) == {("ready", ""): 1}


@pytest.mark.parametrize("number", ["1", 0, 2**63, True, None])
def test_what_is_no_batch_is_not_linked(number: Any) -> None:
    with pytest.raises(LinkRefused, match="a batch or its id is needed, not"):
        link(number, 2)


def test_a_file_waits_for_a_batch_and_goes_on_with_its_results(tmp_path: Any) -> None:
    make_queue(keep_results=60)
    first = enqueue_batch("tested.do", [1])
    path = tmp_path / "jobs.jsonl"
    path.write_text('{"value": 1}\n')
    waits = ("--after", first.pk, "--after-policy", "ended", "--then", "tested.do")
    second = Batch.objects.get(pk=command("enqueue", "tested.do", path, *waits, "--json").document["batch"])
    assert (held(second), second.after_policy) == ({("held", "stage"): 1}, "ended")
    drain()
    assert states(first, second, *Batch.objects.filter(stage=3)) == [("completed", "")] * 3
    refused = command("enqueue", "tested.do", path, "--after", 999999999)
    assert (refused.code, refused.err) == (1, "after: unknown batch 999999999; nothing was enqueued")


def test_a_batch_that_waits_for_others_is_not_late_in_its_hand_over(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 1
    make_queue()
    first = enqueue_batch("tested.do", [1])
    enqueue_batch("tested.do", [1], after=[first])
    enqueue_batch("tested.do", [1, 2], after=[first], split=True)
    long_ago = "2020-01-01T00:00Z"
    Batch.objects.update(queued_at=None, sealed_at=long_ago, created_at=long_ago)
    found = [problem for problem in check_stuck() if problem.check == "hand-over"]
    assert [problem.message.split(" ")[0] for problem in found] == ["1"]


def test_the_admin_shows_the_links_and_tries_batches_again(admin_client: Any) -> None:
    make_queue(max_attempts=1)
    first = enqueue_batch("tested.do", [{"die": 1}, 2], name="first <one>")
    second = enqueue_batch("tested.do", [1], after=[first], after_policy="ended")
    page = admin_client.get(f"/admin/queues/batch/{second.pk}/change/").content.decode()
    assert f'<a href="/admin/queues/batch/{first.pk}/change/">first &lt;one&gt;</a> (running)' in page
    page = admin_client.get(f"/admin/queues/batch/{first.pk}/change/").content.decode()
    assert f'<a href="/admin/queues/batch/{second.pk}/change/">batch {second.pk}</a> (running)' in page
    drain()
    for action, said in (
        ("retry_dead", "1 of 1 done, done (1 retried)."),
        ("retry_all", f"Batch {first.pk}: its 2 jobs are batch"),
        ("retry_dead", "<strong>1</strong> not: nothing of it is dead"),
    ):
        assert said in act(admin_client, "/admin/queues/batch/", action, [first.pk]).content.decode()
    assert Batch.objects.filter(metadata={"retry_of": first.pk}).count() == 1


def test_the_same_batch_again_is_not_linked_again() -> None:
    make_queue()
    first, other = (enqueue_batch("tested.do", [1]) for _ in range(2))
    options: dict[str, Any] = {"idempotency_key": "once"}
    second = enqueue_batch("tested.do", [2], after=[first], **options)
    assert enqueue_batch("tested.do", [2], after=[first, other], **options) == second
    assert list(BatchLink.objects.values_list("before_id", "after_id")) == [(first.pk, second.pk)]
    drain()
    assert enqueue_batch("tested.do", [2], after=[first], **options) == second
    assert states(second) == [("completed", "")]


def test_a_bad_item_leaves_neither_batch_nor_link() -> None:
    make_queue()
    first = enqueue_batch("tested.do", [1])
    with pytest.raises(EnqueueError, match="item 1: "):
        enqueue_batch("tested.do", [1, object()], after=[first])
    assert Batch.objects.count() == 1
    assert not BatchLink.objects.exists()
