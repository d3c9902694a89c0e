"""Whether database, broker and settings are such that the promises can be kept."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from celery import current_app
from django.conf import settings
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from queues import store
from queues.domain.states import WorkerState
from queues.models import Queue, Worker
from queues.selectors.clock import database_now
from queues.services.connections import threads_of, wanted_by
from queues.services.counts import Problem

OLDEST_POSTGRESQL = 140_000
# The server's commit settings with which "accepted" means "on the disk of at least one machine".
DURABLE = ("on", "local", "remote_write", "remote_apply")
# A worker process uses two: one for the handler, one for its keeper.
CONNECTIONS_EACH = 2
FULL = 0.9
MOST_DRIFT = timedelta(seconds=2)
BROKER_SECONDS = 3


def check_configuration() -> list[Problem]:
    """Look at migrations, server, clocks and broker. Takes up to a few seconds where the broker is away."""
    return [*_migrations(), *_database(), *_time(), *_broker()]


def _migrations() -> Iterator[Problem]:
    executor = MigrationExecutor(connections[store.alias()])
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _back in missing[:3])
        yield Problem("migrations", "database", f"{len(missing)} not applied ({names}): run `manage.py migrate`")


def _database() -> Iterator[Problem]:
    found = store.row("database_facts")
    assert found is not None
    version, most, reserved, used, commit, fsync, zone, _clock, sequence, newest = found
    if version < OLDEST_POSTGRESQL:
        yield Problem("database", "version", f"PostgreSQL {version // 10_000} is too old; 14 or newer is needed")
    if commit not in DURABLE:
        yield Problem("database", "synchronous_commit", f"is {commit}: accepted jobs may be lost in a crash")
    if fsync != "on":
        yield Problem("database", "fsync", "is off: a crash of the machine may destroy the database")
    if zone != settings.TIME_ZONE or not settings.USE_TZ:
        yield Problem("database", "timezone", f"the session's is {zone}, Django's is {settings.TIME_ZONE}")
    if newest > sequence:
        yield Problem("database", "queues_job_id_seq", f"is at {sequence}, but job {newest} exists: ids would collide")
    yield from _connections(most - reserved, used)


def _connections(free: int, used: int) -> Iterator[Problem]:
    """`free` is what the server has for us all, `used` what is open now."""
    alive = database_now() - timedelta(minutes=1)
    workers = list(Worker.objects.exclude(state=WorkerState.STOPPED).filter(heartbeat_at__gte=alive))
    count, least = len(workers), len(workers) * CONNECTIONS_EACH
    if used > free * FULL or least > free * FULL:
        message = f"{used} in use, {count} workers want {CONNECTIONS_EACH} each, max_connections leaves {free}"
        yield Problem("database", "connections", message)
        return
    # What other processes hold now: web, control, beat, whoever else. The workers' own are open once they have worked.
    others = max(used - least, 0)
    wanted = wanted_by(workers, threads_of(Queue.objects.filter(concurrency__gt=1)), CONNECTIONS_EACH)
    if others + wanted > free * FULL:
        message = (
            f"{count} workers may want {wanted} at their busiest, others hold {others}, max_connections leaves {free}: "
            "fewer slots or threads, or a larger max_connections"
        )
        yield Problem("database", "connections", message, warning=True)


def _time() -> Iterator[Problem]:
    before = datetime.now(UTC)
    theirs = database_now()
    ours = before + (datetime.now(UTC) - before) / 2
    if abs(theirs - ours) > MOST_DRIFT:
        seconds = (theirs - ours).total_seconds()
        yield Problem(
            "clock", "this machine", f"is {abs(seconds):.1f} s {'behind' if seconds > 0 else 'ahead of'} the database"
        )


def _broker() -> Iterator[Problem]:
    try:
        with current_app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=BROKER_SECONDS)
            connection.default_channel.close()
    except Exception as error:  # each transport has error types of its own
        message = f"not reachable: {error or type(error).__name__}; work goes on by polling of `manage.py work` only"
        yield Problem("broker", "broker", message)
