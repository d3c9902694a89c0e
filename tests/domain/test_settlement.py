"""From outcomes to rows: whatever the jobs did, none is lost and the sums agree."""

import uuid
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues.domain.outcomes import Cancel, Failure, Snooze
from queues.domain.records import BatchFacts, Claim, ClaimedChunk, Policy
from queues.domain.settlement import Ended, Plan, Progress, fail_fast_batches, judge, plan
from queues.domain.states import Acknowledge, ChunkState, DeadReason, FailureMode, HeldWhy

LATER = datetime(2040, 1, 1, tzinfo=UTC)


def failure(kind: str = "error") -> Failure:
    return Failure(kind, "E", "m")


def policy(**changed: object) -> Policy:
    values = {
        "queue_id": 1,
        "name": "q",
        "run_size": 1000,
        "chunk_size": 4,
        "concurrency": 1,
        "acknowledge": Acknowledge.PER_JOB,
        "max_attempts": 3,
        "backoff": "fixed",
        "backoff_base": 10.0,
        "backoff_cap": 10.0,
        "jitter": 0.0,
        "timeout": None,
        "keep_results": None,
        "limited": False,
        "flushes": False,
    }
    return Policy(**{**values, **changed})


def chunk(number: int, first: int, size: int, batch: int | None = 1, **changed: object) -> ClaimedChunk:
    values = {"priority": 2, "has_keys": False, "tries": 0, "job_ids": None, "cancelled": 0, "ended": None}
    values |= changed
    listed = values["job_ids"] is not None
    return ClaimedChunk(
        run_id=1,
        id=number,
        batch_id=batch,
        handler="h",
        priority=values["priority"],
        run_at=0.0,
        size=size,
        succeeded=0,
        cancelled=values["cancelled"],
        bytes=size * 10,
        first_id=None if listed else first,
        span=None if listed else size,
        job_ids=values["job_ids"],
        ended=values["ended"],
        losses=0,
        tries=values["tries"],
        solo=False,
        has_keys=values["has_keys"],
    )


def claim(*chunks: ClaimedChunk, failures: list[int] | None = None, **changed: object) -> Claim:
    made = Claim(1, uuid.UUID(int=1), policy(**changed), "h", list(chunks))
    for place, c in enumerate(chunks, 1):
        jobs = c.job_ids or range(c.first_id, c.first_id + c.span)
        made.ids += jobs
        made.places += [place] * len(jobs)
        if c.batch_id is not None:
            made.batches[c.batch_id] = BatchFacts(c.batch_id, FailureMode.CONTINUE, None, False)
    made.failures = failures or [0] * len(made.ids)
    return made


def planned(
    made: Claim, ended: Ended, *, final: bool = True, stopping: frozenset[int] = frozenset()
) -> tuple[Plan, dict[int, Progress]]:
    progress = {c.id: Progress.of(c) for c in made.chunks}
    deaths = judge(made, ended)
    rows = plan(made, progress, ended, deaths, stopping=set(stopping), final=final, uniform=lambda: 0.5)
    return rows, progress


OUTCOMES = [None, "untouched", failure(), failure("rejected"), failure("timeout"), Snooze(5), Snooze(LATER), Cancel()]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    data=st.data(),
    final=st.booleans(),
    stops=st.booleans(),
    max_attempts=st.integers(1, 3),
)
def test_no_job_is_lost_or_counted_twice(sizes, data, final, stops, max_attempts) -> None:
    chunks = [
        chunk(n, n * 100, size, batch=n % 2 + 1, job_ids=None if n % 3 else list(range(n * 100 + size, n * 100, -1)))
        for n, size in enumerate(sizes, 1)
    ]
    total = sum(sizes)
    made = claim(*chunks, max_attempts=max_attempts)
    outcomes = data.draw(st.lists(st.sampled_from(OUTCOMES), min_size=total, max_size=total))
    ended = Ended(
        [i for i, outcome in enumerate(outcomes) if outcome is None],
        {i: outcome for i, outcome in enumerate(outcomes) if outcome is not None and outcome != "untouched"},
    )
    rows, progress = planned(made, ended, final=final, stopping=frozenset({2} if stops else ()))
    moved = Counter(move.old_chunk for move in rows.moves if move.new is not None)
    assert len({move.job_id for move in rows.moves}) == len(rows.moves)
    assert all(p == Progress.of(c) for p, c in zip(progress.values(), chunks, strict=True)), "changed what it was given"
    for update in rows.updates:
        size = next(c.size for c in chunks if c.id == update.id)
        assert update.gone == moved[update.id]
        if update.state is ChunkState.DONE:
            assert size - update.gone == update.succeeded + update.cancelled
            assert update.ended is None
        if update.state is ChunkState.READY and update.succeeded:
            assert int.from_bytes(update.ended, "little").bit_count() == update.succeeded
        if not final:
            assert update.state in (ChunkState.LEASED, ChunkState.DONE)
    if final:
        assert {update.id for update in rows.updates} == {c.id for c in chunks}
        assert ChunkState.LEASED not in {update.state for update in rows.updates}
    assert sorted(job for new in rows.new_chunks for job in new.job_ids) == sorted(
        move.job_id for move in rows.moves if move.new is not None
    )
    counts = rows.counts
    assert counts.succeeded == len(ended.succeeded)
    assert counts.failed == sum(isinstance(end, Failure) for end in ended.others.values()) == len(rows.attempts)
    assert counts.dead == len(rows.dead)
    if final:
        assert counts.succeeded + counts.retried + counts.dead + counts.cancelled + counts.returned == total
    if stops:
        ready = [new for new in rows.new_chunks if new.state is ChunkState.READY]
        returned = [u for u in rows.updates if u.state is ChunkState.READY and chunks[u.id - 1].batch_id == 2]
        assert not returned and all(new.batch_id != 2 for new in ready)


def test_retries_are_grouped_by_failures_and_cut_at_the_chunk_size() -> None:
    made = claim(chunk(1, 100, 10), failures=[0, 1] * 5)
    rows, _ = planned(made, Ended(others=dict.fromkeys(range(10), failure())))
    assert [(new.state, len(new.job_ids), new.delay) for new in rows.new_chunks] == [
        (ChunkState.READY, 4, 10.0),
        (ChunkState.READY, 4, 10.0),
        (ChunkState.READY, 1, 10.0),
        (ChunkState.READY, 1, 10.0),
    ]
    assert {move.burn for move in rows.moves} == {1}


def test_the_dead_of_a_batch_share_a_parked_chunk() -> None:
    made = claim(chunk(1, 100, 4), chunk(2, 200, 4), chunk(3, 300, 4, batch=2), max_attempts=1)
    rows, _ = planned(made, Ended(others=dict.fromkeys(range(12), failure())))
    assert [(new.state, new.held_why, new.batch_id, len(new.job_ids)) for new in rows.new_chunks] == [
        (ChunkState.PARKED, HeldWhy.DEAD, 1, 8),
        (ChunkState.PARKED, HeldWhy.DEAD, 2, 4),
    ]
    assert {update.state for update in rows.updates} == {ChunkState.DONE}


@pytest.mark.parametrize(
    ("kind", "failures", "reason"),
    [
        ("error", 0, None),
        ("error", 2, DeadReason.EXHAUSTED),
        ("timeout", 2, DeadReason.EXHAUSTED),
        ("lost", 1, None),
        ("lost", 2, DeadReason.WORKER_LOST),
        ("rejected", 0, DeadReason.REJECTED),
    ],
)
def test_a_failed_job_dies_when_its_attempts_are_used_up_or_it_was_rejected(
    kind: str, failures: int, reason: DeadReason | None
) -> None:
    made = claim(chunk(1, 100, 1), failures=[failures])
    assert judge(made, Ended(others={0: failure(kind)})).get(0) is reason


def test_a_lost_job_is_tried_again_alone() -> None:
    rows, _ = planned(claim(chunk(1, 100, 3)), Ended(others={0: failure("lost"), 1: failure()}))
    assert sorted((new.solo, len(new.job_ids)) for new in rows.new_chunks) == [(False, 1), (True, 1)]


def test_only_the_dead_of_fail_fast_batches_stop_them() -> None:
    made = claim(chunk(1, 100, 1, batch=1), chunk(2, 200, 1, batch=2), chunk(3, 300, 1, batch=None))
    made.batches[2] = BatchFacts(2, FailureMode.FAIL_FAST, None, False)
    assert fail_fast_batches(made, [0, 1, 2]) == {2}
    assert fail_fast_batches(made, [0, 2]) == set()


def test_a_job_that_leaves_takes_its_share_of_the_bytes_and_its_keys() -> None:
    made = claim(chunk(1, 100, 4, has_keys=True))
    rows, _ = planned(made, Ended([0], {1: failure(), 2: Cancel()}), final=False)
    assert (rows.new_chunks[0].bytes, rows.new_chunks[0].has_keys) == (10, True)
    assert sorted(rows.freed) == [100, 102]


def test_put_back_chunks_count_their_tries_and_back_off() -> None:
    made = claim(chunk(1, 100, 3, tries=1), acknowledge=Acknowledge.ALL_OR_NOTHING)
    rows, _ = planned(made, Ended(put_back={0: None, 1: failure(), 2: None}))
    assert [(u.state, u.tried, u.delay) for u in rows.updates] == [(ChunkState.READY, 1, 10.0)]
    assert (rows.counts.returned, rows.counts.failed, len(rows.attempts)) == (3, 0, 1)
    rows, _ = planned(made, Ended(put_back={0: None, 1: None, 2: None}, fresh=True))
    assert rows.updates[0].tried == -1


def test_what_nobody_started_goes_back_as_it_was() -> None:
    rows, _ = planned(claim(chunk(1, 100, 3)), Ended())
    assert [(u.state, u.gone, u.succeeded, u.ended, u.tried, u.delay) for u in rows.updates] == [
        (ChunkState.READY, 0, 0, None, 0, None)
    ]
    assert (rows.counts.returned, rows.moves, rows.new_chunks) == (3, [], [])
