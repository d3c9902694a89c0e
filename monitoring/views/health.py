"""For load balancers and supervisors: no sign-in, few details, and an answer within seconds in any case."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from functools import cache

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from queues.selectors import clock, rings

PATIENCE = 2.0
OK = "ok"
# What this process cannot be of use without; of the rest the console itself tells, so that it stays reachable.
NEEDED = ("database", "migrations")

Parts = dict[str, str]


class Check:
    """Asks the database in a thread, so that a server that hangs cannot hang the page.

    One question at a time: those who ask meanwhile wait for the same answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Future[Parts] | None = None

    def parts(self) -> Parts:
        """Each part in a word, `ok` or what is wrong."""
        with self._lock:
            if self._running is None or self._running.done():
                thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readyz")
                self._running = thread.submit(_ask)
                thread.shutdown(wait=False)
            running = self._running
        try:
            return running.result(timeout=PATIENCE)
        except TimeoutError:
            return {"database": "does not answer"}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Nothing else is asked."""
    return JsonResponse({"alive": True})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers and has all migrations; and, of interest but not asked for, who else does its part.

    503 where the needed parts are not well; with `strict=1` where any part is not.
    """
    parts = _check().parts()
    wrong = [name for name, said in parts.items() if said != OK]
    ready = not set(wrong) & set(NEEDED)
    good = not wrong if request.GET.get("strict") == "1" else ready
    return JsonResponse({"ready": ready, "degraded": bool(wrong), "parts": parts}, status=200 if good else 503)


@cache
def _check() -> Check:
    return Check()


def _ask() -> Parts:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return {"database": OK, "migrations": "are missing"}
        now = clock.database_now()
        return {
            "database": OK,
            "migrations": OK,
            "scheduler": rings.scheduler_problem(now) or OK,
            "broker": rings.broker_problem(now) or OK,
            "workers": OK if rings.workers_alive(now) else "none is alive",
        }
    except DatabaseError:
        return {"database": "cannot be reached"}
    finally:
        connection.close()
