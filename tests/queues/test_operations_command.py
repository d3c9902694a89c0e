"""`manage.py operate`, and what a preview says before it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from queues.models import AuditEntry, DeadLetter, Job, Operation
from queues.services import operate
from queues.services.cancel import cancel_batch
from queues.services.enqueue import enqueue_batch
from queues.services.preview import preview
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


def mixed() -> int:
    """A batch with two dead, three cancelled, ten waiting of which five are leased when asked for."""
    make_queue(max_attempts=1, chunk_size=5)
    batch = enqueue_batch("tested.do", [{"die": n} for n in range(2)] + [{}] * 3)
    drain()
    return int(batch.first_job_id or 0)


def test_a_preview_counts_by_reason_and_writes_nothing() -> None:
    first = mixed()
    found = preview(action="retry", selection={"job_ids": [*range(first, first + 5), 2**40]})
    assert (found.total, found.eligible, found.exact) == (6, 2, True)
    assert found.not_eligible == {"it has succeeded": 3, "not there any more": 1}
    assert found.command.startswith(f"manage.py operate retry --job {first} --job {first + 1}")
    waiting = enqueue_batch("tested.do", [{}] * 15)
    with leased(want=5):
        found = preview(action="cancel", selection={"state": "pending", "batch": waiting.pk})
    assert (found.total, found.eligible) == (15, 10)
    assert found.not_eligible == {"running now: left alone": 5}
    assert found.command == f"manage.py operate cancel --state pending --batch {waiting.pk}"
    found = preview(action="priority", selection={"queue": "tested"}, options={"priority": "normal"})
    assert found.command == "manage.py operate priority --to normal --queue tested"
    assert (Operation.objects.count(), AuditEntry.deeds().count()) == (0, 0)


@pytest.mark.parametrize("state", ["waiting", "scheduled", "retrying", "held", "pending"])
def test_a_preview_and_the_operation_mean_the_same(state: str) -> None:
    make_queue(chunk_size=5, backoff_base=3_600)
    enqueue_batch("tested.do", [{"fail": 1}] * 3)
    drain()
    first = enqueue_batch("tested.do", [{}] * 7)
    enqueue_batch("tested.do", [{}] * 11, run_at=timezone.now() + timedelta(hours=1))
    enqueue_batch("tested.do", [{}] * 4, after=[first])
    found = preview(action="cancel", selection={"state": state, "queue": "tested"})
    expected = {"waiting": 7, "scheduled": 11, "retrying": 3, "held": 4, "pending": 25}[state]
    assert (found.total, found.eligible) == (expected, expected)
    enqueue_batch("tested.do", [{}])
    operation = operate.start(action="cancel", selection=found.selection, actor="a", source="api")
    assert operation.outcomes == {"cancelled": expected}
    assert_sound()


@pytest.mark.parametrize("given", [{"all": True}, {"queue": "tested"}, {"handler": "tested.do"}, {"batch": 0}])
def test_a_preview_of_cancelled_jobs_and_their_retry_mean_the_same(given: dict[str, Any]) -> None:
    make_queue(chunk_size=5, archive_after=3_600)
    make_queue("other")
    batch = enqueue_batch("tested.do", [{}] * 12)
    first = batch.first_job_id or 0
    given = given | ({"batch": batch.pk} if "batch" in given else {})
    operate.start(action="cancel", selection={"job_ids": [first, first + 6]}, actor="a", source="api")
    # One chunk has ended with a cancelled job, one goes on with another, and these were cancelled as a whole.
    drain(runs=1, want=5)
    whole, elsewhere = (enqueue_batch("tested.do", [{}] * 7, queue=name) for name in ("tested", "other"))
    for one in (whole, elsewhere):
        cancel_batch(batch_id=one.pk, actor="a", source="api")
    stopping = enqueue_batch("tested.do", [{}] * 4, priority="critical", chunk_size=2)
    with leased(want=2):
        cancel_batch(batch_id=stopping.pk, actor="a", source="api")
        found = preview(action="retry", selection={**given, "state": "cancelled"})
        expected = 2 if "batch" in given else 9 if "queue" in given else 16
        refused = {} if "batch" in given else {"its batch is stopping": 2}
        assert (found.eligible, found.not_eligible, found.exact) == (expected, refused, True)
        # What is cancelled as a whole after the question was asked is not meant.
        late = enqueue_batch("tested.do", [{}] * 3)
        cancel_batch(batch_id=late.pk, actor="a", source="api")
        operation = operate.start(action="retry", selection=found.selection, actor="a", source="api")
    assert operation.outcomes == {"retried": expected, **refused}
    assert found.command.startswith("manage.py operate retry --")
    assert "--state cancelled" in found.command
    assert_sound()


def test_cancelled_jobs_are_retried_by_the_command() -> None:
    make_queue(archive_after=3_600)
    batch = enqueue_batch("tested.do", [{}] * 6)
    cancel_batch(batch_id=batch.pk, actor="a", source="api")
    told = command("operate", "retry", "--state", "cancelled", "--queue", "tested", "--dry-run", "--json").document
    assert (told["total"], told["eligible"], told["exact"]) == (6, 6, True)
    done = command("operate", "retry", "--state", "cancelled", "--batch", batch.pk, "--yes", "--json").document
    assert done["outcomes"] == {"retried": 6}
    refused = command("operate", "cancel", "--state", "cancelled", "--all", "--yes")
    assert (refused.code, "cancelled jobs can be retried" in refused.err) == (1, True)


def test_the_command_tells_asks_and_does() -> None:
    first = mixed()
    asked = command("operate", "retry", "--queue", "tested")
    assert (asked.code, "Retry 2 jobs? Nobody can answer here: add --yes." in asked.err) == (2, True)
    told = command("operate", "retry", "--queue", "tested", "--dry-run", "--json").document
    assert (told["total"], told["eligible"], told["not_eligible"]) == (2, 2, {})
    assert "Retry 2 of 3 jobs" in command("operate", "retry", *_named(first, 3), "--dry-run").out
    assert Operation.objects.count() == 0
    done = command("operate", "retry", "--queue", "tested", "--reason", "disk is back", "--yes", "--json").document
    assert (done["state"], done["outcomes"]) == ("done", {"retried": 2})
    assert AuditEntry.deeds().get().reason == "disk is back"
    assert command("operate", "priority", "--to", "high", *_named(first, 2), "--yes").code == 0
    assert Job.objects.get(pk=first).chunk.priority == 1
    gone = command("operate", "delete", "--state", "pending", "--queue", "tested", "--yes", "--json").document
    assert gone["changed"] == 2
    back = command("operate", "restore", "--operation", gone["operation"], "--yes")
    assert "2 restored" in back.out
    assert_sound()


def test_a_large_number_is_typed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queues.management.commands.operate.TYPED_ABOVE", 1)
    mixed()
    for typed in (b"y\n", b"3\n", b"\n"):
        assert command("operate", "delete", "--queue", "tested", stdin=typed, tty=True).code == 1
    assert DeadLetter.objects.count() == 2
    assert command("operate", "delete", "--queue", "tested", stdin=b"2\n", tty=True).code == 0
    assert DeadLetter.objects.count() == 0


def test_the_command_waits_for_what_it_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 3)
    make_queue(chunk_size=5)
    batch = enqueue_batch("tested.do", [{}] * 10)
    begun = command("operate", "delete", "--state", "pending", "--batch", batch.pk, "--yes")
    assert "goes on in the background: 0 of 10 done" in begun.out
    operate.cancel_operation(operation_id=Operation.objects.get().pk)
    done = command("operate", "cancel", "--batch", batch.pk, "--yes", "--wait", "--json").document
    assert (done["state"], done["changed"]) == ("done", 10)
    assert_sound()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("cancel",), 2, "name jobs with --job, or give a filter, or --all"),
        (("cancel", "--all", "--queue", "a"), 2, "--all stands alone"),
        (("cancel", "--job", "1", "--queue", "a"), 2, "--job stands alone"),
        (("priority", "--all"), 2, "name the new priority"),
        (("cancel", "--all", "--to", "x"), 2, "cancel needs none"),
        (("priority", "--all", "--to", "urgent"), 1, "is not one of"),
        (("cancel", "--queue", "nobody"), 1, "no job matches"),
        (("cancel", "--cause", "x"), 1, "some of"),
    ],
)
def test_the_command_refuses(arguments: tuple[Any, ...], code: int, said: str) -> None:
    make_queue()
    answer = command("operate", *arguments, "--yes")
    assert (answer.code, said in answer.err) == (code, True), answer
    assert Operation.objects.count() == 0


def _named(first: int, count: int) -> list[Any]:
    return [word for job in range(first, first + count) for word in ("--job", job)]


def test_the_command_stops_an_operation() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [{}] * 3)
    begun = operate.begin("cancel", {"batch": batch.pk, "state": "pending"}, "ann", "api", "")
    words = ("operate", "stop", "--operation", begun.pk, "--reason", "not tonight")
    assert f"Stop operation {begun.pk}, with 0 of 3 jobs done?" in command(*words).err
    done = command(*words, "--yes", "--json")
    assert done.document["state"] == "cancelled"
    begun.refresh_from_db()
    assert (begun.state, begun.changed) == ("cancelled", 0)
    entry = AuditEntry.objects.get(action="stop operation")
    assert (entry.target, entry.reason, entry.source) == (f"operation {begun.pk}", "not tonight", "command")
    again = command(*words, "--yes")
    assert (again.code, f"operation {begun.pk} is cancelled already" in again.err) == (1, True)
    assert "unknown operation 4711" in command("operate", "stop", "--operation", 4711, "--yes").err
    for wrong in (("operate", "stop"), ("operate", "stop", "--operation", 1, "--queue", "x")):
        assert command(*wrong, "--yes").code == 2
