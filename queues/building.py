"""A batch that is put together step by step in memory, and enqueued at once.

    batch = (
        JobBatch("welcome", send)
        .with_jobs({"to": address} for address in addresses)
        .with_batch_size(100)
        .with_failure_mode("collect_errors")
        .with_metadata("campaign", 7)
        .add_job({"to": "boss@example.org"}, priority="high")
        .enqueue()
    )

Nothing is checked or written before `enqueue`, which then says all that `enqueue_batch` says. A batch that takes jobs
over a longer time, or from several processes, is one that stays open: `enqueue_batch(..., open=True)`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from queues.domain.states import FailureMode, Priority
from queues.models import Batch
from queues.services.enqueue import enqueue_batch
from queues.services.feed import EnqueueError, JobSpec


class JobBatch:
    """A batch in the making. Each `with_...` and `add_job` changes it and returns it."""

    def __init__(self, name: str, handler: str | Callable[..., Any], *, queue: str | None = None) -> None:
        self._handler = handler
        self._options: dict[str, Any] = {"name": name, "queue": queue}
        self._metadata: dict[str, Any] = {}
        self._jobs: list[Any] = []
        self._enqueued: Batch | None = None

    def __len__(self) -> int:
        """The jobs so far."""
        return len(self._jobs)

    def with_jobs(self, payloads: Iterable[Any]) -> "JobBatch":
        """Add many jobs: JSON values, or `JobSpec` where one differs."""
        if isinstance(payloads, str | bytes | Mapping) or not isinstance(payloads, Iterable):
            raise EnqueueError(f"with_jobs: many are needed, not one {type(payloads).__name__}: see add_job")
        self._jobs.extend(payloads)
        return self

    def add_job(
        self,
        payload: Any,
        *,
        priority: Priority | str | None = None,
        run_at: datetime | None = None,
        queue: str | None = None,
    ) -> "JobBatch":
        """Add one job, which may have its own priority and due time. Its queue, if given, must be the batch's."""
        plain = priority is None and run_at is None and queue is None
        self._jobs.append(payload if plain else JobSpec(payload, priority=priority, run_at=run_at, queue=queue))
        return self

    def with_batch_size(self, jobs: int) -> "JobBatch":
        """Jobs to a chunk: what is claimed together."""
        return self._with(chunk_size=jobs)

    def with_failure_mode(self, mode: FailureMode | str) -> "JobBatch":
        """`continue`, `fail_fast` or `collect_errors`."""
        return self._with(failure_mode=mode)

    def with_metadata(self, key: str, value: Any) -> "JobBatch":
        """One entry of the metadata; the last one of a key counts."""
        self._metadata[key] = value
        return self

    def with_priority(self, priority: Priority | str) -> "JobBatch":
        """Of the jobs that have none of their own."""
        return self._with(priority=priority)

    def with_run_at(self, run_at: datetime) -> "JobBatch":
        """Not before this aware time, for the jobs that have none of their own."""
        return self._with(run_at=run_at)

    def with_splitting(self) -> "JobBatch":
        """Allow more than `BATCH_MAX_JOBS`: a parent with parts, and one progress."""
        return self._with(split=True)

    def with_options(self, **options: Any) -> "JobBatch":
        """Anything else that `enqueue_batch` takes: key, idempotency_key, callback, after..."""
        return self._with(**options)

    def enqueue(self) -> Batch:
        """Enqueue all of it, or nothing; once. Raises `EnqueueError`, which names the place; then it can be mended."""
        if self._enqueued is not None:
            raise EnqueueError(f"this batch was enqueued before, as batch {self._enqueued.pk}")
        options = {**self._options, "metadata": {**self._options.get("metadata", {}), **self._metadata}}
        self._enqueued = enqueue_batch(self._handler, self._jobs, **options)
        return self._enqueued

    def _with(self, **options: Any) -> "JobBatch":
        self._options.update(options)
        return self
