"""`manage.py sync_queues`: rows for the queues that the code declares."""

from typing import Any

from queues.management.base import OperatorCommand, operator
from queues.services.sync_queues import sync_queues


class Command(OperatorCommand):
    """Makes the declared queues."""

    help = "Create the queues that the code declares and that have no row yet. Rows that exist keep their policy."

    def answer(self, options: dict[str, Any]) -> None:
        """Create what is missing."""
        made = sync_queues(actor=operator(), source="command")
        if self.as_json:
            self.document({"created": made})
        self.say(f"created: {', '.join(made)}" if made else "all declared queues exist")
