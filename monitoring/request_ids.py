"""A short name for each request: in its answer, in every line that is logged for it, and on the page of a failure."""

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from secrets import token_hex

from django.http import HttpRequest, HttpResponseBase

HEADER = "X-Request-ID"
# What a proxy in front has named already keeps its name.
GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{7,63}", re.ASCII)
_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """The name of the request that this code serves; empty outside of one."""
    return _current.get()


class RequestIds:
    """The outermost middleware: whatever fails within can be named."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Name the request, and tell its name in the answer."""
        given = request.headers.get(HEADER, "")
        name = given if GIVEN.fullmatch(given) else token_hex(4)
        token = _current.set(name)
        try:
            response = self.get_response(request)
        finally:
            _current.reset(token)
        response.headers[HEADER] = name
        return response


class NamesRequest(logging.Filter):
    """Gives a line of the log `request`: its name with a space before it, or nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Every line passes."""
        name = current()
        record.request_name = f" [{name}]" if name else ""
        return True
