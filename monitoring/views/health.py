"""For load balancers and supervisors: no sign-in, no details, and an answer within seconds in any case."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from functools import cache

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

PATIENCE = 2.0


class Check:
    """Asks the database in a thread, so that a server that hangs cannot hang the page.

    One question at a time: those who ask meanwhile wait for the same answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Future[str] | None = None

    def problem(self) -> str:
        """What is wrong; empty when ready."""
        with self._lock:
            if self._running is None or self._running.done():
                thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readyz")
                self._running = thread.submit(_ask)
                thread.shutdown(wait=False)
            running = self._running
        try:
            return running.result(timeout=PATIENCE)
        except TimeoutError:
            return "the database does not answer"


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers and has all migrations."""
    problem = _check().problem()
    return HttpResponse(f"{problem or 'ok'}\n", content_type="text/plain", status=503 if problem else 200)


@cache
def _check() -> Check:
    return Check()


def _ask() -> str:
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "the database cannot be reached"
    finally:
        connection.close()
    return "migrations are missing" if plan else ""
