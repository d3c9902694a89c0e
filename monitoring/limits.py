"""How long a page may read: each statement of a GET has one limit, and what runs into it leaves the rest alone."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from monitoring import request_ids
from queues.selectors import clock

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
NARROWER = "Filter by queue, state or batch to read less."
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def seconds() -> float:
    """The limit of one statement."""
    return float(settings.CONSOLE_STATEMENT_MS) / 1000


def words() -> dict[str, object]:
    """What a template says of the limit, and the name by which the log knows of a failure."""
    return {"limit": f"{seconds():g}", "narrower": NARROWER, "request_id": request_ids.current()}


def attempt(read: Callable[[], T]) -> T | None:
    """What `read` finds, or None when a statement of it took too long: the page goes on without."""
    try:
        # A savepoint: the transaction of the page survives the statement that was cancelled. Statements that Django
        # has not sent fail alike.
        with transaction.atomic(), connection.wrap_database_errors:
            return read()
    except DatabaseError as error:
        if not clock.cancelled(error):
            raise
        logger.warning("a part of a page took longer than %g s", seconds())
        return None


def limited(view: View[P]) -> View[P]:
    """Give each statement of a GET the limit. Where no part of the page has caught it, a page says so."""

    def inner(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD"):
            return view(request, *args, **kwargs)
        try:
            with clock.bounded(seconds()):
                return view(request, *args, **kwargs)
        except DatabaseError as error:
            if not clock.cancelled(error):
                raise
            logger.warning("%s took longer than %g s", request.path, seconds())
            return render(request, "monitoring/too_slow.html", {"nav": "", **words()}, status=503)

    return cast(View[P], wraps(view)(inner))
