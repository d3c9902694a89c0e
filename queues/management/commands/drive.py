"""`manage.py drive`: what beat rings every second."""

from typing import Any

from queues.management.base import OperatorCommand
from queues.services import announce


class Command(OperatorCommand):
    """Hints at queues with due work."""

    help = "Tell the workers once which queues have work that is due."

    def answer(self, options: dict[str, Any]) -> None:
        """Send the hints."""
        hinted = announce.drive()
        if self.as_json:
            self.document({"hinted": hinted})
        self.say(f"{hinted} queues announced")
