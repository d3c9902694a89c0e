"""What a handler may say of a job. Each outcome can be returned or raised.

Any other returned value is `Success(value)`; any other exception is a failed try.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# A job that snoozes into the past would else run again at once, for ever and without a pause.
SHORTEST_SNOOZE = 1.0


class Outcome(Exception):
    """Base of all outcomes. An exception, so that it can be raised from deep within a handler."""


class Success(Outcome):
    """The job is done; `value` is kept when the queue keeps results, and must then be JSON."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class Fail(Outcome):
    """This try has failed; the job is tried again while it has attempts left."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Reject(Outcome):
    """The job can never succeed: it becomes a dead letter at once."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Snooze(Outcome):
    """Not yet: the job waits until then, but at least 1 s. Spends no attempt.

    Takes an aware datetime, a timedelta or seconds.
    """

    def __init__(self, until: datetime | timedelta | float) -> None:
        if isinstance(until, datetime) and until.tzinfo is None:
            raise ValueError("Snooze needs an aware datetime, a timedelta or seconds")
        if isinstance(until, timedelta):
            until = until.total_seconds()
        super().__init__(until)
        self.until = until


class Cancel(Outcome):
    """The job is no longer wanted: it ends as cancelled."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Return(Outcome):
    """Given back by who held it, to be had again after so many seconds. For leases; no handler may say it."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self.delay = delay


class JobTimeout(BaseException):
    """Raised in a handler whose time is up. Not an `Exception`: a broad `except` must not swallow it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed try, as it is recorded. `started` and `ended` are of the monotonic clock; None is not known."""

    kind: str
    error_class: str
    message: str
    traceback: str = ""
    fingerprint: str = ""
    started: float | None = None
    ended: float | None = None


class Job:
    """What a handler gets: one job. `payload` is its own copy."""

    __slots__ = ("attempt", "batch_id", "id", "payload", "queue")

    def __init__(self, id: int, payload: Any, attempt: int, batch_id: int | None, queue: str) -> None:
        self.id = id
        self.payload = payload
        self.attempt = attempt
        self.batch_id = batch_id
        self.queue = queue

    def __repr__(self) -> str:
        return f"<job {self.id} of {self.queue}, attempt {self.attempt}>"
