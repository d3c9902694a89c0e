"""What follows when jobs die: a job for the dead letter handler, deliveries for webhooks, a signal for each.

All but the signals is written in the transaction of the death, wherever that is: in a worker's settle or in the
reaper's. So each death has exactly one job of the handler, and a crash leaves both or neither.
"""

import json
import logging
from collections.abc import Collection, Iterable
from datetime import datetime

from queues import handlers, signals, store
from queues.domain.states import Priority
from queues.models import Queue
from queues.services import webhooks
from queues.services.own_jobs import write_jobs

log = logging.getLogger(__name__)

# Where a queue has no row that would say otherwise.
CHUNK_SIZE = 50
EVENT = "job.dead"


def note_causes(*, letters: Iterable[tuple[int, str, datetime | None]]) -> None:
    """Keep when the causes of letters (queue, fingerprint, time of death or None for now) were first seen.

    In the transaction that writes the letters, before them and before any queue is hinted: it may wait for another that
    has just met the same new cause.
    """
    if found := set(letters):
        queues, fingerprints, died_at = zip(*found, strict=True)
        store.run("see_causes", queues=list(queues), fingerprints=list(fingerprints), died_at=list(died_at))


def follow(*, queue_id: int, handler: str, jobs: Collection[int]) -> None:
    """Do what is to be done for jobs whose dead letters the open transaction has just written."""
    hook = _hook(queue_id, handler)
    wanted = webhooks.wanting(event=EVENT, queue_id=queue_id)
    if not hook and not wanted and not signals.job_dead.has_listeners():
        return
    found = store.rows("dead_facts", jobs=sorted(jobs), payloads=bool(hook))
    facts = [text for text, _payload in found]
    if hook:
        texts = [f'{text[:-1]}, "payload" : {payload or "null"}}}' for text, payload in found]
        _write(hook, queue_id, texts)
    webhooks.write(event=EVENT, wanted=wanted, facts=facts)
    if signals.job_dead.has_listeners():
        for text in facts:
            signals.tell(signals.job_dead, **json.loads(text))


def _hook(queue_id: int, handler: str) -> str:
    """The handler for these dead letters: the row's, else the one that the code declares for the queue."""
    found = store.row("dead_hook", queue=queue_id, handler=handler)
    if found is None:
        return ""
    named, queue, is_hook = found
    if is_hook or handlers.is_dead_letter_handler(handler):
        return ""
    return named or handlers.dead_letter_handler_of(queue)


def _write(hook: str, queue_id: int, texts: list[str]) -> None:
    """One job for each, in the handler's own queue; where that is not there, in the queue of the dead."""
    target, chunk_size, priority = queue_id, CHUNK_SIZE, int(Priority.NORMAL)
    try:
        name = handlers.find(hook).queue
    except handlers.UnknownHandler:
        name = ""  # another version of the code knows it; its jobs wait for that
    lane = Queue.objects.filter(name=name).values_list("pk", "chunk_size", "default_priority").first() if name else None
    if lane is not None:
        target, chunk_size, priority = lane
    else:
        log.error("the dead letter handler %r has no queue of its own here: `manage.py sync_queues` makes it", hook)
    write_jobs(queue_id=target, handler=hook, texts=texts, chunk_size=chunk_size, priority=priority)
