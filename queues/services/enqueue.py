"""Taking jobs in: one, or a batch of many, inside the caller's transaction when there is one."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any

from django.conf import settings

from queues import codec, handlers, store
from queues.domain.payload import DEFAULT_RULES, PayloadError
from queues.domain.states import FailureMode, Priority
from queues.models import Batch
from queues.services import announce
from queues.services.feed import (
    EnqueueError,
    Feed,
    JobSpec,
    Target,
    check_key,
    check_text,
    parse_priority,
    parse_run_at,
)
from queues.services.intake import Intake, take_all, take_keys

__all__ = ["EnqueueError", "JobSpec", "add_jobs", "enqueue", "enqueue_batch", "insert_one", "seal"]

HandlerRef = str | Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Lane:
    id: int
    name: str
    handler: str
    chunk_size: int
    priority: int


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
    Raises `EnqueueError` before anything is written.
    """
    lane = _lane(handler, queue)
    level = lane.priority if priority is None else parse_priority(priority)
    at = parse_run_at(run_at)
    if key is not None:
        check_key(key, "key")
    return insert_one(queue_id=lane.id, handler=lane.handler, payload=payload, priority=level, run_at=at, key=key)


def insert_one(
    *,
    queue_id: int,
    handler: str,
    payload: Any,
    priority: int = Priority.NORMAL,
    run_at: datetime | None = None,
    key: str | None = None,
) -> int | None:
    """Write one job that has been checked but for its payload, and announce it."""
    try:
        text = codec.encode(payload, DEFAULT_RULES)
    except PayloadError as error:
        raise EnqueueError(f"payload: {error}") from None
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
    split: bool = False,
    open: bool = False,
    created_by: str = "",
) -> Batch:
    """Enqueue many jobs as one batch, all or none, and return the batch.

    `payloads` are JSON values, or `JobSpec` where a job differs; a generator keeps memory flat and may use the
    same connection. More than `BATCH_MAX_JOBS` need `split=True`, which makes a parent with parts. `key` gives
    each payload's unique key; jobs whose key an unfinished job holds are left out. The same `idempotency_key`
    with the same content returns the first batch. `open=True` keeps the batch open for `add_jobs` until
    `seal`. Raises `EnqueueError`, which names the place, with nothing written.
    """
    lane = _lane(handler, queue)
    size = min(lane.chunk_size, settings.BATCH_MAX_JOBS) if chunk_size is None else chunk_size
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= settings.BATCH_MAX_JOBS:
        raise EnqueueError(f"chunk_size: a whole number of 1 to {settings.BATCH_MAX_JOBS}, not {size!r}")
    level = lane.priority if priority is None else parse_priority(priority)
    target = Target(lane.id, lane.name, lane.handler, size, level, parse_run_at(run_at), key, open)
    head = _head(lane, size, name, metadata, failure_mode, idempotency_key, callback, created_by)
    head["callback_each_end"] = callback_each_end
    if open and (split or key is not None):
        raise EnqueueError("open: an open batch can neither be split nor have unique keys")
    items = _some(payloads, split, may_be_empty=open)
    large = split and not (isinstance(payloads, Sized) and len(payloads) <= settings.BATCH_MAX_JOBS)
    writer = _write_parts if large else _write_batch
    with store.atomic():
        batch = _new_or_same(head, target, items, writer)
        announce.announce(queue_id=lane.id)
    return Batch.objects.get(pk=batch)


def add_jobs(batch: Batch | int, payloads: Iterable[Any]) -> int:
    """Add jobs to an open batch; returns how many. All or none. Raises `EnqueueError`."""
    items = _some(payloads, False, may_be_empty=False)
    with store.atomic():
        target, total = _open_target(batch)
        intake = Intake(batch.pk if isinstance(batch, Batch) else batch)
        _fill(items, target, intake, settings.BATCH_MAX_JOBS - total)
        _complete(intake, sealed=False)
    return intake.total


def seal(batch: Batch | int) -> None:
    """Close an open batch: its jobs get ready, and it ends when they have. Raises `EnqueueError`."""
    with store.atomic():
        target, total = _open_target(batch)
        if not total:
            raise EnqueueError("a batch needs at least one job")
        intake = Intake(batch.pk if isinstance(batch, Batch) else batch)
        _complete(intake, sealed=True)
        store.run("release_held", batch=intake.batch_id, why="open")
        announce.announce(queue_id=target.queue_id)


def _open_target(batch: Batch | int) -> tuple[Target, int]:
    number = batch.pk if isinstance(batch, Batch) else batch
    found = store.row("lock_open_batch", batch=number)
    if found is None or found[6]:
        raise EnqueueError(f"batch {number} is not open")
    _id, queue, name, handler, chunk_size, total, _stop, priority = found
    return Target(queue, name, handler, chunk_size, priority, held=True), total


def _lane(handler: HandlerRef, queue: str | None) -> _Lane:
    try:
        found = handlers.find(handler)
    except handlers.UnknownHandler as error:
        raise EnqueueError(str(error)) from None
    name = queue or found.queue
    known = isinstance(name, str) and handlers.QUEUE_NAME.match(name)
    row = store.row("queue_for_enqueue", name=name) if known else None
    if row is None:
        raise EnqueueError(f"unknown queue {name!r}; `manage.py sync_queues` makes the declared ones")
    return _Lane(row[0], name, found.name, row[2], row[3])


def _head(
    lane: _Lane,
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
    if not isinstance(metadata or {}, Mapping):
        raise EnqueueError("metadata: an object is needed")
    try:
        meta = codec.encode(dict(metadata or {}), DEFAULT_RULES)
    except PayloadError as error:
        raise EnqueueError(f"metadata: {error}") from None
    if idempotency_key is not None:
        check_key(idempotency_key, "idempotency_key")
    after = _lane(callback, None) if callback is not None else None
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
        if target.key is not None:
            items = _with_keys(items, target, intake)
        feed = _fill(items, target, intake, settings.BATCH_MAX_JOBS, hashed=bool(head["idempotency_key"]))
        _complete(intake, sealed=not target.held, content_hash=feed.digest.hexdigest())
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


def _complete(intake: Intake, *, sealed: bool, content_hash: str = "") -> None:
    store.run(
        "complete_batch",
        batch=intake.batch_id,
        total=intake.total,
        first_job=intake.first_job,
        last_job=intake.last_job,
        content_hash=content_hash,
        sealed=sealed,
    )


def _write_parts(head: dict[str, Any], target: Target, items: Iterator[Any]) -> tuple[int, Intake]:
    """A parent, and parts of at most `BATCH_MAX_JOBS` jobs as long as there are items."""
    with store.atomic():
        parent, whole = _insert(head, is_parent=True), Intake(None)
        if target.key is not None:
            items = _with_keys(items, target, whole)
        as_part = {"parent": parent, "idempotency_key": None, "callback_handler": "", "callback_queue": None}
        feed = Feed(items, target, settings.BATCH_MAX_JOBS, hashed=bool(head["idempotency_key"]))
        number = 0
        while feed.block is not None:
            number += 1
            part = Intake(_insert({**head, **as_part}, part=number), base=whole.base, free=whole.free)
            take_all(feed, target, part, settings.BATCH_MAX_JOBS)
            _complete(part, sealed=True)
            whole.first_job = whole.first_job or part.first_job
            whole.last_job = part.last_job or whole.last_job
            whole.total += part.total
        whole.batch_id = parent
        _complete(whole, sealed=True, content_hash=feed.digest.hexdigest())
    return parent, whole
