"""`manage.py reap`: what beat rings every two seconds."""

from typing import Any

from queues.management.base import OperatorCommand
from queues.services import reap


class Command(OperatorCommand):
    """Takes back what lost workers hold."""

    help = "Take back once the work of runs whose lease has ended."

    def answer(self, options: dict[str, Any]) -> None:
        """Reap."""
        reaped = reap.reap()
        if self.as_json:
            self.document({"reaped": reaped})
        self.say(f"{reaped} runs taken back")
