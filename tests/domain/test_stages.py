"""What the ends of the batches before mean for the one that waits."""

import pytest

from queues.domain.stages import Verdict, fits, path, verdict
from queues.domain.states import BatchState, StopReason, end_state

ENDS = [state for state in BatchState if state is not BatchState.RUNNING]


@pytest.mark.parametrize("state", BatchState)
def test_which_end_fits(state: BatchState) -> None:
    assert fits("completed", state) is (state is BatchState.COMPLETED)
    assert fits("ended", state) is (state is not BatchState.RUNNING)


@pytest.mark.parametrize(
    ("policy", "states", "expected"),
    [
        ("completed", [], Verdict.START),
        ("completed", ["completed", "completed"], Verdict.START),
        ("completed", ["completed", "running"], Verdict.WAIT),
        ("completed", ["running", "partial"], Verdict.STOP),
        ("completed", ["cancelled"], Verdict.STOP),
        ("ended", ["failed", "cancelled", "partial", "completed"], Verdict.START),
        ("ended", ["failed", "running"], Verdict.WAIT),
    ],
)
def test_the_verdict(policy: str, states: list[str], expected: Verdict) -> None:
    assert verdict(policy, states) is expected
    assert verdict(policy, reversed(states)) is expected


def test_the_way_of_a_circle() -> None:
    assert list(path(1, 4, {4: 3, 3: 2, 2: 1, 9: 1})) == [1, 2, 3, 4]


def test_a_batch_stopped_by_another_is_cancelled_however_little_it_has_done() -> None:
    assert {end_state(StopReason.UPSTREAM, 5, done) for done in (0, 5)} == {BatchState.CANCELLED}
