"""What the admin knows of a batch as a whole: its place among others, and what can be done with it."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from queues.admin_confirm import asked
from queues.admin_deeds import OfBatches, OfEach
from queues.domain.batch_deeds import BatchAction
from queues.models import Batch
from queues.selectors.graph import Links, Neighbour, links
from queues.services import operate_batches
from queues.services.again import RetryRefused, retry_batch
from queues.services.delete import DeleteRefused, delete_batch
from queues.services.feed import EnqueueError

if TYPE_CHECKING:
    from queues.admin_base import ReadOnlyAdmin

    _Base = ReadOnlyAdmin
else:
    _Base = object

# Whole batches that one request enqueues anew, each of which may be large; and those that it begins to delete.
MOST_ANEW = 10
MOST_DELETED = 100
SHOWN = 50


def _enqueue_anew(*, batch: int, **who: Any) -> Any:
    return retry_batch(batch, "all", **who)


_ANEW = OfEach(
    verb="Enqueue all jobs of",
    past="enqueued",
    thing="batch",
    plural="batches",
    consequence="All their jobs, whatever came of them, are enqueued anew, as new batches. These stay as they are.",
    call=_enqueue_anew,
    argument="batch",
    refused=(RetryRefused, EnqueueError),
    command="batches retry {} --all",
    why_not=lambda batch: "" if batch.sealed_at else "it is still open",
    said=lambda made: f"its {made.total:,} jobs are batch {made.pk}",
    jobs="total",
    once="idempotency_key",
    most=MOST_ANEW,
)
_FOR_GOOD = OfEach(
    verb="Delete for good",
    past="being deleted",
    thing="batch",
    plural="batches",
    consequence="They are removed in the background, with all of their jobs, tries, results, dead letters and archived "
    "rows. This cannot be undone.",
    call=delete_batch,
    argument="batch_id",
    refused=(DeleteRefused,),
    command="batches delete {} --for-good",
    why_not=lambda batch: operate_batches.owing(batch.pk),
    jobs="total",
    dangerous=True,
    most=MOST_DELETED,
)
BATCH_ACTIONS = (
    asked("retry_dead", "Retry what died", OfBatches(BatchAction.RETRY)),
    asked("retry_all", "Retry all jobs, as a new batch", _ANEW),
    asked("pause", "Pause: nothing more of it starts", OfBatches(BatchAction.PAUSE)),
    asked("resume", "Resume", OfBatches(BatchAction.RESUME)),
    asked("cancel", "Cancel: what waits ends now", OfBatches(BatchAction.CANCEL)),
    asked("to_trash", "Delete, to the trash: finished ones only", OfBatches(BatchAction.DELETE)),
    asked("delete_finished", "Delete, with all jobs: finished ones only, for good", _FOR_GOOD, right="empty"),
)


class BatchGraph(_Base):
    """Fields of a batch's page."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The links last."""
        return [*super().get_fields(request, obj), "waits_for", "followed_by"]

    @admin.display(description="waits for")
    def waits_for(self, obj: Batch) -> str:
        """The batches before it."""
        return _shown(_links(obj).waits_for)

    @admin.display(description="followed by")
    def followed_by(self, obj: Batch) -> str:
        """The batches that wait for it, or have."""
        return _shown(_links(obj).followed_by)


def _links(batch: Batch) -> Links:
    return links(batch.pk) or Links(1, "", "", [], [])


def _shown(found: list[Neighbour]) -> str:
    if not found:
        return "-"
    rows = [
        (reverse("admin:queues_batch_change", args=[row.id]), row.name or f"batch {row.id}", row.state.value)
        for row in found[:SHOWN]
    ]
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return format_html("{}{}", format_html_join(", ", '<a href="{}">{}</a> ({})', rows), more)
