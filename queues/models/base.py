"""What the models share."""

from typing import Any

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from queues.domain import states

QUEUE_NAME = RegexValidator(
    r"\A[a-z0-9][a-z0-9_.-]{0,62}\Z",
    "a name has 1 to 63 of a-z, 0-9, '_', '.', '-' and starts with a letter or digit",
)
ONE = MinValueValidator(1)
ZERO = MinValueValidator(0)
PRIORITIES = [(priority.value, priority.label) for priority in states.Priority]


def one_of(field: str, enum: type) -> models.CheckConstraint:
    values = [member.value for member in enum]  # type: ignore[attr-defined]
    return models.CheckConstraint(condition=Q(**{f"{field}__in": values}), name=f"%(app_label)s_%(class)s_{field}")


def choices_of(enum: type) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ") or "-") for member in enum]  # type: ignore[attr-defined]


class JSONText(models.TextField):  # type: ignore[type-arg]
    """A `json` column, read and written as its text.

    `json` keeps numbers exactly as written and costs half of `jsonb` at enqueue.
    """

    def db_type(self, connection: Any) -> str:
        """The column's type."""
        return "json"

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """Read as text: a parser in between would round large numbers."""
        return f"({sql})::text", params
