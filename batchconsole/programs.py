"""The processes of one machine, in the order of starting; they stop in the opposite order."""

import sys

from django.conf import settings

from batchconsole.celery import CONTROL, WORK
from batchconsole.supervise import Program

# Stopping takes ten seconds at most, counted from its start: beat wakes once a second, then the workers finish what
# they have begun, then the console closes its sockets. What is left is for PostgreSQL.
STOP_WITHIN = {"beat": 2.0, WORK: 7.0, CONTROL: 7.0, "web": 8.0}
STOP_DATABASE_WITHIN = 9.5


def programs(host: str, port: int, workers: int) -> list[list[Program]]:
    """What `up` starts beside the database."""
    web = ["-m", "uvicorn", "batchconsole.asgi:application", f"--host={host}", f"--port={port}"]
    web += ["--lifespan=off", "--no-server-header", "--no-access-log", "--timeout-graceful-shutdown=1"]
    if settings.TRUSTED_PROXIES:
        # They say for whom they ask, and whether over TLS.
        web.append(f"--forwarded-allow-ips={','.join(map(str, settings.TRUSTED_PROXIES))}")
    celery = ["-m", "celery", "-A", "batchconsole.celery"]
    quiet = ["--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    work = [*celery, "worker", *quiet, f"--queues={WORK}", "--hostname=work@%h", f"--concurrency={workers}"]
    # One slot in the process itself: the control tasks are short, and need no child that could be lost.
    control = [*celery, "worker", *quiet, f"--queues={CONTROL}", "--hostname=control@%h", "--pool=solo"]
    beat = [*celery, "beat", "--loglevel=WARNING", "--pidfile="]
    return [
        [_python("web", web)],
        [_python(CONTROL, control, b" ready."), _python(WORK, work, b" ready.")],
        [_python("beat", beat)],
    ]


def _python(name: str, arguments: list[str], ready_words: bytes = b"") -> Program:
    return Program(name, [sys.executable, *arguments], STOP_WITHIN[name], ready_words)
