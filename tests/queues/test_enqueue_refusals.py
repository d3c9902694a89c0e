"""What may not come in: each is refused with its place named, and nothing is left behind."""

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from queues.domain.payload import JsonText
from queues.services.enqueue import EnqueueError, JobSpec, add_jobs, enqueue, enqueue_batch
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db

NAIVE = datetime(2030, 1, 1)


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


PAYLOADS: dict[str, tuple[Any, str]] = {
    "too large": ("x" * (1024 * 1024), "1,048,57"),
    "too deep": (nested(65), "64"),
    "NUL": ({"a": "b\0c"}, "NUL"),
    "NUL in a key": ({"a\0": 1}, "NUL"),
    "lone surrogate": (["\ud800"], "surrogate"),
    "NaN": ([math.nan], "nan|NaN"),
    "Infinity": ({"x": math.inf}, "inf|Inf"),
    "-Infinity": (-math.inf, "inf|Inf"),
    "long number": (10**1_001, "digits"),
    "long number as text": (JsonText("1" * 1_001), "digits"),
    "exponent": (JsonText("1e1001"), "exponent"),
    "negative exponent": (JsonText("[1e-200000]"), "exponent"),
    "duplicate keys": (JsonText('{"a":1,"a":2}'), "duplicate"),
    "non-string key": ({1: 2}, "key"),
    "no JSON": (JsonText("{"), "not JSON"),
    "a set": ({1, 2}, "set"),
    "bytes": (b"x", "bytes"),
    "datetime": (datetime(2030, 1, 1, tzinfo=UTC), "datetime"),
    "object": (object(), "object"),
    "an endless one": (endless(), "circular"),
}


def contents() -> dict[str, int]:
    """How many rows each table has."""
    return {model._meta.label: model.objects.count() for model in apps.get_app_config("queues").get_models()}


@pytest.fixture
def unchanged() -> Iterator[None]:
    """Checks that no table has more or fewer rows afterwards, and that the transaction still works."""
    make_queue(chunk_size=10)
    make_queue("other")
    enqueue_batch("tested.do", range(3), idempotency_key="taken")
    before = contents()
    yield
    assert contents() == before
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unchanged")]


@pytest.mark.parametrize(("payload", "why"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_bad_payload_of_one_job(payload: Any, why: str) -> None:
    with pytest.raises(EnqueueError, match=f"(?s)^payload.*({why})"):
        enqueue("tested.do", payload, key="k")


@pytest.mark.parametrize(("payload", "why"), PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("spec", [False, True], ids=["plain", "spec"])
def test_a_bad_payload_late_in_a_batch_names_its_index(payload: Any, why: str, spec: bool) -> None:
    def items() -> Iterator[Any]:
        yield from range(2_345)
        yield JobSpec(payload, priority="low") if spec else payload
        yield from range(10)

    with pytest.raises(EnqueueError, match=f"(?s)^item 2345: .*({why})"):
        enqueue_batch("tested.do", items(), key=None, idempotency_key="new")


@pytest.mark.parametrize(("payload", "why"), PAYLOADS.values(), ids=PAYLOADS)
def test_bad_metadata(payload: Any, why: str) -> None:
    if isinstance(payload, JsonText):
        why = "not a JSON type"
    with pytest.raises(EnqueueError, match=f"(?s)^metadata.*({why})"):
        enqueue_batch("tested.do", [1], metadata={"m": payload})


LONG = "k" * 200_000


@pytest.mark.parametrize(
    ("metadata", "place"),
    [({LONG: 1}, "$"), ({"a": [0, {"b": {LONG: 1}}]}, "$.a[1].b"), ({"k" * 201: 1}, "$")],
    ids=["top", "deep", "one too many"],
)
def test_a_metadata_key_that_is_too_long_is_refused(metadata: dict[str, Any], place: str) -> None:
    long = "201" if "k" * 201 in metadata else "200,000"
    words = f"metadata: {place}: a key of {long} characters, '{'k' * 40}'...; at most 200"
    with pytest.raises(EnqueueError, match=f"^{re.escape(words)}$"):
        enqueue_batch("tested.do", [1], metadata=metadata, idempotency_key="new")


CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"payloads": []}, "at least one job"),
    "empty generator": ({"payloads": iter(())}, "at least one job"),
    "too many": ({"payloads": range(10_001)}, "10,001 jobs.*at most 10,000.*split=True"),
    "too many from a generator": ({"payloads": (n for n in range(10_001))}, "more than 10,000.*split=True"),
    "a mapping": ({"payloads": {"a": 1}}, "not one dict"),
    "a text": ({"payloads": "abc"}, "not one str"),
    "bytes": ({"payloads": b"abc"}, "not one bytes"),
    "a number": ({"payloads": 7}, "not one int"),
    "unknown handler": ({"handler": "nobody.knows"}, "unknown handler 'nobody.knows'"),
    "undeclared function": ({"handler": print}, "unknown handler 'print'"),
    "unknown queue": ({"queue": "nowhere"}, "unknown queue 'nowhere'"),
    "odd queue": ({"queue": "a\0b"}, "unknown queue"),
    "priority": ({"priority": "urgent"}, "priority: 'urgent' is not one of critical, high"),
    "priority number": ({"priority": 5}, "priority: 5"),
    "priority bool": ({"priority": True}, "priority: True"),
    "key that makes none": ({"key": "a"}, "key: a function that makes a payload's key, not 'a'"),
    "naive time": ({"run_at": NAIVE}, "run_at: .* no time zone"),
    "no time": ({"run_at": "tomorrow"}, "run_at: a datetime"),
    "too late a time": ({"run_at": datetime.max.replace(tzinfo=UTC)}, "run_at: "),
    "item's queue": (
        {"payloads": [1, JobSpec(2), JobSpec(3, queue="other")]},
        "item 2: queue 'other' found, 'tested' expected",
    ),
    "item's priority": ({"payloads": [JobSpec(2, priority="x")]}, "item 0: priority: 'x'"),
    "item's time": ({"payloads": [1, JobSpec(2, run_at=NAIVE)]}, "item 1: run_at: "),
    "failure mode": ({"failure_mode": "give up"}, "failure_mode: 'give up' is not one of"),
    "long name": ({"name": "x" * 201}, "name: text of at most 200"),
    "NUL in the name": ({"name": "a\0"}, "name: "),
    "surrogate in the name": ({"name": "\ud800"}, "name: "),
    "name is no text": ({"name": 7}, "name: "),
    "metadata is no object": ({"metadata": [1]}, "metadata: an object"),
    "chunk size 0": ({"chunk_size": 0}, "chunk_size: "),
    "chunk size bool": ({"chunk_size": True}, "chunk_size: "),
    "chunk size text": ({"chunk_size": "10"}, "chunk_size: "),
    "chunk size huge": ({"chunk_size": 10_001}, "chunk_size: "),
    "empty idempotency key": ({"idempotency_key": ""}, "idempotency_key: "),
    "long idempotency key": ({"idempotency_key": "k" * 201}, "idempotency_key: "),
    "odd idempotency key": ({"idempotency_key": "\0"}, "idempotency_key: "),
    "idempotency key is no text": ({"idempotency_key": 7}, "idempotency_key: "),
    "taken idempotency key": ({"idempotency_key": "taken"}, "other content"),
    "unique key is no text": ({"key": lambda payload: payload}, "item 0: key: "),
    "unique key is empty": ({"key": lambda payload: str(payload) if payload < 3 else ""}, "item 3: key: "),
    "unique key is too long": ({"key": lambda payload: "k" * 201}, "item 0: key: "),
    "unique key is odd": ({"key": lambda payload: "\ud800"}, "item 0: key: "),
    "callback": ({"callback": "nobody.knows"}, "unknown handler"),
    "open with keys": ({"open": True, "key": str}, "open: "),
    "open and split": ({"open": True, "split": True}, "open: "),
    "long author": ({"created_by": "x" * 151}, "created_by: "),
    "odd author": ({"created_by": "a\0"}, "created_by: "),
}


@pytest.mark.parametrize(("call", "why"), CALLS.values(), ids=CALLS)
def test_a_bad_batch(call: dict[str, Any], why: str) -> None:
    values = {"handler": "tested.do", "payloads": range(10), **call}
    with pytest.raises(EnqueueError, match=why):
        enqueue_batch(**values)


ONES: dict[str, tuple[dict[str, Any], str]] = {
    name: CALLS[name]
    for name in (
        "unknown handler",
        "undeclared function",
        "unknown queue",
        "odd queue",
        "priority",
        "priority number",
        "naive time",
        "no time",
        "too late a time",
    )
} | {
    "empty key": ({"key": ""}, "key: "),
    "long key": ({"key": "k" * 201}, "key: "),
    "odd key": ({"key": "\ud800"}, "key: "),
    "key is no text": ({"key": 7}, "key: "),
}


@pytest.mark.parametrize(("call", "why"), ONES.values(), ids=ONES)
def test_a_bad_single_job(call: dict[str, Any], why: str) -> None:
    with pytest.raises(EnqueueError, match=why):
        enqueue(**{"handler": "tested.do", "payload": 1, **call})


def test_a_bad_item_added_to_an_open_batch() -> None:
    batch = enqueue_batch("tested.do", [1], open=True)
    try:
        with pytest.raises(EnqueueError, match="item 2100"):
            add_jobs(batch, [*range(2_100), object()])
        batch.refresh_from_db()
        assert batch.total == 1
        with pytest.raises(EnqueueError, match="at least one job"):
            add_jobs(batch, [])
    finally:
        from queues.models import AuditEntry, Batch, Chunk, Job

        AuditEntry.objects.filter(target=f"batch {batch.pk}").delete()
        Job.objects.filter(batch=batch).delete()
        Chunk.objects.filter(batch=batch).delete()
        Batch.objects.filter(pk=batch.pk).delete()


def test_an_unknown_batch_is_not_open() -> None:
    with pytest.raises(EnqueueError, match="not open"):
        add_jobs(2**40, [1])


def test_a_key_function_that_fails_says_so_itself() -> None:
    def broken(payload: Any) -> str:
        raise LookupError

    with pytest.raises(LookupError):
        enqueue_batch("tested.do", [1], key=broken)


def test_the_largest_payloads_that_are_allowed() -> None:
    from queues.models import Chunk, Job

    good: list[Callable[[], Any]] = [
        lambda: "x" * (1024 * 1024 - 2),
        lambda: nested(64),
        lambda: 10**999,
        lambda: JsonText("1e1000"),
        lambda: JsonText('{"a":1,"b":1e-1000}'),
    ]
    jobs = [enqueue("tested.do", make()) for make in good]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(payload::text::jsonb) FROM queues_job WHERE id = ANY(%s)", [jobs])
        assert cursor.fetchone() == (5,)
    Chunk.objects.filter(first_id__in=jobs).delete()
    Job.objects.filter(pk__in=jobs).delete()
