"""The results or errors of one batch as a file."""

from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe

from monitoring import batch_export
from monitoring.permissions import viewer_required
from queues.selectors import batches


@require_safe
@viewer_required
def export(request: HttpRequest, batch_id: int, kind: str, form: str) -> HttpResponseBase:
    """A file that is sent while it is read. One that breaks off was not read to its end."""
    if kind not in batch_export.KINDS or form not in batch_export.TYPES or batches.batch(batch_id) is None:
        raise Http404(f"there is no {kind}.{form} of a batch {batch_id}")
    read = batch_export.pieces_async if isinstance(request, ASGIRequest) else batch_export.pieces
    return StreamingHttpResponse(
        read(batch_id, kind, form),
        content_type=batch_export.TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="batch-{batch_id}-{kind}.{form}"'},
    )
