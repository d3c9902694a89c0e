"""Panels of one job: where it stands and what can be done, its history, its failed tries, and what it is.

Its payload and result are on the page only: what is pushed holds none.
"""

from datetime import datetime

from monitoring import filters, limits, panels
from monitoring.job_offers import explained
from monitoring.panels import Ask, Context, Gone, Panel
from monitoring.snapshot import Snapshot
from monitoring.tries import tries
from queues.domain.states import JobState
from queues.selectors import dead_letters, job_detail, job_history, jobs
from queues.services import standstill

# Letters of a cause that are counted.
SAME_COUNTED = 10_000
# What a page is made of, in its order.
NAMES = ("job-head", "job-error", "job-history", "job-tries", "job-about")


def found(snapshot: Snapshot, job_id: int) -> job_detail.JobDetail | None:
    """The job, hot or archived, as it is in this reading."""
    return snapshot.once(("job", job_id), lambda: job_detail.job(job_id))


def job_head(ask: Ask) -> Context:
    """Its state, and what can be done now: links to pages that ask."""
    job = _job(ask)
    return {"job": job, "letter": _letter(ask), "deeds": explained(job.state, archived=job.archived)}


def job_error(ask: Ask) -> Context:
    """Of what it died, while it waits for a person."""
    letter = _letter(ask)
    return {"letter": letter, "same_cause": _same_cause(ask.snapshot, letter), "most": SAME_COUNTED}


def job_story(ask: Ask) -> Context:
    """What happened to it, in order."""
    job, letter = _job(ask), _letter(ask)
    return {"events": _events(job, _attempts(ask), letter.died_at if letter else None)}


def job_tries(ask: Ask) -> Context:
    """Its failed tries, the newest first."""
    return {"job": _job(ask), "tries": tries(_attempts(ask))}


def job_about(ask: Ask) -> Context:
    """Where it belongs, and why what cannot be done cannot."""
    job, snapshot = _job(ask), ask.snapshot
    waits = None
    if job.state is JobState.WAITING:
        waits = snapshot.once(("standing", job.queue), lambda: standstill.explain(name=job.queue, now=snapshot.now))
    reasons: dict[str, list[str]] = {}
    for deed in explained(job.state, archived=job.archived):
        if deed.why_not:
            reasons.setdefault(deed.why_not, []).append(deed.verb)
    return {"job": job, "waits": waits, "reasons": reasons}


def _job(ask: Ask) -> job_detail.JobDetail:
    job = found(ask.snapshot, int(ask.subject))
    if job is None:
        raise Gone(f"job {ask.subject}")
    return job


def _letter(ask: Ask) -> dead_letters.DeadLetterRow | None:
    number = int(ask.subject)
    return ask.snapshot.once(("letter", number), lambda: dead_letters.dead_letter(number))


def _attempts(ask: Ask) -> list[jobs.AttemptRow]:
    number = int(ask.subject)
    return ask.snapshot.once(("attempts", number), lambda: jobs.attempts(number))


def _events(
    job: job_detail.JobDetail, attempts: list[jobs.AttemptRow], died_at: datetime | None
) -> list[job_history.Event]:
    deeds = limits.attempt(lambda: job_history.deeds(job.id)) or []
    moved_at = deeds[0].at if deeds else None
    runs = limits.attempt(lambda: job_detail.runs(job, moved_at=moved_at)) or []
    return job_history.history(job, runs, attempts, deeds, died_at)


def _same_cause(snapshot: Snapshot, letter: dead_letters.DeadLetterRow | None) -> int | None:
    if letter is None or not letter.fingerprint:
        return None
    same = dead_letters.DeadLetterQuery(fingerprint=letter.fingerprint)
    return snapshot.once(
        ("same cause", letter.fingerprint),
        lambda: limits.attempt(lambda: dead_letters.dead_letter_count(same, SAME_COUNTED)),
    )


def _number(subject: str) -> str:
    number = filters.whole_number(subject)
    if number is None:
        raise Gone(f"job {subject}")
    return str(number)


def register() -> None:
    """Add the panels. Several pages of one job share its reading; each is read every other second."""
    contexts = (job_head, job_error, job_story, job_tries, job_about)
    made = [Panel(name, context, about="job", every=2) for name, context in zip(NAMES, contexts, strict=True)]
    panels.add(*made, job=_number)
