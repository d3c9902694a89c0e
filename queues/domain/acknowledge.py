"""What one call with all jobs of a run means for each of them, by the queue's strategy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from queues.domain.outcomes import Failure, Outcome
from queues.domain.states import Acknowledge, AttemptKind


@dataclass(slots=True)
class Verdict:
    """The jobs of one call, told apart. `put_back` jobs return to their chunks and run again together."""

    succeeded: list[int] = field(default_factory=list)
    others: dict[int, Failure | Outcome] = field(default_factory=dict)
    put_back: dict[int, Failure | None] = field(default_factory=dict)
    final: set[int] = field(default_factory=set)  # failed ones that die now, whatever attempts are left
    fresh: bool = False  # what is put back starts its count of tries anew


def acknowledge(
    strategy: Acknowledge,
    jobs: Sequence[int],
    others: Mapping[int, Failure | Outcome],
    *,
    tries: int,
    max_attempts: int,
) -> Verdict:
    """Judge a call over `jobs` in which `others` did not succeed; `tries` calls were put back before.

    All-or-nothing and last-successful put back what they do not accept, until the queue's attempts are used
    up: then the failing jobs die and the rest counts as the handler said. Best effort never tries again.
    A rejected job dies at once under each of them: what is put back with it goes on without it.
    """
    failed = {job: end for job, end in others.items() if isinstance(end, Failure)}
    plain = Verdict([job for job in jobs if job not in others], dict(others))
    if not failed or strategy is Acknowledge.PER_JOB:
        return plain
    if strategy is Acknowledge.BEST_EFFORT:
        plain.final = set(failed)
        return plain
    exhausted = tries + 1 >= max_attempts
    if strategy is Acknowledge.ALL_OR_NOTHING:
        if exhausted:
            plain.final = set(failed)
            return plain
        rejected = _rejected(failed)
        return Verdict(others=rejected, put_back={job: failed.get(job) for job in jobs if job not in rejected})
    return _last_successful(jobs, others, failed, exhausted)


def _rejected(failed: Mapping[int, Failure]) -> dict[int, Failure | Outcome]:
    return {job: failure for job, failure in failed.items() if failure.kind == AttemptKind.REJECTED}


def _last_successful(
    jobs: Sequence[int],
    others: Mapping[int, Failure | Outcome],
    failed: Mapping[int, Failure],
    exhausted: bool,
) -> Verdict:
    first = next(at for at, job in enumerate(jobs) if job in failed)
    before, after = jobs[:first], jobs[first:]
    verdict = Verdict(
        [job for job in before if job not in others], {job: others[job] for job in before if job in others}
    )
    dying = _rejected(failed)
    if exhausted:
        dying[after[0]] = failed[after[0]]
        verdict.final = {after[0]}
    # Without the one that held them up, the others begin anew.
    verdict.fresh = after[0] in dying
    verdict.others |= dying
    verdict.put_back = {job: failed.get(job) for job in after if job not in dying}
    return verdict
