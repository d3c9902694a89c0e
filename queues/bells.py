"""The control worker rings by itself when nobody else does: beat or the broker may be gone.

Runs in the pool process of a Celery worker that consumes the control queue, where the rings are answered.
"""

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

from celery import current_app
from celery.signals import task_prerun, worker_process_init

from queues import shutdown, store
from queues.services import announce, finish, operate, reap, recur, upkeep

log = logging.getLogger(__name__)

CONTROL = "control"
# Seconds without a ring after which a task is done unasked, and how often it is looked.
PATIENCE = 5.0
LOOK = 1.0

# What is rung less often is waited for longer. An errand that answers True has more to do: again at the next look.
ERRANDS: dict[str, tuple[Callable[[], object], float]] = {
    "queues.tasks.drive": (announce.drive, PATIENCE),
    "queues.tasks.reap": (reap.reap, PATIENCE),
    "queues.tasks.finish": (finish.sweep, PATIENCE),
    "queues.tasks.operate": (operate.advance_all, PATIENCE),
    "queues.tasks.recur": (recur.recur, PATIENCE),
    "queues.tasks.archive": (upkeep.archive, 60 + PATIENCE),
    "queues.tasks.purge": (upkeep.purge, 3_600 + PATIENCE),
}

_rang: dict[str, float] = {}


@task_prerun.connect
def _note(sender: Any = None, **_signal: Any) -> None:
    _rang[getattr(sender, "name", "")] = monotonic()


@worker_process_init.connect
def _start(**_signal: Any) -> None:
    if CONTROL in current_app.amqp.queues.consume_from:
        threading.Thread(target=_listen, name="bells", daemon=True).start()


def _listen() -> None:
    _rang.update(dict.fromkeys(ERRANDS, monotonic()))
    pause = threading.Event()
    while not shutdown.requested():
        pause.wait(LOOK)
        for name, (errand, patience) in ERRANDS.items():
            if monotonic() - _rang[name] >= patience:
                _rang[name] = monotonic()
                if _do(name, errand):
                    _rang[name] -= patience


def _do(name: str, errand: Callable[[], object]) -> bool:
    try:
        return errand() is True
    except store.CONNECTION_ERRORS as error:
        log.warning("%s, unasked: %s", name, error)
        store.reset()
    except Exception:
        log.exception("%s, unasked, failed", name)
    return False
