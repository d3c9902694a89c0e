"""Parts of the admin that stay quick on tables of many millions: capped counts, capped pages, search by id only."""

import json
import re
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import CharField, Model, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast, Left, Length
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html

from queues.domain.text import clean
from queues.models import Queue

# Rows that are counted one by one, and that can be paged to; beyond, a person goes on from an id.
COUNTED = 10_000
PER_PAGE = 100
TEXT_SHOWN = 64 * 1024
LARGEST_ID = 2**63 - 1


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to a limit; beyond it the planner says about how many there are, and the pages end."""

    @cached_property
    def count(self) -> int:
        """Exact up to the limit, else an estimate."""
        rows: Any = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        exact = rows.order_by()[: COUNTED + 1].count()
        if exact <= COUNTED:
            return exact
        plan = json.loads(rows.order_by().explain(format="json"))
        return max(exact, int(plan[0]["Plan"]["Plan Rows"]))

    @cached_property
    def num_pages(self) -> int:
        """No page lies beyond the limit: the database would have to walk there."""
        return max(1, -(-min(self.count, COUNTED) // self.per_page))


class BoundedList(ChangeList):
    """A list that never asks for more than a page: Django's own takes all rows where it has counted few."""

    def get_results(self, request: HttpRequest) -> None:
        """One page."""
        super().get_results(request)
        self.result_list = self.result_list[: self.list_per_page]


class BoundedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list by descending key, without a full count, a sort by anything else, or a search in texts."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = PER_PAGE
    list_max_show_all = PER_PAGE
    ordering = ("-pk",)
    sortable_by = ()
    # Makes the search box appear; what it does is `get_search_results`.
    search_fields = ("pk",)
    search_help_text = "An id; or <id for those before it, however far back."
    search_key = "pk"

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """Rows with this id, or before it. Anything else finds nothing."""
        term = search_term.strip()
        found = re.fullmatch(r"(<?)\s*(\d{1,19})", term)
        if not term:
            return queryset, False
        if found is None or int(found[2]) > LARGEST_ID:
            return self.search_text(queryset, term), False
        lookup = "pk__lt" if found[1] else self.search_key
        return queryset.filter(**{lookup: int(found[2])}), False

    def search_text(self, queryset: "QuerySet[Any]", term: str) -> "QuerySet[Any]":
        """What a term finds that is no id."""
        return queryset.none()

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Rows with the name of their queue. Not by a join: what a pointer points to may be gone."""
        rows: QuerySet[Any] = super().get_queryset(request)
        if not any(field.name == "queue" for field in self.model._meta.get_fields()) or self.model is Queue:
            return rows
        name = Queue.objects.filter(pk=OuterRef("queue_id")).values("name")[:1]
        named: QuerySet[Any] = rows.annotate(name_of_queue=Subquery(name, output_field=CharField()))
        return named

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """A list with a limit."""
        return BoundedList

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the section is shown."""
        return super().has_module_permission(request) or request.user.has_perm("queues.view_console")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Those who may look at the console may look here."""
        return super().has_view_permission(request, obj) or request.user.has_perm("queues.view_console")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether actions are offered."""
        return request.user.has_perm("queues.operate")

    def has_empty_permission(self, request: HttpRequest) -> bool:
        """Whether things may be removed for good."""
        return self.has_operate_permission(request) and request.user.has_perm("queues.empty_trash")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted here: rows hang together in ways that a form does not know."""
        return False

    @admin.display(description="queue")
    def queue_name(self, obj: Any) -> str:
        """Its queue's name, read along with the page."""
        return getattr(obj, "name_of_queue", None) or f"({obj.queue_id})"


class ReadOnlyAdmin(BoundedAdmin):
    """Rows that the engine writes: to be looked at. Long texts are cut by the database and shown as text."""

    texts: ClassVar[tuple[str, ...]] = ()
    hidden: ClassVar[tuple[str, ...]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Rows without their long texts."""
        return super().get_queryset(request).defer(*self.texts, *self.hidden)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Every field, the long texts last."""
        plain = [field.name for field in self.model._meta.fields if field.name not in (*self.texts, *self.hidden)]
        return [*plain, *(f"shown_{name}" for name in self.texts)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)

    @admin.display(description="payload")
    def shown_payload(self, obj: Any) -> str:
        """The payload as text."""
        return cut_text(obj, "payload")

    @admin.display(description="value")
    def shown_value(self, obj: Any) -> str:
        """The result as text."""
        return cut_text(obj, "value")

    @admin.display(description="message")
    def shown_message(self, obj: Any) -> str:
        """The error's message."""
        return cut_text(obj, "message")

    @admin.display(description="traceback")
    def shown_traceback(self, obj: Any) -> str:
        """The error's traceback."""
        return cut_text(obj, "traceback")


def cut_text(obj: Model, field: str) -> str:
    """The beginning of a long text, escaped, and how long it is."""
    text = Cast(field, TextField())
    rows = type(obj)._default_manager.filter(pk=obj.pk).annotate(shown=Left(text, TEXT_SHOWN), length=Length(text))
    shown, length = rows.values_list("shown", "length").first() or ("", 0)
    more = f"\n... ({length:,} characters in all)" if length > TEXT_SHOWN else ""
    return format_html("<pre>{}{}</pre>", clean(shown, TEXT_SHOWN * 4), more)
