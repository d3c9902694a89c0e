"""Webhooks: who is told of what, the deliveries that are owed, and the key that signs them.

A delivery is a job of the queue `webhooks`, written in the transaction of the event: it exists if and only if the
event does, is tried again as that queue's policy says, and ends as a dead letter when given up.
"""

import re
import secrets
import socket
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.crypto import salted_hmac

from queues import handlers, store
from queues.domain.states import Priority
from queues.domain.webhooks import EVENTS, as_address, check_url, is_public
from queues.models import Queue, Webhook
from queues.services import audit
from queues.services.own_jobs import write_jobs
from queues.services.sync_queues import sync_queue

QUEUE = "webhooks"
HANDLER = "queues.deliver_webhook"
# Each is a request to somebody else: small chunks, so that a slow receiver holds up few others.
CHUNK_SIZE = 8


class WebhookRefused(ValueError):
    """The webhook cannot be like this: the message says why. Nothing was changed."""


def wanting(*, event: str, queue_id: int | None = None, batch_id: int | None = None) -> list[tuple[int, str]]:
    """The enabled webhooks that want this event of this queue, or of the batch's, each with the time of it."""
    found = store.rows("webhooks_for", event=event, queue=queue_id, batch=batch_id, own=QUEUE)
    return [(webhook, at) for webhook, at in found]


def write(*, event: str, wanted: Sequence[tuple[int, str]], facts: Sequence[str]) -> None:
    """Write a delivery of each of the facts, JSON objects, for each webhook. The caller has the transaction."""
    if not wanted:
        return
    texts = [
        f'{{"webhook":{webhook},"event":"{event}","occurred_at":"{at}","data":{fact}}}'
        for webhook, at in wanted
        for fact in facts
    ]
    write_jobs(queue_id=_queue_id(), handler=HANDLER, texts=texts, chunk_size=CHUNK_SIZE, priority=int(Priority.NORMAL))


def _queue_id() -> int:
    found = Queue.objects.filter(name=QUEUE).values_list("pk", flat=True).first()
    return found if found is not None else make_queue().pk


def make_queue() -> Queue:
    """The row of the queue of deliveries, made if it is not there."""
    sync_queue(declared=next(queue for queue in handlers.declared_queues() if queue.name == QUEUE))
    return Queue.objects.get(name=QUEUE)


def new_salt() -> str:
    """What makes the key of one webhook its own."""
    return secrets.token_hex(16)


def secret(webhook: Webhook) -> str:
    """The key that signs a webhook's deliveries. Made of SECRET_KEY and the salt, so that no table holds it."""
    return salted_hmac(f"queues.webhook.{webhook.salt}", "signing key", algorithm="sha256").hexdigest()


def flaws(webhook: Webhook) -> dict[str, str]:
    """What is wrong with a webhook, by field."""
    found = {}
    if not re.fullmatch(r"[\w .:/-]{1,200}", webhook.name or "") or webhook.name != webhook.name.strip():
        found["name"] = "1 to 200 letters, digits and any of space . : / - _"
    if flaw := check_url(webhook.url or "", private=settings.WEBHOOK_PRIVATE) or _resolved(webhook.url):
        found["url"] = flaw
    if unknown := sorted(set(webhook.events or ()) - set(EVENTS)):
        found["events"] = f"unknown: {', '.join(map(repr, unknown))}; known are {', '.join(EVENTS)}"
    elif not webhook.events:
        found["events"] = f"at least one of {', '.join(EVENTS)}"
    elif len(set(webhook.events)) != len(webhook.events):
        found["events"] = "each at most once"
    return found


def _resolved(url: str) -> str:
    """Whether the name stands for an address of this site now. It is asked again at each delivery."""
    host = urlsplit(url).hostname or ""
    if settings.WEBHOOK_PRIVATE or as_address(host) is not None:
        return ""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ""  # perhaps later; until then deliveries are tried again
    for *_, address in found:
        literal = as_address(str(address[0]))
        if literal is None or not is_public(literal):
            return f"{host} stands for {address[0]}, which is not public; BATCHCONSOLE_WEBHOOK_PRIVATE=1 allows it"
    return ""


def add(*, name: str, url: str, events: Collection[str], queue: str | None = None, actor: str, source: str) -> Webhook:
    """Add a webhook for some events, of one queue or of all. Raises `WebhookRefused`."""
    row = Webhook(name=name, url=url, events=list(events), salt=new_salt(), created_by=actor[:150])
    if found := flaws(row):
        raise WebhookRefused("; ".join(f"{field}: {flaw}" for field, flaw in found.items()))
    if queue is not None:
        row.queue = Queue.objects.filter(name=queue).first()
        if row.queue is None:
            raise WebhookRefused(f"unknown queue {queue!r}")
    try:
        row.full_clean()
    except ValidationError as error:
        raise WebhookRefused(
            "; ".join(f"{key}: {' '.join(said)}" for key, said in error.message_dict.items())
        ) from None
    with transaction.atomic():
        make_queue()
        row.save()
        noted(row, "add webhook", actor=actor, source=source)
    return row


def remove(*, name: str, actor: str, source: str) -> None:
    """Remove a webhook; deliveries that are still owed to it end as cancelled. Raises `WebhookRefused`."""
    with transaction.atomic():
        row = named(name)
        noted(row, "remove webhook", actor=actor, source=source)
        row.delete()


def named(name: str) -> Webhook:
    """The webhook of this name. Raises `WebhookRefused`."""
    found = Webhook.objects.select_related("queue").filter(name=name).first() if "\0" not in name else None
    if found is None:
        raise WebhookRefused(f"unknown webhook {name!r}")
    return found


def noted(row: Webhook, action: str, *, actor: str, source: str, **more: Any) -> None:
    """Write who did it into the audit."""
    audit.record(
        actor=actor,
        source=source,
        action=action,
        target=row.name,
        url=row.url,
        events=list(row.events),
        queue=row.queue.name if row.queue else None,
        enabled=row.enabled,
        **more,
    )
