"""How a batch ends, and what a job is called."""

import pytest

from queues.domain.states import (
    BatchState,
    ChunkState,
    HeldWhy,
    JobState,
    OwnState,
    Priority,
    StopReason,
    end_state,
    job_state,
)


@pytest.mark.parametrize(
    ("stop", "total", "succeeded", "state"),
    [
        (StopReason.NONE, 5, 5, BatchState.COMPLETED),
        (StopReason.NONE, 5, 4, BatchState.PARTIAL),
        (StopReason.NONE, 5, 0, BatchState.FAILED),
        (StopReason.NONE, 0, 0, BatchState.COMPLETED),
        (StopReason.FAIL_FAST, 5, 4, BatchState.FAILED),
        (StopReason.CANCELLED, 5, 0, BatchState.CANCELLED),
        (StopReason.CANCELLED, 5, 5, BatchState.CANCELLED),
    ],
)
def test_a_batch_ends_by_what_stopped_it_or_by_its_successes(
    stop: StopReason, total: int, succeeded: int, state: BatchState
) -> None:
    assert end_state(stop, total, succeeded) is state


def test_a_job_s_own_state_comes_first_then_its_bit_then_its_chunk() -> None:
    for chunk in ChunkState:
        for bit in (False, True):
            named = job_state(chunk, HeldWhy.NONE, OwnState.TRASHED, bit, due=True, failures=0)
            assert named is JobState.TRASHED
        assert job_state(chunk, HeldWhy.NONE, None, True, due=True, failures=0) is JobState.SUCCEEDED


@pytest.mark.parametrize(
    ("due", "failures", "state"),
    [
        (True, 0, JobState.WAITING),
        (True, 2, JobState.WAITING),
        (False, 0, JobState.SCHEDULED),
        (False, 1, JobState.RETRYING),
    ],
)
def test_what_is_ready_waits_for_a_worker_or_for_its_time(due: bool, failures: int, state: JobState) -> None:
    assert job_state(ChunkState.READY, HeldWhy.NONE, None, False, due=due, failures=failures) is state


def test_what_is_parked_is_dead_unless_it_was_deleted() -> None:
    dead = job_state(ChunkState.PARKED, HeldWhy.DEAD, None, False, due=True, failures=1)
    gone = job_state(ChunkState.PARKED, HeldWhy.TRASHED, None, False, due=True, failures=1)
    assert (dead, gone) == (JobState.DEAD, JobState.TRASHED)


def test_priorities_sort_by_number_and_are_read_by_name() -> None:
    names = [priority.label for priority in sorted(Priority)]
    assert names == ["critical", "high", "normal", "low", "background"]
