"""The admin of people and groups: who was given which rights, and by whom, is told in the activity list as well."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from queues.services import audit


class Told(admin.ModelAdmin):  # type: ignore[type-arg]
    """Each change leaves an entry in the activity list, beside Django's own log."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Somebody was added."""
        self.tell(request, "add", obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Something of somebody was changed: which fields, and nothing of what is in them."""
        parts = [part.get("changed", {}) for part in message] if isinstance(message, list) else []
        fields = [str(field) for part in parts for field in part.get("fields", ())]
        self.tell(request, "change", obj, **({"fields": fields} if fields else {}))
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: "QuerySet[Any]") -> Any:
        """Somebody was removed."""
        for obj in queryset:
            self.tell(request, "remove", obj)
        return super().log_deletions(request, queryset)

    def tell(self, request: HttpRequest, verb: str, obj: Model, **more: Any) -> None:
        """Write the entry."""
        word = str(obj._meta.verbose_name)
        actor = request.user.get_username()
        audit.record(actor=actor, source="admin", action=f"{verb} {word}", target=f"{word} {obj}", **more)


class ToldUserAdmin(Told, UserAdmin):  # type: ignore[type-arg]
    """People."""


class ToldGroupAdmin(Told, GroupAdmin):
    """Groups, which carry the rights."""


# A site with people of its own kind has registered them in its own way.
for model, made in ((User, ToldUserAdmin), (Group, ToldGroupAdmin)):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
        admin.site.register(model, made)
