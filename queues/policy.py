"""Which policies of a queue cannot work, beyond what single fields and the database's constraints can say."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.conf import settings

from queues import handlers
from queues.domain.backoff import Backoff
from queues.domain.payload_wishes import parse_wishes
from queues.domain.states import Acknowledge

if TYPE_CHECKING:
    from queues.models import Queue

# Beyond this the database's arithmetic with times would overflow.
MOST_SECONDS = 100 * 366 * 86_400.0
# Jobs a second that a limit can mean: one in eleven days, and more than any machine does. Beyond it the database's
# arithmetic would overflow at each claim and enqueue.
LEAST_RATE, MOST_RATE = 1e-6, 1e9
# As many payload bytes as one run takes, see `services.claim`.
MOST_BYTES = 16 * 1024 * 1024
_SECONDS = (
    *("timeout", "flush_seconds", "keep_results", "archive_after", "purge_after", "backoff_cap"),
    *("archive_cancelled_after", "archive_dead_after", "purge_cancelled_after", "purge_dead_after"),
)
_BACKOFF_FIELDS = {"strategy": "backoff", "base": "backoff_base", "cap": "backoff_cap", "jitter": "jitter"}


def flaws(queue: "Queue") -> dict[str, str]:
    """What is wrong with a queue's policy, by field. Fields of a wrong type are left to their own validation."""
    found: dict[str, str] = {}
    for check in (_times, _sizing, _pieces, _flush, _rate, _payloads, _retries, _handler, _dead_letters, _timeout):
        for field, message in check(queue):
            found.setdefault(field, message)
    return found


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # of an integer with hundreds of digits
        return math.copysign(math.inf, value)


def _times(queue: "Queue") -> Iterator[tuple[str, str]]:
    for field in _SECONDS:
        seconds = _number(getattr(queue, field))
        if seconds is not None and not 0 <= seconds <= MOST_SECONDS:
            yield field, "seconds, from 0 to a hundred years"
    if queue.timeout == 0:
        yield "timeout", "above 0; empty is none"
    if queue.paused_until is not None and queue.paused_at is None:
        yield "paused_until", "only a paused queue is paused until then"


def _sizing(queue: "Queue") -> Iterator[tuple[str, str]]:
    target = _number(queue.run_target)
    if target is not None and not 0 < target <= MOST_SECONDS:
        yield "run_target", "seconds, above 0"
    threshold = _number(queue.batch_threshold)
    if threshold is not None and threshold > settings.BATCH_MAX_JOBS:
        # As many items are held in memory before the first is written.
        yield "batch_threshold", f"at most {settings.BATCH_MAX_JOBS:,}, the jobs of the largest batch"


def _pieces(queue: "Queue") -> Iterator[tuple[str, str]]:
    if queue.settle_jobs is None:
        return
    if queue.acknowledge in (Acknowledge.ALL_OR_NOTHING, Acknowledge.LAST_SUCCESSFUL):
        yield "settle_jobs", f"acknowledge is {queue.acknowledge}: what has succeeded counts only at the end of a run"
        return
    for handler in _serving(queue):
        if handler.whole:
            yield "settle_jobs", f"{handler.name} is called once with all jobs of a run: there are no pieces"
            return


def _serving(queue: "Queue") -> Iterator[handlers.Handler]:
    """The handlers whose jobs come here unless an enqueue says otherwise."""
    return (known for known in handlers.known() if queue.name == known.queue or queue.handler == known.name)


def _flush(queue: "Queue") -> Iterator[tuple[str, str]]:
    jobs, most = _number(queue.flush_jobs), _number(queue.run_size)
    if jobs is not None and most is not None and jobs > most:
        yield "flush_jobs", f"one run takes at most run_size ({queue.run_size}) jobs, so it would never start"
    size = _number(queue.flush_bytes)
    if size is not None and size > MOST_BYTES:
        yield "flush_bytes", f"one run takes at most {MOST_BYTES:,} bytes, so it would never start"


def _rate(queue: "Queue") -> Iterator[tuple[str, str]]:
    for field in ("rate_limit", "rate_burst", "enqueue_rate", "enqueue_burst"):
        value = _number(getattr(queue, field))
        if value is not None and not LEAST_RATE <= value <= MOST_RATE:
            yield field, f"from {LEAST_RATE:f} to {MOST_RATE:,.0f}; empty is none"
    if queue.rate_burst is not None and queue.rate_limit is None:
        yield "rate_burst", "says nothing without a rate_limit"
    if queue.enqueue_burst is not None and queue.enqueue_rate is None:
        yield "enqueue_burst", "says nothing without an enqueue_rate"


def _payloads(queue: "Queue") -> Iterator[tuple[str, str]]:
    try:
        parse_wishes(queue.payload_rules)
    except ValueError as error:
        yield "payload_rules", str(error)


def _retries(queue: "Queue") -> Iterator[tuple[str, str]]:
    try:
        Backoff(queue.backoff, queue.backoff_base, queue.backoff_cap, queue.jitter)
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        yield _BACKOFF_FIELDS.get(field, "backoff"), message or str(error)


def _handler(queue: "Queue") -> Iterator[tuple[str, str]]:
    if queue.handler and queue.handler not in {handler.name for handler in handlers.known()}:
        yield "handler", "no handler of this name is declared"


def _dead_letters(queue: "Queue") -> Iterator[tuple[str, str]]:
    name = queue.dead_letter_handler
    if not name or not isinstance(name, str):  # a row that is not yet saved has the database's default, unseen
        return
    if name not in {handler.name for handler in handlers.known()}:
        yield "dead_letter_handler", "no handler of this name is declared"
    elif name == queue.handler:
        yield "dead_letter_handler", "the queue's own handler cannot get the dead letters it leaves"


def _timeout(queue: "Queue") -> Iterator[tuple[str, str]]:
    if queue.timeout is None or (_number(queue.concurrency) or 1) <= 1:
        return
    for handler in _serving(queue):
        # Plain functions run on threads then, which cannot be interrupted.
        if not (handler.is_async or handler.whole):
            yield "timeout", f"cannot be kept with concurrency above 1: {handler.name} is a plain function"
            return
