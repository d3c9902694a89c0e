"""A new batch from a file or from pasted lines."""

import hashlib
import io
import json
import math
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from monitoring import uploads
from monitoring.filters import storable, whole_number
from monitoring.permissions import operator_required
from queues import handlers
from queues.domain.states import FailureMode, Priority
from queues.selectors import batches, figures
from queues.services.enqueue import EnqueueError, EnqueueLimited
from queues.services.feed import check_key, metadata_text, parse_priority, parse_run_at
from queues.services.feeds import FORMATS, format_of
from queues.services.lanes import find_lane
from queues.services.submit import resolve, submit

LONGEST_NAME = 200


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def new_batch(request: HttpRequest) -> HttpResponse:
    """The form; and with jobs in it, one batch of all of them or a word on the line that is wrong."""
    if request.method != "POST":
        return show_form(request, given=_like(request.GET.get("like", "")))
    try:
        if request.POST.get("step") == "preview":
            from monitoring.views import upload

            return redirect("upload", token=upload.keep(request, request.user.pk or 0).token)
        return _at_once(request)
    except EnqueueLimited as error:
        response = show_form(request, f"{error}. Nothing was enqueued.", given=request.POST, status=429)
        response["Retry-After"] = str(math.ceil(error.retry_after))
        return response
    except EnqueueError as error:
        message = str(error).replace("split=True makes parts", "tick “split into parts”")
        return show_form(request, f"{message}. Nothing was enqueued.", given=request.POST, status=422)


def _at_once(request: HttpRequest) -> HttpResponse:
    """Enqueue without a preview; a large file in the background. What is sent twice is enqueued once."""
    from monitoring.views import upload

    stream, form, name = source(request)
    options = options_of(request.POST)
    handler, queue = resolve_target(options)
    options["name"] = options["name"] or name
    options["idempotency_key"] = options["idempotency_key"] or _key(request, stream, options)
    if _size(stream) > uploads.AT_ONCE:
        return redirect("upload", token=upload.keep_and_insert(request, stream, form, name, options).token)
    known = batches.batch_of_key(options["idempotency_key"] or "")
    batch = submit(
        stream=stream,
        form=form,
        handler=handler,
        queue=queue,
        actor=request.user.get_username(),
        source="page",
        **settled(options),
    )
    tell(request, batch.total, known=known is not None)
    return redirect("batch", batch_id=batch.pk)


def tell(request: HttpRequest, jobs: int, *, known: bool) -> None:
    """The outcome, on the page of the batch."""
    if known:
        messages.info(request, f"These {jobs:,} jobs were enqueued already: this is their batch.")
    else:
        messages.success(request, f"{jobs:,} jobs are enqueued.")


def _key(request: HttpRequest, stream: BinaryIO, options: Mapping[str, Any]) -> str | None:
    """What one form with one content is known by: a second click makes no second batch."""
    token = request.POST.get("form", "")
    if not uploads.TOKEN.fullmatch(token):
        return None
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    while piece := stream.read(uploads.PIECE):
        digest.update(piece)
    stream.seek(0)
    return f"form {token} {digest.hexdigest()}"


def _size(stream: BinaryIO) -> int:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    return size


def options_of(given: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks for, beside the jobs: as a document keeps it. Raises `EnqueueError`."""
    run_at, key = _run_at(given.get("run_at", "").strip()), storable(given.get("key", "")) or None
    # What the enqueue would refuse is said before the file is kept and looked through.
    parse_run_at(run_at)
    if given.get("priority"):
        parse_priority(given["priority"])
    if key:
        check_key(key, "idempotency key")
    return {
        "target": storable(given.get("target", "")),
        "handler": storable(given.get("handler", "")),
        "name": storable(given.get("name", ""))[:LONGEST_NAME],
        "priority": given.get("priority") or None,
        "failure_mode": given.get("failure_mode") or FailureMode.CONTINUE.value,
        "split": given.get("split") == "on",
        "run_at": run_at.isoformat() if run_at else None,
        "metadata": _metadata(given.get("metadata", "")),
        "idempotency_key": key,
    }


def settled(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same as the service takes it."""
    given = {name: value for name, value in options.items() if name not in ("target", "handler")}
    return {**given, "run_at": datetime.fromisoformat(given["run_at"]) if given.get("run_at") else None}


def _run_at(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
        # The browser's field says no zone: it asks for UTC.
        return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
    except ValueError:
        raise EnqueueError(f"not before: {text!r:.60} is not a time, as 2026-01-31T14:00") from None


def _metadata(text: str) -> dict[str, Any]:
    """A JSON object, or a key=value on each line. Raises `EnqueueError`, before a file is kept."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise EnqueueError(f"metadata: not JSON, {error}") from None
        metadata_text(found)
        return dict(found)
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    if bad := next((key for key, equals, _value in pairs if not equals or not key.strip()), None):
        raise EnqueueError(f"metadata: {bad!r:.60} is not key=value, as tenant=acme, nor a JSON object")
    given: dict[str, Any] = {}
    for key, _equals, value in pairs:
        if key.strip() in given:
            raise EnqueueError(f"metadata: {key.strip()!r:.60} stands there twice")
        given[key.strip()] = value.strip()
    metadata_text(given)
    return given


def resolve_target(options: Mapping[str, Any]) -> tuple[str, str | None]:
    """The handler and queue that are meant; the handler is the queue's own or a chosen one. Raises `EnqueueError`."""
    if not options["handler"]:
        return resolve(target=options["target"])
    handler, _queue = resolve(target=options["handler"])
    find_lane(handler, options["target"])
    return handler, options["target"]


def _like(number: str) -> dict[str, Any]:
    """The form as it was for another batch, as far as that is known."""
    row = batches.batch(whole_number(number) or 0)
    if row is None:
        return {}
    metadata = {name: value for name, value in batches.batch_metadata(row.id).items() if name != "retry_of"}
    known = {handler.name for handler in handlers.known()}
    return {
        "target": row.queue,
        "handler": row.handler if row.handler in known else "",
        "name": row.name,
        "failure_mode": row.failure_mode,
        "split": row.is_parent,
        "metadata": json.dumps(metadata, ensure_ascii=False, indent=1) if metadata else "",
    }


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
    owner = request.user.pk or 0
    context = {
        "nav": "batches",
        "error": error,
        "form": secrets.token_hex(16),
        "waiting": uploads.waiting(owner),
        "kept": timedelta(seconds=uploads.KEPT_FOR),
        "queues": figures.queue_names(),
        "handlers": [handler.name for handler in handlers.known()],
        "formats": FORMATS,
        "pasted": settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
        "priorities": [priority.label for priority in Priority],
        "modes": [mode.value for mode in FailureMode],
        "given": given or {},
    }
    return render(request, "monitoring/new_batch.html", context, status=status)
