"""A new batch from a file or from pasted lines."""

import io
from typing import BinaryIO, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from monitoring.filters import storable
from monitoring.permissions import operator_required
from queues.domain.states import FailureMode, Priority
from queues.selectors import figures
from queues.services.enqueue import EnqueueError
from queues.services.feeds import FORMATS, format_of
from queues.services.submit import resolve, submit

LONGEST_NAME = 200


@require_http_methods(["GET", "POST"])
@operator_required
def new_batch(request: HttpRequest) -> HttpResponse:
    """The form; and with jobs in it, one batch of all of them or a word on the line that is wrong."""
    if request.method != "POST":
        return _form(request)
    try:
        stream, form, name = _source(request)
        handler, queue = resolve(target=storable(request.POST.get("target", "")))
        batch = submit(
            stream=stream,
            form=form,
            handler=handler,
            queue=queue,
            name=storable(request.POST.get("name", ""))[:LONGEST_NAME] or name,
            priority=request.POST.get("priority") or None,
            failure_mode=request.POST.get("failure_mode") or FailureMode.CONTINUE,
            split=request.POST.get("split") == "on",
            created_by=request.user.get_username(),
        )
    except EnqueueError as error:
        message = str(error).replace("split=True makes parts", "tick “split into parts”")
        return _form(request, f"{message}. Nothing was enqueued.")
    messages.success(request, f"{batch.total:,} jobs are enqueued.")
    return redirect("batch", batch_id=batch.pk)


def _source(request: HttpRequest) -> tuple[BinaryIO, str, str]:
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


def _form(request: HttpRequest, error: str = "") -> HttpResponse:
    context = {
        "nav": "batches",
        "error": error,
        "queues": figures.queue_names(),
        "formats": FORMATS,
        "priorities": [priority.label for priority in Priority],
        "modes": [mode.value for mode in FailureMode],
        "given": request.POST,
    }
    return render(request, "monitoring/new_batch.html", context, status=422 if error else 200)
