"""A job that is not there: whether it was, and what became of it, as far as that is still written anywhere."""

from queues.models import ArchivedJob, Batch, Job
from queues.selectors.job_history import deeds


def gone(job_id: int) -> str:
    """What can be said of a job that is neither hot nor archived, in a sentence."""
    done = deeds(job_id)
    if done:
        last = done[-1]
        why = f" ({last.reason})" if last.reason else ""
        at = last.at.strftime("%Y-%m-%d %H:%M")
        return f"job {job_id} was {last.what} by {last.actor or 'the program'} at {at} UTC{why}"
    newest = max((_newest(model) for model in (Job, ArchivedJob)), default=0)
    if job_id > newest:
        return f"no job {job_id} yet: the newest is {newest}" if newest else f"no job {job_id}: there are no jobs yet"
    batch = Batch.objects.filter(first_job_id__lte=job_id, last_job_id__gte=job_id, is_parent=False).first()
    if batch is not None:
        return f"job {job_id} of batch {batch.pk} was purged when its time in the archive was over"
    return f"job {job_id} was purged, deleted with its batch, or never was"


def _newest(model: type[Job] | type[ArchivedJob]) -> int:
    found: int | None = model._default_manager.order_by("-pk").values_list("pk", flat=True).first()
    return found or 0
