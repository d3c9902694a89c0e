"""The tables. Rules live in `domain`, writes in `services`, reads in `selectors`; a model only says what is.

Ids are bigint. `Job` carries neither constraint nor index towards its chunk and batch: each costs every
enqueued job, and the enqueue transaction is what keeps them true.
"""

from queues.models.base import PRIORITIES, QUEUE_NAME, JSONText
from queues.models.batch import Batch, Chunk, Job, JobKey, JobResult
from queues.models.queue import Queue, QueueSlot
from queues.models.record import ArchivedJob, AuditEntry, Operation, OperationItem
from queues.models.work import Attempt, DeadLetter, Run, Worker

__all__ = [
    "PRIORITIES",
    "QUEUE_NAME",
    "ArchivedJob",
    "Attempt",
    "AuditEntry",
    "Batch",
    "Chunk",
    "DeadLetter",
    "JSONText",
    "Job",
    "JobKey",
    "JobResult",
    "Operation",
    "OperationItem",
    "Queue",
    "QueueSlot",
    "Run",
    "Worker",
]
