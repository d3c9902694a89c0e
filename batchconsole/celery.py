"""The Celery app: who rings, who works, and how little is asked of the broker.

PostgreSQL knows every job; a message only says "look there". So no message is acknowledged late, none is kept, none
has a result, and each expires soon: the next ring replaces it.
"""

import os
import signal
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from celery import Celery, Task
from celery.signals import celeryd_init, task_prerun, worker_process_init, worker_shutting_down
from kombu import Connection, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "batchconsole.settings")

from django.conf import settings

from batchconsole import broker
from queues import shutdown

WORK = "work"
CONTROL = "control"
HINT_SECONDS = broker.MESSAGE_SECONDS
# Publishing happens right after somebody's commit: better no message, which beat sends again, than a wait.
PUBLISH_SECONDS = 0.08  # for each of the one to two waits of a publication

_REDIS = {"socket_connect_timeout": PUBLISH_SECONDS, "socket_timeout": PUBLISH_SECONDS}
_AMQP = {"read_timeout": PUBLISH_SECONDS, "write_timeout": PUBLISH_SECONDS}
PUBLISH_LIMITS = {"redis": _REDIS, "rediss": _REDIS, "amqp": _AMQP, "amqps": _AMQP, "pyamqp": _AMQP}

RINGS: dict[str, tuple[str, int]] = {
    "drive": ("queues.tasks.drive", 1),
    "reap": ("queues.tasks.reap", 2),
    "finish": ("queues.tasks.finish", 5),
    "operate": ("queues.tasks.operate", 2),
    "recur": ("queues.tasks.recur", 2),
    "rollup": ("monitoring.tasks.rollup", 10),
    "archive": ("queues.tasks.archive", 60),
    "purge": ("queues.tasks.purge", 3_600),
}


class HintTask(Task):
    """A task whose messages expire, whatever its caller says or forgets."""

    abstract = True
    expires = HINT_SECONDS


class HintApp(Celery):
    """Bounds the time of publishing only; consumers may wait for their broker."""

    def connection_for_write(self, url: str | None = None, **options: Any) -> Connection:
        """A connection for sending that gives up soon."""
        options["connect_timeout"] = options.get("connect_timeout") or PUBLISH_SECONDS
        limits = PUBLISH_LIMITS.get(urlsplit(url or self.conf.broker_write_url or "").scheme, {})
        options["transport_options"] = {"max_retries": 0} | limits | (options.get("transport_options") or {})
        return super().connection_for_write(url, **options)


def configuration() -> dict[str, Any]:
    """All of Celery's settings that differ from its defaults."""
    files = not settings.CELERY_BROKER_URL
    return {
        "broker_url": broker.URL if files else settings.CELERY_BROKER_URL,
        "broker_transport_options": broker.transport_options(settings.HOME) if files else {},
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker waits for its broker as long as it takes
        "task_publish_retry": False,
        "task_default_queue": WORK,
        # The limit at the broker is for RabbitMQ, which keeps expired messages until somebody consumes them.
        "task_queues": [Queue(name, routing_key=name, message_ttl=HINT_SECONDS) for name in (WORK, CONTROL)],
        "task_default_routing_key": WORK,
        "task_routes": [
            {"queues.tasks.serve_queue": {"queue": WORK}},
            {"queues.tasks.*": {"queue": CONTROL}},
            {"monitoring.tasks.*": {"queue": CONTROL}},
        ],
        "task_acks_late": False,
        "task_ignore_result": True,
        "result_expires": None,  # else beat adds a task that cleans results up
        "task_send_sent_event": False,
        "worker_send_task_events": False,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_proc_alive_timeout": 60.0,  # a child that starts slowly on a busy machine is not a broken one
        "timezone": "UTC",
        "enable_utc": True,
        "beat_scheduler": "django_celery_beat.schedulers:DatabaseScheduler",
        "beat_max_loop_interval": 1,
        "beat_schedule": {
            name: {"task": task, "schedule": seconds, "options": {"expire_seconds": seconds}}
            for name, (task, seconds) in RINGS.items()
        },
        # Otherwise Celery closes the database connection after every task, and its prepared statements with it.
        "CELERY_DB_REUSE_MAX": 10**12,
    }


app = HintApp("batchconsole", task_cls=HintTask)
app.conf.update(configuration())
app.autodiscover_tasks()


@worker_shutting_down.connect
def _tell_children(**_: Any) -> None:
    """Celery tells only the parent of the pool; jobs run in its children."""
    shutdown.request()


@worker_process_init.connect
def _hear_of_cold_stops(**_: Any) -> None:
    """Before the first task: billiard sets its own handler of SIGTERM only after this signal."""
    task_prerun.connect(_raise_flag_first)


def _raise_flag_first(**_: Any) -> None:
    """Let a SIGTERM to this pool child raise the flag before it raises SystemExit in the job in hand.

    A cold stop signals the children while the parent's flag is still down: without this, the job would be
    taken for one that has called sys.exit(), which costs it an attempt. Only this child's own flag is raised, since a
    SIGTERM to one child, as revoking with `terminate` sends it, says nothing of the others.
    """
    task_prerun.disconnect(_raise_flag_first)
    end = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        shutdown.request_here()
        if callable(end):
            end(number, frame)

    if callable(end):
        signal.signal(signal.SIGTERM, stop)


@celeryd_init.connect
def _keep_connections(**_: Any) -> None:
    """Worker processes keep their database connection, after a look whether it still works."""
    from django.db import connections

    for values in connections.settings.values():
        values.update(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=True)


@task_prerun.connect
def _drop_broken_connections(sender: Task, **_: Any) -> None:
    from django.db import close_old_connections

    if not sender.request.is_eager:
        close_old_connections()
