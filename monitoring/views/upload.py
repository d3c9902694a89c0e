"""A new batch in two steps: what was uploaded is shown as the payloads it becomes, and then enqueued."""

from collections.abc import Callable
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from monitoring import limits, uploads
from monitoring.filters import storable, whole_number
from monitoring.permissions import operator_required
from monitoring.uploads import Upload
from monitoring.views.submit import options_of, resolve_target, settled, show_form, source, tell
from queues.domain.columns import BadMapping, Column, Kind, Shape, check, shape_of
from queues.selectors import batches, policy
from queues.services.feed import EnqueueError
from queues.services.inspect_file import Inspection, inspect_file
from queues.services.lanes import find_lane
from queues.services.submit import submit

KINDS = {
    Kind.TEXT: "text",
    Kind.NUMBER: "number",
    Kind.JSON: "JSON",
    Kind.OMIT: "left out",
}
# A form has two fields for each column.
MOST_COLUMNS = 400


def keep(request: HttpRequest, owner: int) -> Upload:
    """Keep what was sent, and look through it. Raises `EnqueueError`."""
    stream, form, name = source(request)
    options = options_of(request.POST)
    options["name"] = options["name"] or name
    resolve_target(options)
    upload = _keep(stream, owner, form, name, options)
    look_through(upload)
    return upload


def keep_and_insert(request: HttpRequest, stream: BinaryIO, form: str, name: str, options: dict[str, Any]) -> Upload:
    """Keep what was sent, and enqueue it without a preview. Raises `EnqueueError`."""
    upload = _keep(stream, request.user.pk or 0, form, name, options)
    _begin_to_insert(upload, request.user.get_username())
    return upload


def _keep(stream: BinaryIO, owner: int, form: str, name: str, options: dict[str, Any]) -> Upload:
    try:
        upload = uploads.keep(stream, owner=owner, name=name, form=form)
    except uploads.UploadRefused as error:
        raise EnqueueError(str(error)) from None
    upload.options = options
    upload.save()
    return upload


def _begin_to_insert(upload: Upload, username: str) -> None:
    if uploads.begin(upload, "inserting"):
        uploads.work(upload, lambda tell: _insert(upload, tell, username))


def look_through(upload: Upload) -> None:
    """Check every line with the columns as they are mapped now."""
    if uploads.begin(upload, "checking"):
        uploads.work(upload, lambda tell: _look_through(upload, tell))


def _look_through(upload: Upload, tell: Callable[[int], None]) -> None:
    handler, queue = resolve_target(upload.options)
    with upload.lines.open("rb") as stream:
        found = inspect_file(
            stream=stream, form=upload.form, rules=find_lane(handler, queue).rules, shape=_shape(upload), progress=tell
        )
    if not upload.columns and len(found.columns) <= MOST_COLUMNS:
        upload.columns = [_as_it_is(name) for name in found.columns]
    upload.inspection = _document(found)
    uploads.end(upload, "ready")


def _as_it_is(name: str) -> dict[str, str]:
    """A column that is taken as it is."""
    return {"name": name, "key": name, "kind": Kind.TEXT.value}


def _document(found: Inspection) -> dict[str, Any]:
    return {
        "jobs": found.jobs,
        "flaws": [list(flaw) for flaw in found.flaws],
        "more": found.more,
        "rows": [{name: cell[:200] for name, cell in row.items()} for row in found.rows[:3]],
        "samples": found.samples,
        "columns": len(found.columns),
    }


def _columns(upload: Upload) -> list[Column]:
    return [Column(one["name"], one["key"], Kind(one["kind"])) for one in upload.columns]


def _shape(upload: Upload) -> Shape | None:
    """What makes payloads of rows; None where they are taken as they are."""
    columns = _columns(upload)
    plain = all(column.key == column.name and column.kind is Kind.TEXT for column in columns)
    return None if upload.form != "csv" or plain else shape_of(columns)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def upload(request: HttpRequest, token: str) -> HttpResponse:
    """What becomes of a file: the preview, how far its insertion is, and in the end its batch."""
    found = uploads.find(token, request.user.pk or 0)
    if found is None:
        return _missing(request)
    if found.state == "done" and found.batch is not None:
        return _to_batch(request, found)
    if request.method == "POST" and not found.at_work:
        return _post(request, found)
    return _progress(request, found) if getattr(request, "htmx", False) else _preview(request, found)


def _missing(request: HttpRequest) -> HttpResponse:
    hours = uploads.KEPT_FOR / 3_600
    message = (
        f"This file is not kept here (any more): it was discarded, is older than {hours:g} hours, was sent by "
        "somebody else, or lies on another web host. Choose it again. Nothing was enqueued by this"
    )
    return show_form(request, f"{message}.", status=404)


def _progress(request: HttpRequest, found: Upload) -> HttpResponse:
    if not found.at_work:
        return HttpResponse(headers={"HX-Redirect": request.path})
    return render(request, "monitoring/_insertion.html", {"upload": found})


def _preview(request: HttpRequest, found: Upload) -> HttpResponse:
    try:
        return _page(request, found)
    except EnqueueError as error:
        # Its queue or handler has gone since.
        messages.error(request, f"{error}. Choose the file again.")
        return redirect("new-batch")


def _to_batch(request: HttpRequest, found: Upload) -> HttpResponse:
    batch = found.batch
    # Who goes back and sends the form again is led to the same batch.
    tell(request, found.inspection.get("jobs", 0), known=found.known or not found.let_go())
    if getattr(request, "htmx", False):
        return HttpResponse(headers={"HX-Redirect": redirect("batch", batch_id=batch)["Location"]})
    return redirect("batch", batch_id=batch)


def _post(request: HttpRequest, found: Upload) -> HttpResponse:
    step = request.POST.get("step", "")
    if step == "discard":
        found.remove()
        messages.info(request, "The file is removed. Nothing was enqueued.")
        return redirect("new-batch")
    if step == "again":
        return _again(request, found)
    changed = _map(request, found)
    try:
        if found.columns:
            check(_columns(found))
        found.options |= _asked(request, found)
    except (BadMapping, EnqueueError) as error:
        return _page(request, found, str(error))
    found.save()
    if changed or step != "enqueue" or found.inspection.get("flaws"):
        look_through(found)
        return redirect("upload", token=found.token)
    _begin_to_insert(found, request.user.get_username())
    return redirect("upload", token=found.token)


def _again(request: HttpRequest, found: Upload) -> HttpResponse:
    """Another file instead of this one, with the same options and, where the columns are the same, the same mapping."""
    try:
        stream, form, name = source(request)
        fresh = uploads.keep(stream, owner=found.owner, name=name, form=form)
    except (EnqueueError, uploads.UploadRefused) as error:
        return _page(request, found, str(error))
    fresh.options = found.options
    look_through(fresh)
    if not fresh.at_work and [one["name"] for one in fresh.columns] == [one["name"] for one in found.columns]:
        fresh.columns = found.columns
        look_through(fresh)
    found.remove()
    return redirect("upload", token=fresh.token)


def _map(request: HttpRequest, found: Upload) -> bool:
    """Take the columns from the form; whether that changes them."""
    before = [dict(one) for one in found.columns]
    for place, column in enumerate(found.columns):
        if f"kind-{place}" in request.POST:
            kind = request.POST[f"kind-{place}"]
            column["kind"] = kind if kind in set(Kind) else column["kind"]
            column["key"] = storable(request.POST.get(f"key-{place}", ""))[:1_000]
    return found.columns != before


def _asked(request: HttpRequest, found: Upload) -> dict[str, Any]:
    """What of the options the form asks anew. Raises `EnqueueError`."""
    text = request.POST.get("chunk_size", "").strip()
    size = whole_number(text) if text else None
    if text and not size:
        raise EnqueueError("Jobs in a chunk: a whole number from 1, or nothing for the queue's own")
    asked = {"chunk_size": size, "name": storable(request.POST.get("name", found.options["name"]))[:200]}
    return asked | ({"split": request.POST.get("split") == "on"} if "may-split" in request.POST else {})


def _insert(found: Upload, tell: Callable[[int], None], username: str) -> None:
    """Enqueue the file as one batch: all of it, or a word on why not. Its own key makes a second try harmless."""
    options = settled(found.options)
    options["idempotency_key"] = options.get("idempotency_key") or f"upload {found.token}"
    try:
        handler, queue = resolve_target(found.options)
        found.known = batches.batch_of_key(options["idempotency_key"]) is not None
        with found.lines.open("rb") as stream:
            batch = submit(
                stream=stream,
                form=found.form,
                handler=handler,
                queue=queue,
                progress=tell,
                shape=_shape(found),
                actor=username,
                source="page",
                **options,
            )
    except EnqueueError as error:
        found.error = str(error).replace("split=True makes parts", "tick “split into parts”")
        uploads.end(found, "ready")
        return
    found.batch, found.inspection["jobs"] = batch.pk, batch.total
    uploads.end(found, "done")


def _wishes(options: dict[str, Any]) -> list[tuple[str, str]]:
    """What else was asked for in the form, in words."""
    metadata = ", ".join(f"{name}={value}" for name, value in options.get("metadata", {}).items())
    given = {
        "Priority": options.get("priority"),
        "When a job dies": {"fail_fast": "cancel what waits", "collect_errors": "collect errors"}.get(
            options.get("failure_mode", "")
        ),
        "Not before": f"{options['run_at'][:16].replace('T', ' ')} UTC" if options.get("run_at") else "",
        "Metadata": metadata,
        "Key": options.get("idempotency_key"),
    }
    return [(name, str(value)) for name, value in given.items() if value]


def _flaws(found: Upload, pasted: str) -> list[tuple[int, str, str]]:
    """The bad lines with what is wrong; and as they read, where they are corrected on the page."""
    lines = [line.rstrip("\r") for line in found.pasted.split("\n")] if pasted else []
    flaws = found.inspection.get("flaws", [])
    return [(line, why, lines[line - 1] if line <= len(lines) else "") for line, why in flaws]


def _page(request: HttpRequest, found: Upload, error: str = "") -> HttpResponse:
    handler, queue = resolve_target(found.options)
    lane = find_lane(handler, queue)
    name, most = lane.name, settings.BATCH_MAX_JOBS
    kept: dict[str, Any] = found.inspection
    jobs = kept.get("jobs", 0)
    rows = kept.get("rows", [])
    # What was corrected and could not be kept is not typed anew.
    pasted = (request.POST.get("text") or found.pasted) if kept.get("flaws") else ""
    context = {
        "nav": "batches",
        "upload": found,
        "error": error or found.error,
        "target": name,
        "handler": handler,
        "columns": [(place, one, [row[one["name"]] for row in rows]) for place, one in enumerate(found.columns)],
        "kinds": [(kind.value, words) for kind, words in KINDS.items()],
        "inspection": kept,
        "pasted": pasted,
        "flaws": _flaws(found, pasted),
        "advice": limits.attempt(lambda: policy.chunk_advice(name, handler)) if request.method != "POST" else None,
        "chunk_size": whole_number(request.GET.get("chunk_size", "")) or found.options.get("chunk_size"),
        "own_size": lane.chunk_size,
        "most": most,
        "parts": -(-jobs // most) if jobs > most else 0,
        "too_wide": kept.get("columns", 0) > MOST_COLUMNS,
        "wishes": _wishes(found.options),
    }
    return render(request, "monitoring/upload.html", context, status=422 if error else 200)
