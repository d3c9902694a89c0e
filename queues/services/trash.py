"""What deleted jobs were: remembered when they go to the trash, given back when they leave it.

Called within a round, which holds the jobs' chunks.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from queues.domain.states import JobState
from queues.models import Chunk, DeadLetter, JobKey, Operation, TrashedJob
from queues.services.deaths import note_causes

_LETTER = ("fingerprint", "reason", "error_class", "message", "attempts")


def remember(*, operation: Operation, subjects: Collection[tuple[int, Chunk, JobState]]) -> None:
    """Write down what jobs are that are about to be deleted."""
    numbers = [job for job, _chunk, _state in subjects]
    letters = DeadLetter.objects.in_bulk(numbers)
    keys = dict(JobKey.objects.filter(job_id__in=numbers).values_list("job_id", "key"))
    TrashedJob.objects.bulk_create(
        TrashedJob(
            job_id=job,
            queue_id=chunk.queue_id,
            batch_id=chunk.batch_id,
            handler=chunk.handler,
            was=state.value,
            run_at=None if state is JobState.DEAD else chunk.run_at,
            letter=_document(letters[job]) if job in letters else None,
            unique_key=keys.get(job, ""),
            operation_id=operation.pk,
            deleted_by=operation.actor,
            reason=operation.reason,
        )
        for job, chunk, state in subjects
    )


def forget(numbers: Collection[int]) -> dict[int, TrashedJob]:
    """What these jobs were before they were deleted; from now on they are not in the trash."""
    found = TrashedJob.objects.in_bulk(list(numbers))
    TrashedJob.objects.filter(pk__in=found).delete()
    return found


def keys_of(numbers: Collection[int]) -> dict[int, tuple[int, str]]:
    """The unique keys that deleted jobs had: queue and key."""
    rows = TrashedJob.objects.filter(pk__in=numbers).exclude(unique_key="")
    return {job: (queue, key) for job, queue, key in rows.values_list("pk", "queue_id", "unique_key")}


def drop_letters(numbers: Collection[int]) -> None:
    """Jobs are dead letters no longer."""
    DeadLetter.objects.filter(pk__in=numbers).delete()


def write_letters(jobs: Iterable[TrashedJob]) -> None:
    """Those that were dead letters are so again, with the error and the time of their death."""
    letters = [
        DeadLetter(
            job_id=job.pk,
            queue_id=job.queue_id,
            batch_id=job.batch_id,
            handler=job.handler,
            died_at=datetime.fromisoformat(job.letter["died_at"]),
            **{name: job.letter[name] for name in _LETTER},
        )
        for job in jobs
        if job.was == JobState.DEAD and job.letter is not None
    ]
    # Their causes may have been forgotten meanwhile.
    note_causes(letters=[(letter.queue_id, letter.fingerprint, letter.died_at) for letter in letters])
    DeadLetter.objects.bulk_create(letters)


def _document(letter: DeadLetter) -> dict[str, Any]:
    return {name: getattr(letter, name) for name in _LETTER} | {"died_at": letter.died_at.isoformat()}
