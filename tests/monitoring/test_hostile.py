"""Hostile content on every page, and every page without any content.

The pages are those of the benchmark, which are made from the routes: a new route is walked without a word here.
"""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from monitoring.benchmarks import addresses
from monitoring.models import Moment
from queues.benchmarks.fill import Filled
from queues.models import (
    ArchivedJob,
    Attempt,
    AuditEntry,
    Batch,
    Chunk,
    DeadLetter,
    Job,
    JobResult,
    Operation,
    Queue,
    Recurring,
    Run,
    Worker,
)
from queues.services.archive import archive
from queues.services.enqueue import enqueue_batch
from queues.services.recurring import recurring
from tests.monitoring.worlds import a_worker
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db

# Few, since every page is walked with each of them; short, since most fields are.
ATTACKS = {
    "markup": (
        "<script>alert(1)</script><img src=x onerror=alert(1)>"
        '" onmouseover="alert(1)" style=\'color:red\' {{ 7|add:7 }}{% debug %}'
    ),
    "unseen": (
        "\u202egnp.exe\u2066\u200f\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b31m\x08\x0c"
        "\\u0000 \\x00 %00 👩\u200d👦\U000e0067\U000e007f"
    ),
    "long": "x" * 4_000 + " one two" * 12_000,
}
# Controls but tab and newline, what reorders the text around it, and what is not seen at all.
UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\U000e0020-\U000e007f]")
LONGEST = 700_000
FIGURES = ("waiting", "oldest", "running", "slots", "dead", "pending", "workers")


def world(attack: str) -> tuple[Batch, Batch, Batch]:
    """Batches that have failed, wait and are archived."""
    make_queue(max_attempts=1, keep_results=600.0)
    make_queue("done")
    payload = {"fail": attack[:2_000], attack[:200]: [attack[:2_000]]}
    archived = enqueue_batch("tested.do", [{"value": attack}], queue="done", name=attack[:200])
    drain("done")
    archive()
    failed = enqueue_batch("tested.do", [payload, {"value": attack[:2_000]}], queue="tested", name=attack[:200])
    drain()
    waiting = enqueue_batch("tested.do", [payload] * 3, queue="tested", name=attack[:200], metadata={"a": attack[:500]})
    enqueue_batch("tested.do", [payload], queue="tested", name="in hand", priority="critical")
    return failed, waiting, archived


def spoil(attack: str, failed: Batch, waiting: Batch, archived: Batch) -> Filled:
    """Each text that somebody can write, overwritten."""
    worker = a_worker(name=attack[:200], host=attack[:200], version=attack[:40], commanded_by=attack[:150])
    now = timezone.now()
    Batch.objects.update(created_by=attack[:150], pause_reason=attack[:300], metadata={attack[:60]: attack})
    DeadLetter.objects.update(message=attack, error_class=attack[:200], handler=attack[:200])
    Attempt.objects.update(message=attack, traceback=attack, error_class=attack[:200])
    Queue.objects.update(pause_reason=attack[:300], paused_by=attack[:150], paused_at=now)
    Queue.objects.update(hint_error=attack[:300], hint_failures=5, hint_failed_at=now)
    Run.objects.update(handler=attack[:200])
    Operation.objects.create(
        action="retry", selection={"batch": failed.pk}, actor=attack[:150], source="page", reason=attack[:300]
    )
    AuditEntry.objects.create(
        actor=attack[:150],
        source="page",
        action="pause",
        target=attack[:200],
        reason=attack[:300],
        outcome={"a": attack},
    )
    recurring("spoiled", "tested.do", [{"n": 1}], every=3_600)
    Recurring.objects.update(name=attack[:200], source=attack[:200], handler=attack[:200], last_error=attack[:500])
    Moment.objects.create(minute=now, problems=[["archive", attack[:200], attack]], **dict.fromkeys(FIGURES, 1))
    letter = DeadLetter.objects.get()
    assert Worker.objects.count() == 1
    assert JobResult.objects.exists()
    return Filled(
        queue="tested",
        worker=str(worker.pk),
        batch_waiting=waiting.pk,
        batch_done=archived.pk,
        batch_dead=failed.pk,
        job_waiting=Job.objects.filter(batch=waiting).earliest("pk").pk,
        job_archived=ArchivedJob.objects.get().pk,
        job_dead=letter.pk,
        cause=letter.fingerprint,
        facts={},
    )


class Reader(HTMLParser):
    """Reads a page as a browser does, and keeps what could do harm."""

    def __init__(self) -> None:
        super().__init__()
        self.harm: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        scripts = tag == "script" and not str(names.get("src", "")).startswith("/static/")
        acts = [name for name in names if name.startswith(("on", "hx-on")) or name == "style"]
        leads = [str(value) for name, value in attrs if name in ("href", "src", "action") and "script:" in str(value)]
        if scripts or acts or leads or tag in ("img", "style", "iframe", "object", "base"):
            self.harm.append(f"<{tag} {attrs}>")


def harmless(html: str, url: str) -> None:
    reader = Reader()
    reader.feed(html)
    assert reader.harm == [], url
    unseen = UNSEEN.search(html)
    assert unseen is None, (url, ascii(html[max(0, unseen.start() - 80) : unseen.end() + 20]))
    assert len(html) < LONGEST, (url, len(html))


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_content_is_harmless_on_every_page(name: str, signed_in: Callable[[str], Client]) -> None:
    attack, operator = ATTACKS[name], signed_in("operator")
    batches = world(attack)
    with leased(want=1):
        filled = spoil(attack, *batches)
        for address in addresses.all_of(filled):
            response = operator.get(address.url)
            # A cancelled batch cannot be cancelled, and the like: a page that says so, or the way back.
            assert response.status_code in (200, 302, 404, 409), (address.url, response.status_code)
            if response.get("Content-Type", "").startswith("text/html"):
                harmless(response.getvalue().decode(), address.url)


@pytest.mark.parametrize("name", ATTACKS)
def test_hostile_filters_are_harmless_on_every_page(name: str, signed_in: Callable[[str], Client]) -> None:
    viewer, attack = signed_in("viewer"), ATTACKS[name]
    known = (
        "queue",
        "name",
        "state",
        "batch",
        "cause",
        "error",
        "payload",
        "handler",
        "q",
        "window",
        "subject",
        "next",
    )
    more = ("actor", "action", "target", "worker", "outcome", "within", "until", "since", "before", "after", "in", "at")
    for address in addresses.all_of(empty()):
        path = address.url.partition("?")[0]
        if "?" in address.name or path in ("/logout/",):
            continue
        response = viewer.get(path, dict.fromkeys((*known, *more), attack[:300]), follow=True)
        assert response.status_code in (200, 400, 403, 404), (path, response.status_code)
        if response.get("Content-Type", "").startswith("text/html"):
            harmless(response.getvalue().decode(), path)


def empty() -> Filled:
    return Filled("none", str(uuid4()), 1, 2, 3, 1, 2, 3, "0" * 16, {})


def test_every_route_is_walked() -> None:
    assert addresses.without_example() == []


def test_every_page_answers_on_an_empty_database(signed_in: Callable[[str], Client]) -> None:
    operator = signed_in("operator")
    assert not Chunk.objects.exists()
    for address in addresses.all_of(empty()):
        response = operator.get(address.url)
        # What is asked for by its number is not there; everything else is, and says what to do next.
        single = any(character.isdigit() for character in address.url.partition("?")[0]) or "/none/" in address.url
        expected = (404,) if single else (200, 302, 404) if address.route == "panel" else (200, 302)
        assert response.status_code in expected, (address.url, response.status_code)


def test_lists_are_there_without_a_row(signed_in: Callable[[str], Client]) -> None:
    viewer = signed_in("viewer")
    for path in (
        "/",
        "/batches/",
        "/jobs/",
        "/dead-letters/",
        "/queues/",
        "/workers/",
        "/runs/",
        "/archive/",
        "/activity/",
    ):
        response = viewer.get(path)
        assert response.status_code == 200, path
        assert 'class="empty"' in response.content.decode(), path
