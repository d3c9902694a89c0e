"""Taking jobs in: one, or a batch of many, inside the caller's transaction when there is one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from datetime import datetime
from itertools import chain, islice
from typing import Any

from django.conf import settings

from queues import codec, store
from queues.domain.payload import DEFAULT_RULES, PayloadError, PayloadRules
from queues.domain.states import AfterPolicy, FailureMode, Priority
from queues.models import Batch, batch_id
from queues.services import announce, audit, delete, enqueue_limit, events, stages
from queues.services.feed import (
    BadPayload,
    EnqueueError,
    EnqueueLimited,
    Feed,
    JobSpec,
    Target,
    check_key,
    check_text,
    metadata_text,
    parse_priority,
    parse_run_at,
)
from queues.services.intake import Intake, take_all, take_keys
from queues.services.lanes import HandlerRef, QueueLane, asked_by, find_lane, spread

# What is added to an open batch, and the parts of one, are not told: the batch is.
UNTOLD = audit.of_batch(action="", actor="", source="")
__all__ = ["EnqueueError", "EnqueueLimited", "JobSpec", "add_jobs", "enqueue", "enqueue_batch", "insert_one", "seal"]


def enqueue(
    handler: HandlerRef,
    payload: Any,
    *,
    queue: str | None = None,
    priority: Priority | str | None = None,
    run_at: datetime | None = None,
    key: str | None = None,
) -> int | None:
    """Enqueue one job; returns its id, or None when an unfinished job holds the unique `key`.

    It is accepted when the caller's transaction commits, or at once without one. `payload` is any JSON value.
    Raises `EnqueueError` before anything is written, `EnqueueLimited` when the queue takes no more for now.
    """
    lane = find_lane(handler, queue)
    level = lane.priority if priority is None else parse_priority(priority)
    at = parse_run_at(run_at)
    if key is not None:
        check_key(key, "key")
    with store.atomic_if(lane.limit is not None):
        enqueue_limit.pass_gate(queue_id=lane.id, queue=lane.name, limit=lane.limit)
        job = insert_one(
            queue_id=lane.id,
            handler=lane.handler,
            payload=payload,
            priority=level,
            run_at=at,
            key=key,
            rules=lane.rules,
        )
        enqueue_limit.charge(queue_id=lane.id, limit=lane.limit, jobs=int(job is not None))
    return job


def insert_one(
    *,
    queue_id: int,
    handler: str,
    payload: Any,
    priority: int = Priority.NORMAL,
    run_at: datetime | None = None,
    key: str | None = None,
    rules: PayloadRules = DEFAULT_RULES,
) -> int | None:
    """Write one job that has been checked but for its payload, and announce it."""
    try:
        text = codec.encode(payload, rules)
    except PayloadError as error:
        raise BadPayload(f"payload: {error}") from None
    with store.atomic():
        job: int = store.one("reserve_ids", sequence="queues_job_id_seq", wanted=1)
        if key is not None and not store.rows("take_keys", queue=queue_id, keys=[key], jobs=[job]):
            return None
        store.run(
            "enqueue_one",
            queue=queue_id,
            handler=handler,
            priority=int(priority),
            run_at=run_at,
            bytes=len(text),
            job=job,
            has_key=key is not None,
            payload=text,
        )
        announce.announce(queue_id=queue_id)
    return job


def enqueue_batch(
    handler: HandlerRef,
    payloads: Iterable[Any],
    *,
    queue: str | None = None,
    name: str = "",
    metadata: Mapping[str, Any] | None = None,
    priority: Priority | str | None = None,
    run_at: datetime | None = None,
    failure_mode: FailureMode | str = FailureMode.CONTINUE,
    chunk_size: int | None = None,
    key: Callable[[Any], str] | None = None,
    idempotency_key: str | None = None,
    callback: HandlerRef | None = None,
    callback_each_end: bool = False,
    after: Iterable[Batch | int] = (),
    after_policy: AfterPolicy | str = AfterPolicy.COMPLETED,
    then: HandlerRef | None = None,
    split: bool = False,
    open: bool = False,
    created_by: str = "",
    source: str = audit.CODE,
) -> Batch:
    """Enqueue many jobs as one batch, all or none, and return the batch.

    `payloads` are JSON values, or `JobSpec` where a job differs; a generator keeps memory flat and may use the
    same connection. More than `BATCH_MAX_JOBS` need `split=True`, which makes a parent with parts. `key` gives
    each payload's unique key; jobs whose key an unfinished job holds are left out. The same `idempotency_key`
    with the same content returns the first batch. `open=True` keeps the batch open for `add_jobs` until `seal`. It
    waits until the batches of `after` have ended as `after_policy` wants; when it has itself, its kept results
    become a batch of the handler `then`. `chunk_size` is the queue's business where it is not given: its boundaries
    and its batch threshold. A batch that is made leaves an entry in the activity list: by `created_by`, from `source`;
    none for an empty one. Raises `EnqueueError`, which names the place, with nothing written.
    """
    lane = find_lane(handler, queue)
    size = lane.chunk_size if chunk_size is None else chunk_size
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= settings.BATCH_MAX_JOBS:
        raise EnqueueError(f"chunk_size: a whole number of 1 to {settings.BATCH_MAX_JOBS}, not {size!r}")
    level = lane.priority if priority is None else parse_priority(priority)
    if key is not None and not callable(key):
        raise EnqueueError(f"key: a function that makes a payload's key, not {key!r:.60}")
    if open and (split or key is not None):
        raise EnqueueError("open: an open batch can neither be split nor have unique keys")
    items = _some(payloads, split, may_be_empty=open)
    if chunk_size is None and lane.batch_threshold is not None and not open:
        size, items = spread(payloads, items, size, lane.batch_threshold)
    at = parse_run_at(run_at)
    check_text(source, "source", 10)
    target = Target(lane.id, lane.name, lane.handler, size, level, at, key, held=open, rules=lane.rules)
    target.limit, target.source = lane.limit, source
    head = _head(lane, size, name, metadata, failure_mode, idempotency_key, callback, created_by)
    head["callback_each_end"] = callback_each_end
    before = stages.parse_after(after, after_policy)
    target.waits, head["after_policy"] = bool(before), str(after_policy)
    if then is not None:
        step = find_lane(then, None)
        stages.check_then(queue_id=lane.id, then_queue=step.id)
        head |= {"then_handler": step.handler, "then_queue": step.id}
    large = split and not (isinstance(payloads, Sized) and len(payloads) <= settings.BATCH_MAX_JOBS)
    writer = _following(_write_parts if large else _write_batch, before)
    with store.atomic():
        batch = _new_or_same(head, target, items, writer)
        announce.announce(queue_id=lane.id)
    return Batch.objects.get(pk=batch)


def add_jobs(batch: Batch | int, payloads: Iterable[Any]) -> int:
    """Add jobs to an open batch; returns how many. All or none. Raises `EnqueueError`."""
    items = _some(payloads, False, may_be_empty=False)
    with store.atomic():
        target, total = _open_target(batch)
        intake = Intake(batch_id(batch))
        _gate(target)
        _fill(items, target, intake, settings.BATCH_MAX_JOBS - total)
        _complete(intake, UNTOLD, sealed=False)
        _charge(target, intake)
    return intake.total


def seal(batch: Batch | int, *, actor: str = "", source: str = "api", reason: str = "") -> None:
    """Close an open batch: its jobs get ready, and it ends when they have. Raises `EnqueueError`."""
    with store.atomic():
        target, total = _open_target(batch)
        if not total:
            raise EnqueueError("a batch needs at least one job")
        number = batch_id(batch)
        intake = Intake(number)
        told = audit.of_batch(action="seal batch", actor=actor, source=source, reason=reason, jobs=total)
        _complete(intake, told, sealed=True)
        stages.unseal(batch=number)
        announce.announce(queue_id=target.queue_id)


def _open_target(batch: Batch | int) -> tuple[Target, int]:
    number = batch_id(batch)
    found = store.row("lock_open_batch", batch=number)
    if found is None or found[6]:
        raise EnqueueError(f"batch {number} is not open")
    _id, queue, name, handler, chunk_size, total, _stop, priority, *wishes = found
    rules, limit = asked_by(name, *wishes)
    return Target(queue, name, handler, chunk_size, priority, held=True, rules=rules, limit=limit), total


def _gate(target: Target) -> None:
    enqueue_limit.pass_gate(queue_id=target.queue_id, queue=target.queue, limit=target.limit)


def _charge(target: Target, intake: Intake) -> None:
    enqueue_limit.charge(queue_id=target.queue_id, limit=target.limit, jobs=intake.total)


def _head(
    lane: QueueLane,
    chunk_size: int,
    name: str,
    metadata: Mapping[str, Any] | None,
    failure_mode: FailureMode | str,
    idempotency_key: str | None,
    callback: HandlerRef | None,
    created_by: str,
) -> dict[str, Any]:
    if not isinstance(failure_mode, str) or failure_mode not in set(FailureMode):
        raise EnqueueError(f"failure_mode: {failure_mode!r} is not one of {', '.join(FailureMode)}")
    check_text(name, "name", 200)
    check_text(created_by, "created_by", 150)
    meta = metadata_text(metadata)
    if idempotency_key is not None:
        check_key(idempotency_key, "idempotency_key")
    after = find_lane(callback, None) if callback is not None else None
    return {
        "queue": lane.id,
        "handler": lane.handler,
        "name": name,
        "metadata": meta,
        "failure_mode": str(failure_mode),
        "chunk_size": chunk_size,
        "parent": None,
        "is_parent": False,
        "part": None,
        "idempotency_key": idempotency_key,
        "callback_handler": after.handler if after else "",
        "callback_queue": after.id if after else None,
        "callback_each_end": False,
        "created_by": created_by,
        "after_policy": AfterPolicy.COMPLETED.value,
        "then_handler": "",
        "then_queue": None,
    }


def _some(payloads: Iterable[Any], split: bool, *, may_be_empty: bool) -> Iterator[Any]:
    if isinstance(payloads, (str, bytes, Mapping)) or not isinstance(payloads, Iterable):
        raise EnqueueError(f"payloads: many are needed, not one {type(payloads).__name__}")
    if isinstance(payloads, Sized) and len(payloads) > settings.BATCH_MAX_JOBS and not split:
        raise _too_many(len(payloads))
    items = iter(payloads)
    first = list(islice(items, 1))
    if not first and not may_be_empty:
        raise EnqueueError("a batch needs at least one job")
    return chain(first, items)


def _too_many(found: int | None) -> EnqueueError:
    limit = settings.BATCH_MAX_JOBS
    counted = f"{found:,}" if found else f"more than {limit:,}"
    return EnqueueError(f"{counted} jobs; a batch holds at most {limit:,}: split=True makes parts")


Writer = Callable[[dict[str, Any], Target, Iterator[Any]], "tuple[int, Intake]"]


def _following(write: Writer, before: list[int]) -> Writer:
    def written(head: dict[str, Any], target: Target, items: Iterator[Any]) -> "tuple[int, Intake]":
        batch, intake = write(head, target, items)
        stages.follow(batch=batch, before=before)
        return batch, intake

    return written if before else write


def _new_or_same(head: dict[str, Any], target: Target, items: Iterator[Any], write: Writer) -> int:
    key = head["idempotency_key"]
    if key is None:
        return write(head, target, items)[0]
    first = store.row("batch_by_key", key=key)
    if first is None:
        try:
            # In a savepoint: when that is rolled back, so is the timeout, which is not the caller's.
            with store.atomic(), store.lock_timeout(10_000):
                return write(head, target, items)[0]
        except _KeyTaken:
            first = store.row("batch_by_key", key=key)
        except store.LockTimeout:
            raise EnqueueError(f"idempotency_key: {key!r} is being enqueued by another transaction") from None
    if first is None or first[1] != _content_hash(items, target):
        raise EnqueueError(f"idempotency_key: {key!r} belongs to a batch with other content")
    if delete.deleted(int(first[0])):
        raise EnqueueError(f"idempotency_key: {key!r} belongs to batch {first[0]}, which is deleted: restore it")
    return int(first[0])


class _KeyTaken(Exception):
    """The idempotency key went to another transaction, which has committed meanwhile."""


def _content_hash(items: Iterator[Any], target: Target) -> str:
    feed = Feed(items, target, settings.BATCH_MAX_JOBS, hashed=True)
    while feed.block is not None:
        feed.step()
    return feed.digest.hexdigest()


def _insert(head: dict[str, Any], **changed: Any) -> int:
    batch = store.one("insert_batch", **{**head, **changed})
    if batch is None:
        raise _KeyTaken
    return int(batch)


def _write_batch(head: dict[str, Any], target: Target, items: Iterator[Any]) -> tuple[int, Intake]:
    with store.atomic():
        intake = Intake(_insert(head))
        _gate(target)  # after the idempotency key: the same batch again costs nothing
        if target.key is not None:
            items = _with_keys(items, target, intake)
        feed = _fill(items, target, intake, settings.BATCH_MAX_JOBS, hashed=bool(head["idempotency_key"]))
        told = _entry(head, target, intake)
        _complete(intake, told, sealed=not target.held, content_hash=feed.digest.hexdigest())
        _charge(target, intake)
    assert intake.batch_id is not None
    return intake.batch_id, intake


def _with_keys(items: Iterator[Any], target: Target, intake: Intake) -> Iterator[Any]:
    """All items at once: their keys are taken in one sorted statement, so that no two enqueuers deadlock."""
    kept = list(items)
    take_keys(kept, target, intake)
    return iter(kept)


def _fill(items: Iterator[Any], target: Target, intake: Intake, room: int, *, hashed: bool = False) -> Feed:
    if room < 1:
        raise _too_many(None)
    feed = Feed(items, target, room, hashed=hashed)
    take_all(feed, target, intake, room)
    if feed.block is not None:
        raise _too_many(None)
    return feed


def _entry(head: dict[str, Any], target: Target, made: Intake) -> dict[str, str]:
    who = {"actor": head["created_by"], "source": target.source}
    return audit.of_batch(action="enqueue batch", **who, queue=target.queue, jobs=made.total)


def _complete(intake: Intake, told: dict[str, str], *, sealed: bool, content_hash: str = "") -> None:
    store.run(
        "complete_batch",
        batch=intake.batch_id,
        total=intake.total,
        first_job=intake.first_job,
        last_job=intake.last_job,
        content_hash=content_hash,
        sealed=sealed,
        **told,
    )
    if sealed and intake.batch_id is not None:
        events.batch_enqueued(batch_id=intake.batch_id)


def _write_parts(head: dict[str, Any], target: Target, items: Iterator[Any]) -> tuple[int, Intake]:
    """A parent, and parts of at most `BATCH_MAX_JOBS` jobs as long as there are items."""
    with store.atomic():
        parent, whole = _insert(head, is_parent=True), Intake(None)
        _gate(target)
        if target.key is not None:
            items = _with_keys(items, target, whole)
        as_part = {"parent": parent, "idempotency_key": None, "callback_handler": "", "callback_queue": None}
        as_part |= {"then_handler": "", "then_queue": None}
        feed = Feed(items, target, settings.BATCH_MAX_JOBS, hashed=bool(head["idempotency_key"]))
        number = 0
        while feed.block is not None:
            number += 1
            part = Intake(_insert({**head, **as_part}, part=number), base=whole.base, free=whole.free)
            take_all(feed, target, part, settings.BATCH_MAX_JOBS)
            _complete(part, UNTOLD, sealed=True)
            whole.first_job = whole.first_job or part.first_job
            whole.last_job = part.last_job or whole.last_job
            whole.total += part.total
        whole.batch_id = parent
        _complete(whole, _entry(head, target, whole), sealed=True, content_hash=feed.digest.hexdigest())
        _charge(target, whole)
    return parent, whole
