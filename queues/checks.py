"""Django's system checks: declarations and settings that cannot work are told before anything starts.

They ask no database. A handler that is declared twice is told even earlier, where it is declared.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ValidationError

from queues import handlers
from queues.domain.states import Acknowledge, Boundaries

SHORTEST_LEASE = 6.0


def check_declarations(app_configs: Sequence[AppConfig] | None = None, **_options: Any) -> list[CheckMessage]:
    """What the code and the settings declare."""
    return [*_queues(), *_acknowledgement(), *_sizes(), *_settings()]


def _queues() -> Iterator[CheckMessage]:
    from queues.models import Queue

    for declared in handlers.declared_queues():
        try:
            queue = Queue(name=declared.name, **{**settings.QUEUE_DEFAULTS, **declared.policy})
            # The constraints would be asked of the database; `sync_queues` does.
            queue.full_clean(validate_unique=False, validate_constraints=False)
        except TypeError as error:
            yield Error(f"queue {declared.name!r}: {error}", id="queues.E001")
        except ValidationError as error:
            for field, messages in error.message_dict.items():
                yield Error(f"queue {declared.name!r}: {field}: {' '.join(messages)}", id="queues.E002")


def _acknowledgement() -> Iterator[CheckMessage]:
    for declared in handlers.declared_queues():
        strategy = declared.policy.get("acknowledge", Acknowledge.PER_JOB)
        served = [handler for handler in handlers.known() if handler.queue == declared.name]
        single = [handler.name for handler in served if not handler.whole]
        if strategy != Acknowledge.PER_JOB and single:
            yield Warning(
                f"queue {declared.name!r}: acknowledge={str(strategy)!r} says nothing for {', '.join(single)}",
                hint="Only a handler with whole=True is called once with all jobs of a run.",
                id="queues.W001",
            )


def _sizes() -> Iterator[CheckMessage]:
    for declared in handlers.declared_queues():
        boundaries = {**settings.QUEUE_DEFAULTS, **declared.policy}.get("boundaries", Boundaries.FIXED)
        sized = [handler.name for handler in handlers.known() if handler.queue == declared.name and handler.chunk_size]
        if sized and boundaries != Boundaries.HANDLER:
            yield Warning(
                f"queue {declared.name!r}: the chunk size that {', '.join(sized)} declares says nothing",
                hint=f'It counts on a queue with boundaries="{Boundaries.HANDLER}".',
                id="queues.W004",
            )


def _settings() -> Iterator[CheckMessage]:
    if settings.LEASE_SECONDS < SHORTEST_LEASE:
        yield Warning(
            f"LEASE_SECONDS is {settings.LEASE_SECONDS:g}: a worker that is slow for a moment loses its work",
            hint=f"Leases are renewed every 1.5 s; {SHORTEST_LEASE:g} s or more leave room for a hiccup.",
            id="queues.W002",
        )
    if settings.PURGE_AFTER < settings.ARCHIVE_AFTER:
        yield Warning(
            "PURGE_AFTER is below ARCHIVE_AFTER: jobs are purged as soon as they are archived", id="queues.W003"
        )
