"""The results or errors of one batch as a file."""

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from monitoring import batch_export
from monitoring.permissions import viewer_required
from monitoring.views import sending
from queues.selectors import batches


@require_safe
@viewer_required
def export(request: HttpRequest, batch_id: int, kind: str, form: str) -> HttpResponseBase:
    """A file that is sent while it is read."""
    batch = batches.batch(batch_id)
    if kind not in batch_export.KINDS or form not in sending.TYPES or batch is None:
        raise Http404(f"there is no {kind}.{form} of a batch {batch_id}")
    if why_not := batch_export.why_not(batch, kind):
        raise Http404(f"{why_not}: there are none of batch {batch_id}")
    return sending.send(request, f"batch-{batch_id}-{kind}", form, batch_export.pieces(batch_id, kind, form))
