"""One verb for several batches: guarded by the state of each, one operation, an entry for each, and an undo."""

from datetime import timedelta
from typing import Any

import pytest

from queues.domain.batch_deeds import BatchAction, Facts, why_not
from queues.domain.states import BatchState
from queues.models import AuditEntry, Batch, DeadLetter, Operation, OperationItem
from queues.selectors import operations
from queues.selectors.batch_trash import in_trash
from queues.services import delete, operate, operate_batches
from queues.services.batch_pause import pause_batch
from queues.services.enqueue import enqueue_batch
from queues.services.operate import OperationRefused, undo
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db
ANN = {"actor": "ann", "source": "api"}


def ended(*, die: int = 0) -> Batch:
    """A batch that has been worked through."""
    batch = enqueue_batch("tested.do", [{}] * 2 + [{"die": 1}] * die)
    drain()
    batch.refresh_from_db()
    return batch


def waiting(size: int = 3) -> Batch:
    """A batch that nobody works on."""
    return enqueue_batch("tested.do", [{}] * size)


def do(deed: str, *batches: Batch, **more: Any) -> Operation:
    """Ann does it."""
    return operate_batches.start(action=f"{deed}_batches", batches=[batch.pk for batch in batches], **ANN, **more)


def states(*batches: Batch) -> list[str]:
    return [Batch.objects.get(pk=batch.pk).state for batch in batches]


def test_three_of_five_are_cancelled() -> None:
    make_queue()
    done, over = ended(), ended()
    going = [waiting() for _ in range(3)]
    found = operate_batches.preview(action="cancel_batches", batches=[b.pk for b in (done, over, *going)])
    assert (found.eligible, found.not_eligible, found.jobs) == ([b.pk for b in going], {"it has ended": 2}, 9)
    assert Operation.objects.count() == 0
    operation = do("cancel", done, over, *going, reason="wrong file")
    assert (operation.state, operation.total, operation.changed, operation.skipped) == ("done", 5, 3, 2)
    assert operation.outcomes == {"it has ended": 2, "cancelled": 3}
    assert states(done, over, *going) == ["completed"] * 2 + ["cancelled"] * 3
    one = AuditEntry.objects.filter(action="cancel batch").order_by("pk")
    assert [(e.target, e.reason, e.outcome["bulk"]) for e in one] == [
        (f"batch {b.pk}", "wrong file", operation.pk) for b in going
    ]
    whole = AuditEntry.objects.get(action="cancel batches")
    assert (whole.outcome["operation"], whole.outcome["outcomes"]) == (operation.pk, operation.outcomes)
    assert (whole.target, whole.outcome["state"]) == ("5 batches", "done")
    assert_sound()


def test_batches_are_paused_and_resumed() -> None:
    make_queue()
    over, first, second = ended(), waiting(), waiting()
    pause_batch(batch_id=second.pk, **ANN)
    assert do("pause", first, second, over).outcomes == {"paused": 1, "it is paused already": 1, "it has ended": 1}
    drain()
    assert states(first, second) == ["running", "running"]
    assert do("resume", first, second, over).outcomes == {"resumed": 2, "it has ended": 1}
    assert do("resume", first).outcomes == {"it is not paused": 1}
    drain()
    assert states(first, second) == ["completed", "completed"]
    assert_sound()


def test_what_failed_of_batches_is_retried() -> None:
    make_queue(max_attempts=1)
    first, second, whole = ended(die=2), ended(die=1), ended()
    found = operate_batches.preview(action="retry_batches", batches=[first.pk, second.pk, whole.pk])
    assert (found.jobs, found.not_eligible) == (3, {"nothing of it is dead": 1})
    operation = do("retry", first, second, whole)
    assert operation.outcomes == {"retried": 2, "nothing of it is dead": 1}
    assert DeadLetter.objects.count() == 0
    assert states(first, second, whole) == ["running", "running", "completed"]
    begun = Operation.objects.filter(action="retry_dead").order_by("pk")
    assert operation.options["operations"] == {str(first.pk): begun[0].pk, str(second.pk): begun[1].pk}
    assert {e.outcome["bulk"] for e in AuditEntry.objects.filter(action="retry dead letters")} == {operation.pk}
    assert_sound()


def test_deleted_batches_lie_in_the_trash_and_one_undo_brings_all_back() -> None:
    make_queue(max_attempts=1)
    first, second, going = ended(die=1), ended(), waiting()
    delete.delete_batch(batch_id=second.pk, keep=timedelta(hours=1), actor="bob", source="api")
    third = Batch.objects.get(pk=ended_after(going).pk)
    operation = do("delete", first, second, third, going)
    assert operation.outcomes == {
        "deleted": 2,
        "it is in the trash": 1,
        "jobs of it run or wait: cancel it first": 1,
    }
    assert all(in_trash(batch.pk) for batch in (first, second, third))
    back = undo(operation_id=operation.pk, **ANN)
    assert (back.action, back.state, back.outcomes) == ("restore_batches", "done", {"restored": 2})
    # Not what somebody else has deleted.
    assert (in_trash(first.pk), bool(in_trash(second.pk)), in_trash(third.pk)) == (None, True, None)
    with pytest.raises(OperationRefused, match="nothing of it is in the trash"):
        undo(operation_id=operation.pk, **ANN)
    assert AuditEntry.objects.filter(action="restore batch", outcome__bulk=back.pk).count() == 2
    assert_sound()


def ended_after(other: Batch) -> Batch:
    """One more batch that has ended, while another one waits."""
    pause_batch(batch_id=other.pk, **ANN)
    return ended()


def test_an_undo_leaves_alone_what_was_deleted_once_more() -> None:
    make_queue()
    first, second = ended(), ended()
    operation = do("delete", first, second)
    delete.restore_batch(batch_id=first.pk, actor="bob", source="api")
    delete.delete_batch(batch_id=first.pk, keep=timedelta(hours=1), actor="bob", source="api")
    back = undo(operation_id=operation.pk, **ANN)
    assert back.outcomes == {"restored": 1, "refused, each for a reason of its own": 1}
    assert operations.left_alone(back.pk) == [
        (first.pk, f"batch {first.pk} was deleted once more, by another operation")
    ]
    assert in_trash(first.pk)


def test_what_the_service_refuses_is_told_in_its_own_words() -> None:
    make_queue()
    first = ended()
    waits = enqueue_batch("tested.do", [{}], after=[first, waiting()])
    found = operate_batches.preview(action="delete_batches", batches=[first.pk])
    said = f"batch {waits.pk} waits for batch {first.pk}"
    assert (found.eligible, found.not_eligible) == ([], {said: 1})
    operation = do("delete", first)
    assert operation.outcomes == {"refused, each for a reason of its own": 1}
    assert operations.left_alone(operation.pk) == [(first.pk, said)]
    assert not Operation.objects.filter(action="delete_batch").exists()


def test_a_round_that_dies_has_done_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    first, second = waiting(), waiting()
    made = operate_batches.make
    calls: list[list[int]] = []

    def dies_second(operation: Operation, batches: list[int], touched: set[int]) -> Any:
        outcome = made(operation, batches, touched)
        calls.append(batches)
        if len(calls) == 2:
            raise RuntimeError("gone")
        return outcome

    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(operate_batches, "make", dies_second)
        do("cancel", first, second)
    operation = Operation.objects.get()
    assert (operation.state, operation.changed) == ("running", 1)
    assert states(first, second) == ["cancelled", "running"]
    assert AuditEntry.objects.filter(action="cancel batch").count() == 1
    while operate.advance_all():
        pass
    operation.refresh_from_db()
    assert (operation.state, operation.outcomes) == ("done", {"cancelled": 2})
    assert AuditEntry.objects.filter(action="cancel batch").count() == 2
    assert_sound()


def test_a_deletion_of_batches_is_undone_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 3)
    make_queue()
    batches = [ended() for _ in range(4)]
    operation = do("delete", *batches)
    assert (operation.state, operation.changed) == ("running", 0)
    for _ in range(2):
        assert operate.advance(operation_id=operation.pk)
    assert [bool(in_trash(b.pk)) for b in batches] == [True, True, False, False]
    back = undo(operation_id=operation.pk, **ANN)
    operation.refresh_from_db()
    assert (operation.state, operation.changed, back.outcomes) == ("cancelled", 2, {"restored": 2})
    assert not any(in_trash(b.pk) for b in batches)
    assert not operate.advance(operation_id=operation.pk)
    assert_sound()


def test_a_reason_for_each_state() -> None:
    going, over = Facts(BatchState.RUNNING), Facts(BatchState.PARTIAL, dead=2)
    stopping = Facts(BatchState.RUNNING, stopping=True, dead=1)
    trashed = Facts(BatchState.COMPLETED, trashed=True, dead=1)
    part = Facts(BatchState.RUNNING, part=True)
    expected = {
        BatchAction.CANCEL: ("", "it has ended", "it is stopping", "it is in the trash", ""),
        BatchAction.PAUSE: ("", "it has ended", "it is stopping", "it is in the trash", PART),
        BatchAction.RESUME: ("it is not paused", "it has ended", "it is stopping", "it is in the trash", PART),
        BatchAction.RETRY: (NOTHING, "", "it is stopping", "it is in the trash", NOTHING),
        BatchAction.DELETE: (RUNS, "", RUNS, "it is in the trash", PART),
        BatchAction.RESTORE: (OUT, OUT, OUT, "", OUT),
    }
    for action, reasons in expected.items():
        found = tuple(why_not(action, facts) for facts in (going, over, stopping, trashed, part))
        assert found == reasons, action
        assert why_not(action, None) == "not there any more"
        assert all(len(why) <= 40 for why in found)


PART, NOTHING = "it is a part: do it with its parent", "nothing of it is dead"
RUNS, OUT = "jobs of it run or wait: cancel it first", "it is not in the trash any more"


@pytest.mark.parametrize(
    ("action", "batches", "said"),
    [
        ("explode_batches", [1], "an action on batches"),
        ("cancel", [1], "an action on batches"),
        ("cancel_batches", [], "no batch is named"),
        ("cancel_batches", list(range(1, 1_002)), "1,001 batches; at most 1,000"),
        ("cancel_batches", [0], "numbers from 1"),
        ("cancel_batches", ["x"], "their numbers, are needed"),
    ],
)
def test_refusals_write_nothing(action: str, batches: list[Any], said: str) -> None:
    for ask in (operate_batches.preview, lambda **given: operate_batches.start(**given, **ANN)):
        with pytest.raises(OperationRefused, match=said):
            ask(action=action, batches=batches)
    assert (Operation.objects.count(), OperationItem.objects.count(), AuditEntry.objects.count()) == (0, 0, 0)


def test_the_command_tells_does_and_undoes() -> None:
    make_queue()
    over, going = ended(), waiting()
    words = ("operate", "delete_batches", "--batches", over.pk, going.pk)
    assert command(*words, "--dry-run", "--json").document["eligible"] == [over.pk]
    assert "Delete 1 of 2 batches, with 2 jobs?" in command(*words).err
    assert Operation.objects.count() == 0
    done = command(*words, "--yes", "--json").document
    assert done["outcomes"] == {"deleted": 1, "jobs of it run or wait: cancel it first": 1}
    row = operations.operation(done["operation"])
    assert row is not None
    assert row.command == f"manage.py operate delete_batches --batches {over.pk} {going.pk}"
    assert "1 restored" in command("operate", "undo", "--operation", done["operation"], "--yes").out
    assert in_trash(over.pk) is None
    for wrong, said in (
        (("operate", "cancel_batches", "--batches", "1", "--queue", "x"), "--queue says nothing here"),
        (("operate", "cancel", "--batches", "1"), "--batches is for the actions on batches"),
        (("operate", "undo"), "name the operation"),
    ):
        answer = command(*wrong, "--yes")
        assert (answer.code, said in answer.err) == (2, True), answer
    assert command("operate", "cancel_batches", "--yes").code == 1


def test_the_command_has_the_number_of_many_jobs_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queues.management.commands.operate.TYPED_ABOVE", 4)
    make_queue()
    batch = waiting(5)
    words = ("operate", "cancel_batches", "--batches", batch.pk)
    wrong = command(*words, stdin=b"y\n", tty=True)
    assert "Cancel 1 of 1 batches, with 5 jobs? Type the number of jobs to confirm: " in wrong.err
    assert (wrong.code, "nothing was changed" in wrong.err, states(batch)) == (1, True, ["running"])
    # Without a terminal nobody can type it.
    assert command(*words).code == 2
    assert (command(*words, stdin=b"5\n", tty=True).code, states(batch)) == (0, ["cancelled"])
    few = waiting(4)
    assert (command(*words[:3], few.pk, stdin=b"y\n", tty=True).code, states(few)) == (0, ["cancelled"])


def test_one_batch_alone_has_one_entry() -> None:
    make_queue()
    batch = waiting()
    operation = do("pause", batch, reason="prices")
    entry = AuditEntry.deeds().get()
    assert (entry.action, entry.reason, entry.outcome["bulk"]) == ("pause batch", "prices", operation.pk)
    assert operation.audit_id is None


def test_only_doubtful_batches_are_looked_at_one_by_one(django_assert_max_num_queries: Any) -> None:
    make_queue()
    batches = [ended() for _ in range(12)]
    waits = enqueue_batch("tested.do", [{}], after=[batches[3], waiting()])
    named = [batch.pk for batch in batches]
    with django_assert_max_num_queries(20):
        found = operate_batches.preview(action="delete_batches", batches=named)
    assert (len(found.eligible), found.not_eligible) == (11, {f"batch {waits.pk} waits for batch {batches[3].pk}": 1})


def test_retries_of_many_batches_take_no_longer_than_a_request_may(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(max_attempts=1)
    first, second = ended(die=1), ended(die=1)
    monkeypatch.setattr(operate, "BATCHES_SECONDS", -1.0)
    operation = do("retry", first, second)
    # One round is made; what it began is left to the background, and so is the rest.
    assert (operation.state, operation.changed, DeadLetter.objects.count()) == ("running", 1, 2)
    while operate.advance_all():
        pass
    assert DeadLetter.objects.count() == 0
    assert_sound()
