"""What the admin knows of a batch as a whole: its place among others, and how it is tried again."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from queues.domain.batch_deeds import MOST, BatchAction
from queues.models import Batch
from queues.selectors.graph import Links, Neighbour, links
from queues.services import operate_batches
from queues.services.again import RetryRefused, retry_batch
from queues.services.feed import EnqueueError
from queues.services.operate import OperationRefused

if TYPE_CHECKING:
    from queues.admin_base import ReadOnlyAdmin

    _Base = ReadOnlyAdmin
else:
    _Base = object

# Whole batches that one request enqueues anew, each of which may be large; and those whose dead go back.
MOST_ANEW = 10
MOST_BATCHES = 100
SHOWN = 50


class BatchGraph(_Base):
    """Fields and actions of a batch's page."""

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

    @admin.action(description="Retry what died", permissions=["operate"])
    def retry_dead(self, request: HttpRequest, queryset: "QuerySet[Batch]") -> None:
        """Let the dead jobs of the chosen batches run again."""
        self._retry(request, queryset, "dead", MOST_BATCHES)

    @admin.action(description="Retry all jobs, as a new batch", permissions=["operate"])
    def retry_all(self, request: HttpRequest, queryset: "QuerySet[Batch]") -> None:
        """Enqueue the jobs of the chosen batches anew."""
        self._retry(request, queryset, "all", MOST_ANEW)

    @admin.action(description="Delete, to the trash: finished ones only", permissions=["operate"])
    def to_trash(self, request: HttpRequest, queryset: "QuerySet[Batch]") -> None:
        """Put the chosen batches in the trash, as one operation, which can be undone."""
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST + 1])
        who = {"actor": request.user.get_username(), "source": "admin"}
        try:
            operation = operate_batches.start(action=BatchAction.DELETE.value, batches=chosen, **who)
        except OperationRefused as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in operation.outcomes.items())
        text = f"Operation {operation.pk}, {operation.state}: {counts or 'it goes on in the background'}."
        self.message_user(request, text, messages.SUCCESS if operation.changed else messages.WARNING)

    def _retry(self, request: HttpRequest, queryset: "QuerySet[Batch]", which: str, most: int) -> None:
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True)[: most + 1])
        if len(chosen) > most:
            self.message_user(request, f"At most {most} batches at once.", messages.ERROR)
            return
        for number in chosen:
            try:
                made = retry_batch(number, which, actor=request.user.get_username(), source="admin")
            except (RetryRefused, OperationRefused, EnqueueError) as error:
                self.message_user(request, f"Batch {number}: {error}", messages.WARNING)
                continue
            text = f"its {made.total:,} jobs are batch {made.pk}" if isinstance(made, Batch) else _told(made)
            self.message_user(request, f"Batch {number}: {text}.", messages.SUCCESS)


def _told(operation: Any) -> str:
    return f"{operation.changed:,} of {operation.total:,} dead letters go back, {operation.state}"


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
