"""A new batch from a file or from pasted lines."""

import io
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from monitoring.filters import storable
from monitoring.permissions import operator_required
from queues import handlers
from queues.domain.states import FailureMode, Priority
from queues.selectors import figures
from queues.services.enqueue import EnqueueError, EnqueueLimited
from queues.services.feeds import FORMATS, format_of
from queues.services.lanes import find_lane
from queues.services.submit import resolve, submit

LONGEST_NAME = 200


@require_http_methods(["GET", "POST"])
@operator_required
def new_batch(request: HttpRequest) -> HttpResponse:
    """The form; and with jobs in it, one batch of all of them or a word on the line that is wrong."""
    if request.method != "POST":
        return show_form(request)
    try:
        if request.POST.get("step") == "preview":
            from monitoring.views import upload

            return redirect("upload", token=upload.keep(request, request.user.pk or 0).token)
        stream, form, name = source(request)
        options = options_of(request.POST)
        handler, queue = resolve_target(options)
        del options["target"], options["handler"]
        options["name"] = options["name"] or name
        batch = submit(
            stream=stream, form=form, handler=handler, queue=queue, created_by=request.user.get_username(), **options
        )
    except EnqueueLimited as error:
        response = show_form(request, f"{error}. Nothing was enqueued.", given=request.POST, status=429)
        response["Retry-After"] = str(math.ceil(error.retry_after))
        return response
    except EnqueueError as error:
        message = str(error).replace("split=True makes parts", "tick “split into parts”")
        return show_form(request, f"{message}. Nothing was enqueued.", given=request.POST, status=422)
    messages.success(request, f"{batch.total:,} jobs are enqueued.")
    return redirect("batch", batch_id=batch.pk)


def options_of(given: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks for, beside the jobs."""
    return {
        "target": storable(given.get("target", "")),
        "handler": storable(given.get("handler", "")),
        "name": storable(given.get("name", ""))[:LONGEST_NAME],
        "priority": given.get("priority") or None,
        "failure_mode": given.get("failure_mode") or FailureMode.CONTINUE.value,
        "split": given.get("split") == "on",
    }


def resolve_target(options: Mapping[str, Any]) -> tuple[str, str | None]:
    """The handler and queue that are meant; the handler is the queue's own or a chosen one. Raises `EnqueueError`."""
    if not options["handler"]:
        return resolve(target=options["target"])
    handler, _queue = resolve(target=options["handler"])
    find_lane(handler, options["target"])
    return handler, options["target"]


def source(request: HttpRequest) -> tuple[BinaryIO, str, str]:
    """The lines, their format, and a name for the batch. Raises `EnqueueError`."""
    upload, wanted = request.FILES.get("file"), request.POST.get("format", "")
    if upload is not None and upload.file is not None:
        name = upload.name or ""
        form = wanted if wanted in FORMATS else format_of(f".{name.rpartition('.')[2]}")
        if form is None:
            raise EnqueueError(f"{storable(name)!r} does not end in .jsonl or .csv: choose its format")
        return cast(BinaryIO, upload.file), form, storable(name)[:LONGEST_NAME]
    text = request.POST.get("text", "")
    if not text.strip():
        raise EnqueueError("there are no jobs: choose a file or paste lines")
    form = wanted if wanted in FORMATS else "jsonl" if text.lstrip()[:1] in "{[" else "csv"
    return io.BytesIO(text.encode(errors="surrogatepass")), form, ""


def show_form(
    request: HttpRequest, error: str = "", *, given: Mapping[str, Any] | None = None, status: int = 200
) -> HttpResponse:
    """The page with what was `given`, and what is wrong with it."""
    context = {
        "nav": "batches",
        "error": error,
        "queues": figures.queue_names(),
        "handlers": [handler.name for handler in handlers.known()],
        "formats": FORMATS,
        "priorities": [priority.label for priority in Priority],
        "modes": [mode.value for mode in FailureMode],
        "given": given or {},
    }
    return render(request, "monitoring/new_batch.html", context, status=status)
