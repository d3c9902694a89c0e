"""One cause in more depth: what differs between its messages, and which workers it strikes. Of its newest letters."""

from collections import Counter
from dataclasses import dataclass

from django.db.models.functions import Left

from queues.domain.variables import Variable, variables
from queues.models import Attempt, Worker
from queues.selectors.dead_letters import DeadLetterQuery, matching_letters

READ = 200
MESSAGE = 400
WORKERS = 8


@dataclass(frozen=True, slots=True)
class Parts:
    """`workers` are their names with letters, the most frequent first; `read` is how many letters were looked at."""

    variables: list[Variable]
    workers: list[tuple[str, int]]
    others: int
    read: int


def parts(query: DeadLetterQuery) -> Parts:
    """Read the newest letters of a cause and the last try of each."""
    newest = matching_letters(query).order_by("-died_at", "-job_id")
    rows = list(newest.annotate(start=Left("message", MESSAGE)).values_list("job_id", "start")[:READ])
    last = Attempt.objects.filter(job_id__in=[job for job, _ in rows]).order_by("job_id", "-finished_at", "-pk")
    struck = Counter(last.distinct("job_id").values_list("worker_id", flat=True))
    names = dict(Worker.objects.filter(pk__in=struck).values_list("pk", "name"))
    by_name: Counter[str] = Counter()
    for worker, count in struck.items():
        by_name[names.get(worker, "workers that are gone")] += count
    top = by_name.most_common(WORKERS)
    return Parts(variables(start for _, start in rows), top, len(by_name) - len(top), len(rows))
