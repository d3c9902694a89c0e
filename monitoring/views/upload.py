"""A new batch in two steps: what was uploaded is shown as the payloads it becomes, and then enqueued."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from monitoring import limits, uploads
from monitoring.filters import storable, whole_number
from monitoring.permissions import operator_required
from monitoring.uploads import Upload
from monitoring.views.submit import options_of, resolve_target, source
from queues.domain.columns import BadMapping, Column, Kind, Shape, check, shape_of
from queues.selectors import policy
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
MOST_COLUMNS = 500


def keep(request: HttpRequest, owner: int) -> Upload:
    """Keep what was sent, and look through it. Raises `EnqueueError`."""
    stream, form, name = source(request)
    options = options_of(request.POST)
    options["name"] = options["name"] or name
    resolve_target(options)
    try:
        upload = uploads.keep(stream, owner=owner, name=name, form=form)
    except uploads.UploadRefused as error:
        raise EnqueueError(str(error)) from None
    upload.options = options
    look_through(upload)
    return upload


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
    if not upload.columns:
        upload.columns = [_as_it_is(name) for name in found.columns[:MOST_COLUMNS]]
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
    }


def _columns(upload: Upload) -> list[Column]:
    return [Column(one["name"], one["key"], Kind(one["kind"])) for one in upload.columns]


def _shape(upload: Upload) -> Shape | None:
    """What makes payloads of rows; None where they are taken as they are."""
    columns = _columns(upload)
    plain = all(column.key == column.name and column.kind is Kind.TEXT for column in columns)
    return None if upload.form != "csv" or plain else shape_of(columns)


@require_http_methods(["GET", "POST"])
@operator_required
def upload(request: HttpRequest, token: str) -> HttpResponse:
    """What becomes of a file: the preview, how far its insertion is, and in the end its batch."""
    found = uploads.find(token, request.user.pk or 0)
    if found is None:
        raise Http404("This file is not kept any more: choose it again.")
    if request.method == "POST" and not found.at_work:
        return _post(request, found)
    if found.state == "done" and found.batch is not None:
        return _to_batch(request, found)
    if getattr(request, "htmx", False):
        if not found.at_work:
            return HttpResponse(headers={"HX-Redirect": request.path})
        return render(request, "monitoring/_insertion.html", {"upload": found})
    try:
        return _page(request, found)
    except EnqueueError as error:
        # Its queue or handler has gone since.
        messages.error(request, f"{error}. Choose the file again.")
        return redirect("new-batch")


def _to_batch(request: HttpRequest, found: Upload) -> HttpResponse:
    batch, jobs = found.batch, found.inspection.get("jobs", 0)
    found.remove()
    messages.success(request, f"{jobs:,} jobs are enqueued.")
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
        if found.form == "csv":
            check(_columns(found))
        found.options |= _asked(request, found)
    except (BadMapping, EnqueueError) as error:
        return _page(request, found, str(error))
    found.save()
    if changed or step != "enqueue" or found.inspection.get("flaws"):
        look_through(found)
        return redirect("upload", token=found.token)
    if uploads.begin(found, "inserting"):
        uploads.work(found, lambda tell: _insert(found, tell, request.user.get_username()))
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
            column["key"] = request.POST.get(f"key-{place}", "")[:1_000]
    return found.columns != before


def _asked(request: HttpRequest, found: Upload) -> dict[str, Any]:
    """What of the options the form asks anew. Raises `EnqueueError`."""
    text = request.POST.get("chunk_size", "").strip()
    size = whole_number(text) if text else None
    if text and not size:
        raise EnqueueError("Jobs in a chunk: a whole number from 1, or nothing for the queue's own")
    return {"chunk_size": size, "name": storable(request.POST.get("name", found.options["name"]))[:200]}


def _insert(found: Upload, tell: Callable[[int], None], username: str) -> None:
    """Enqueue the file as one batch: all of it, or a word on why not. Its own key makes a second try harmless."""
    options = dict(found.options)
    try:
        handler, queue = resolve_target(options)
        options.pop("target")
        options.pop("handler")
        with found.lines.open("rb") as stream:
            batch = submit(
                stream=stream,
                form=found.form,
                handler=handler,
                queue=queue,
                progress=tell,
                shape=_shape(found),
                idempotency_key=f"upload {found.token}",
                created_by=username,
                **options,
            )
    except EnqueueError as error:
        found.error = str(error).replace("split=True makes parts", "choose the file again and tick “split into parts”")
        uploads.end(found, "ready")
        return
    found.batch, found.inspection["jobs"] = batch.pk, batch.total
    uploads.end(found, "done")


def _page(request: HttpRequest, found: Upload, error: str = "") -> HttpResponse:
    handler, queue = resolve_target(found.options)
    name = find_lane(handler, queue).name
    kept: dict[str, Any] = found.inspection
    rows = kept.get("rows", [])
    context = {
        "nav": "batches",
        "upload": found,
        "error": error or found.error,
        "target": name,
        "handler": handler,
        "columns": [(place, one, [row[one["name"]] for row in rows]) for place, one in enumerate(found.columns)],
        "kinds": [(kind.value, words) for kind, words in KINDS.items()],
        "inspection": kept,
        "advice": limits.attempt(lambda: policy.advice(name)) if request.method == "GET" else [],
        "own_size": find_lane(handler, queue).chunk_size,
    }
    return render(request, "monitoring/upload.html", context, status=422 if error else 200)
