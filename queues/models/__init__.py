"""The tables. Rules live in `domain`, writes in `services`, reads in `selectors`; a model only says what is.

Ids are bigint. `Job` carries neither constraint nor index towards its chunk and batch: each costs every
enqueued job, and the enqueue transaction is what keeps them true.
"""

from queues.models.base import PRIORITIES, QUEUE_NAME, JSONText
from queues.models.batch import Batch, BatchLink, Chunk, Job, JobKey, JobResult, batch_id
from queues.models.outward import KafkaOffset, Recurring, Webhook
from queues.models.queue import EnqueueBucket, Queue, QueueSlot
from queues.models.record import ArchivedJob, AuditEntry, Operation, OperationItem, TrashedJob
from queues.models.work import Attempt, DeadLetter, Run, SeenCause, Worker

__all__ = [
    "PRIORITIES",
    "QUEUE_NAME",
    "ArchivedJob",
    "Attempt",
    "AuditEntry",
    "Batch",
    "BatchLink",
    "Chunk",
    "DeadLetter",
    "EnqueueBucket",
    "JSONText",
    "Job",
    "JobKey",
    "JobResult",
    "KafkaOffset",
    "Operation",
    "OperationItem",
    "Queue",
    "QueueSlot",
    "Recurring",
    "Run",
    "SeenCause",
    "TrashedJob",
    "Webhook",
    "Worker",
    "batch_id",
]
