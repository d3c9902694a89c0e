"""What a call with all jobs means for each of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queues.domain.acknowledge import acknowledge
from queues.domain.outcomes import Cancel, Failure, Snooze
from queues.domain.states import Acknowledge

FAILED = Failure("error", "E", "m")
REJECTED = Failure("rejected", "Reject", "m")
cases = {
    "strategy": st.sampled_from(Acknowledge),
    "outcomes": st.lists(st.sampled_from([None, FAILED, REJECTED, Cancel(), Snooze(1)]), min_size=1, max_size=12),
    "tries": st.integers(0, 4),
    "max_attempts": st.integers(1, 4),
}


@given(**cases)
def test_every_job_has_one_fate(strategy, outcomes, tries, max_attempts) -> None:
    jobs = list(range(100, 100 + len(outcomes)))
    others = {job: outcome for job, outcome in zip(jobs, outcomes, strict=True) if outcome is not None}
    verdict = acknowledge(strategy, jobs, others, tries=tries, max_attempts=max_attempts)
    fates = [*verdict.succeeded, *verdict.others, *verdict.put_back]
    assert sorted(fates) == jobs
    assert verdict.final <= {job for job, end in verdict.others.items() if isinstance(end, Failure)}
    assert all(others[job] is end for job, end in verdict.others.items())
    assert not set(verdict.succeeded) & set(others)


@given(**cases)
def test_what_is_put_back_ends_some_day(strategy, outcomes, tries, max_attempts) -> None:
    jobs = list(range(len(outcomes)))
    others = {job: outcome for job, outcome in enumerate(outcomes) if outcome is not None}
    verdict = acknowledge(strategy, jobs, others, tries=max_attempts - 1, max_attempts=max_attempts)
    if verdict.put_back:
        assert strategy is Acknowledge.LAST_SUCCESSFUL
        assert verdict.fresh and len(verdict.put_back) < len(jobs)


@pytest.mark.parametrize("strategy", Acknowledge)
def test_where_nothing_failed_all_counts_as_said(strategy: Acknowledge) -> None:
    snooze = Snooze(1)
    verdict = acknowledge(strategy, [1, 2, 3], {2: snooze}, tries=0, max_attempts=3)
    assert (verdict.succeeded, verdict.others, verdict.put_back) == ([1, 3], {2: snooze}, {})


def test_per_job_leaves_the_failed_ones_to_their_own_attempts() -> None:
    verdict = acknowledge(Acknowledge.PER_JOB, [1, 2], {2: FAILED}, tries=9, max_attempts=1)
    assert (verdict.succeeded, verdict.others, verdict.final) == ([1], {2: FAILED}, set())


def test_best_effort_gives_up_the_failed_ones_at_once() -> None:
    verdict = acknowledge(Acknowledge.BEST_EFFORT, [1, 2], {2: FAILED}, tries=0, max_attempts=5)
    assert (verdict.succeeded, verdict.final) == ([1], {2})


def test_all_or_nothing_takes_all_back_and_remembers_who_failed() -> None:
    verdict = acknowledge(Acknowledge.ALL_OR_NOTHING, [1, 2, 3], {2: FAILED}, tries=0, max_attempts=2)
    assert (verdict.succeeded, verdict.put_back) == ([], {1: None, 2: FAILED, 3: None})


def test_last_successful_cuts_at_the_first_failure() -> None:
    cancel = Cancel()
    others = {2: cancel, 4: FAILED, 5: FAILED}
    verdict = acknowledge(Acknowledge.LAST_SUCCESSFUL, [1, 2, 3, 4, 5, 6], others, tries=0, max_attempts=2)
    assert (verdict.succeeded, verdict.others) == ([1, 3], {2: cancel})
    assert verdict.put_back == {4: FAILED, 5: FAILED, 6: None}


@given(**cases)
def test_a_rejected_job_is_never_tried_again(strategy, outcomes, tries, max_attempts) -> None:
    jobs = list(range(len(outcomes)))
    others = {job: outcome for job, outcome in enumerate(outcomes) if outcome is not None}
    verdict = acknowledge(strategy, jobs, others, tries=tries, max_attempts=max_attempts)
    assert {job for job, end in others.items() if end is REJECTED} <= set(verdict.others)


def test_all_or_nothing_tries_the_others_again_without_the_rejected_one() -> None:
    others = {2: REJECTED, 3: FAILED}
    verdict = acknowledge(Acknowledge.ALL_OR_NOTHING, [1, 2, 3], others, tries=0, max_attempts=2)
    assert (verdict.succeeded, verdict.others) == ([], {2: REJECTED})
    assert verdict.put_back == {1: None, 3: FAILED}
    assert not verdict.fresh


def test_last_successful_begins_anew_behind_a_rejected_job() -> None:
    others = {2: REJECTED, 3: FAILED, 4: REJECTED}
    verdict = acknowledge(Acknowledge.LAST_SUCCESSFUL, [1, 2, 3, 4, 5], others, tries=0, max_attempts=3)
    assert (verdict.succeeded, verdict.others) == ([1], {2: REJECTED, 4: REJECTED})
    assert verdict.put_back == {3: FAILED, 5: None}
    assert verdict.fresh
