"""The delivery of webhooks: one signed POST for each job of the queue `webhooks`.

A process that dies between the receiver's answer and its own commit delivers again, under the same delivery id.
"""

import asyncio
import json
import time
import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connections
from django.utils import timezone

from queues.domain.outcomes import Cancel, Fail, Job, Reject, Snooze
from queues.domain.text import clean
from queues.domain.webhooks import TEST_EVENT, check_url, sign
from queues.handlers import handler, queue
from queues.models import Webhook
from queues.outgoing import LONGEST_WAIT, SHOWN, AddressRefused, Answer, DeliveryError, post
from queues.services import webhooks
from queues.services.workers import product_version

__all__ = ["Answer", "DeliveryError", "deliver_webhook", "send", "test"]

# A receiver may ask to be left alone for so long, and only within this time of the event: then it counts as a failure.
SHORTEST_WAIT = 30.0
WAITS_WITHIN = 6 * 3_600.0
REQUEST_TIMEOUT, GONE, TOO_MANY, UNAVAILABLE = 408, 410, 429, 503

# About two and a half hours of tries in all.
queue(
    webhooks.QUEUE,
    handler=webhooks.HANDLER,
    chunk_size=webhooks.CHUNK_SIZE,
    run_start=16,
    run_size=64,
    concurrency=8,
    max_runs=2,
    max_attempts=12,
    backoff="exponential",
    backoff_base=5.0,
    backoff_cap=3_600.0,
    timeout=30.0,
)


@handler(queue=webhooks.QUEUE, name=webhooks.HANDLER)
async def deliver_webhook(job: Job) -> None:
    """Deliver one event to one webhook."""
    await asyncio.to_thread(_deliver, job)


def _deliver(job: Job) -> None:
    try:
        row = Webhook.objects.filter(pk=job.payload["webhook"]).first()
        if row is None or not row.enabled:
            raise Cancel("the webhook was removed" if row is None else "the webhook is switched off")
        try:
            answer = send(row, event=job.payload["event"], delivery=str(job.id), content=job.payload)
        except DeliveryError as error:
            _note(row, str(error))
            raise (Reject if isinstance(error, AddressRefused) else Fail)(str(error)) from None
        _note(row, answer.line)
        _judge(answer, job.payload["occurred_at"])
    finally:
        connections.close_all()  # of this thread, which nobody looks after


def _judge(answer: Answer, occurred_at: str) -> None:
    if answer.good:
        return
    if answer.status in (TOO_MANY, UNAVAILABLE) and answer.retry_after is not None:
        age = (timezone.now() - datetime.fromisoformat(occurred_at)).total_seconds()
        if age < WAITS_WITHIN:
            raise Snooze(min(max(answer.retry_after, SHORTEST_WAIT), LONGEST_WAIT))
    if answer.status >= 500 or answer.status in (REQUEST_TIMEOUT, TOO_MANY):
        raise Fail(answer.line)
    # Also a redirect: it could lead anywhere. The same request will not be taken another time.
    raise Reject(answer.line)


def _note(row: Webhook, status: str) -> None:
    Webhook.objects.filter(pk=row.pk).update(last_status=clean(status, SHOWN)[:SHOWN], last_at=timezone.now())


def send(row: Webhook, *, event: str, delivery: str, content: dict[str, Any]) -> Answer:
    """One signed POST. Raises `DeliveryError`."""
    if flaw := check_url(row.url, private=settings.WEBHOOK_PRIVATE):
        raise AddressRefused(flaw)
    told = {"id": delivery, **{name: content[name] for name in ("event", "occurred_at", "data")}}
    body, timestamp = json.dumps(told, ensure_ascii=False).encode(), int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"batchconsole/{product_version()}",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "X-Batchconsole-Event": event,
        "X-Batchconsole-Delivery": delivery,
        "X-Batchconsole-Timestamp": str(timestamp),
        "X-Batchconsole-Signature": sign(webhooks.secret(row), timestamp, body),
    }
    return post(row.url, body, headers)


def test(row: Webhook) -> Answer:
    """Send a test event now, outside of the queue. Raises `DeliveryError`."""
    content = {"occurred_at": timezone.now().isoformat(), "event": TEST_EVENT, "data": {"webhook": row.name}}
    answer = send(row, event=TEST_EVENT, delivery=f"test-{uuid.uuid4()}", content=content)
    _note(row, answer.line)
    return answer
