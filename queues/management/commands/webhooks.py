"""`manage.py webhooks`: list, add, remove, test, secret."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from queues import delivery
from queues.domain.webhooks import EVENTS
from queues.management.base import PROBLEM, OperatorCommand, operator
from queues.models import Webhook
from queues.services import webhooks

COLUMNS = ("webhook", "url", "events", "queue", "enabled", "last answer", "at")


class Command(OperatorCommand):
    """Who is told of what by signed HTTP."""

    help = "List, add, remove and test webhooks, or show the key that signs the deliveries of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One subcommand for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        super().add_arguments(verbs.add_parser("list", help="who is told of what, and the last answers"))
        new = verbs.add_parser("add", help="tell an address of events")
        new.add_argument("name")
        new.add_argument("url", help="https://... that takes POSTs")
        new.add_argument(
            "--event", action="append", required=True, choices=list(EVENTS), help="give it once for each event"
        )
        new.add_argument("--queue", help="of this queue only")
        gone = verbs.add_parser("remove", help="tell it no more; what is still owed is cancelled")
        trial = verbs.add_parser("test", help="send a signed test event now; exit code 1 if it is not taken")
        key = verbs.add_parser("secret", help="the key that signs its deliveries")
        for verb in (gone, trial, key):
            verb.add_argument("name")
        for verb in (new, gone, trial, key):
            super().add_arguments(verb)

    def answer(self, options: dict[str, Any]) -> int | None:
        """Do what the verb says."""
        verb = options["verb"]
        if verb == "list":
            self._list()
        elif verb == "add":
            self._add(options)
        elif verb == "remove":
            webhooks.remove(name=options["name"], actor=operator(), source="command")
            self._done({"webhook": options["name"], "removed": True}, f"webhook {options['name']} is removed")
        elif verb == "secret":
            secret = webhooks.secret(webhooks.named(options["name"]))
            self._done({"webhook": options["name"], "secret": secret}, secret)
        else:
            return self._test(webhooks.named(options["name"]))
        return None

    def _done(self, document: dict[str, Any], text: str) -> None:
        if self.as_json:
            self.document(document)
        self.say(text)

    def _list(self) -> None:
        rows = list(Webhook.objects.select_related("queue").order_by("name"))
        if self.as_json:
            self.document([_document(row) for row in rows])
            return
        lines = [tuple(_document(row).values()) for row in rows]
        texts = [(name, url, ", ".join(events), *rest) for name, url, events, *rest in lines]
        self.table(COLUMNS, texts, empty="no webhooks: `manage.py webhooks add NAME URL --event EVENT`")

    def _add(self, options: dict[str, Any]) -> None:
        row = webhooks.add(
            name=options["name"],
            url=options["url"],
            events=options["event"],
            queue=options["queue"],
            actor=operator(),
            source="command",
        )
        self._done(_document(row), f"webhook {row.name} is told of {', '.join(row.events)}")

    def _test(self, row: Webhook) -> int:
        try:
            found = delivery.test(row)
        except delivery.DeliveryError as error:
            raise CommandError(f"webhook {row.name}: {error}") from None
        document = {"webhook": row.name, "status": found.status, "taken": found.good, "answer": found.text}
        self._done(document, f"webhook {row.name} answers {found.line}")
        return 0 if found.good else PROBLEM


def _document(row: Webhook) -> dict[str, Any]:
    return {
        "webhook": row.name,
        "url": row.url,
        "events": list(row.events),
        "queue": row.queue.name if row.queue else None,
        "enabled": row.enabled,
        "last_answer": row.last_status,
        "last_at": row.last_at,
    }
