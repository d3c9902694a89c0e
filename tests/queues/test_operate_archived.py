"""Restoring all archived jobs that match: frozen, bounded, in rounds, and with a reason for each that stays."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from queues.models import ArchivedJob, AuditEntry, Batch, Chunk, Job, Operation, OperationItem
from queues.selectors import operations
from queues.services import delete, operate
from queues.services.archive import archive
from queues.services.enqueue import enqueue, enqueue_batch
from queues.services.operate import OperationRefused, advance, advance_all, cancel_operation, start
from queues.services.preview import preview
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


def archived(name: str = "tested", *, succeed: int = 0, die: int = 0) -> Batch:
    """A batch whose jobs are all in the archive."""
    batch = enqueue_batch("tested.do", [{}] * succeed + [{"die": 1}] * die, queue=name)
    drain(name)
    archive()
    batch.refresh_from_db()
    return batch


def world() -> tuple[Batch, Batch]:
    """Six jobs of one queue, two of them dead, and three of another one."""
    for name in ("tested", "other"):
        make_queue(name, max_attempts=1, chunk_size=3, archive_dead_after=0)
    return archived(succeed=4, die=2), archived("other", succeed=3)


def do(selection: dict[str, Any]) -> Operation:
    """Ann restores."""
    return start(action="unarchive", selection=selection, actor="ann", source="api", reason="once more")


def test_all_of_a_filter_run_again_and_are_archived_again() -> None:
    first, second = world()
    operation = do({"queue": "tested", "outcome": "succeeded"})
    assert (operation.state, operation.total, operation.outcomes) == ("done", 4, {"restored": 4})
    assert Job.objects.filter(batch=first, chunk__state="ready").count() == 4
    assert ArchivedJob.objects.count() == 5
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.succeeded, second.state) == ("running", None, "completed")
    entry = AuditEntry.objects.get(action="restore archived jobs")
    assert (entry.actor, entry.reason, entry.outcome["outcomes"]) == ("ann", "once more", {"restored": 4})
    assert (entry.target, entry.outcome["state"]) == ("archived, outcome succeeded, queue tested", "done")
    assert_sound()
    drain()
    first.refresh_from_db()
    assert (first.state, first.succeeded, first.dead) == ("partial", 4, 2)
    assert archive() == 4
    assert ArchivedJob.objects.count() == 9
    assert_sound()


@pytest.mark.parametrize(
    ("filters", "jobs"),
    [
        ({"all": True}, 9),
        ({"outcome": "dead"}, 2),
        ({"queue": "other"}, 3),
        ({"handler": "tested.do"}, 9),
        ({"handler": "tested.other"}, 0),
        ({"since": (timezone.now() - timedelta(days=1)).isoformat()}, 9),
        ({"since": (timezone.now() + timedelta(days=1)).isoformat()}, 0),
        ({"before": (timezone.now() - timedelta(days=1)).isoformat(), "queue": "tested"}, 0),
    ],
)
def test_a_preview_and_the_operation_mean_the_same(filters: dict[str, Any], jobs: int) -> None:
    world()
    found = preview(action="unarchive", selection=filters)
    assert (found.total, found.eligible, found.exact, found.not_eligible) == (jobs, jobs, True, {})
    assert Operation.objects.count() == 0
    if jobs:
        assert do(found.selection).outcomes == {"restored": jobs}
        assert_sound()


def test_what_is_archived_after_the_question_is_not_meant() -> None:
    world()
    found = preview(action="unarchive", selection={"queue": "tested"})
    later = archived(succeed=2)
    assert do(found.selection).total == 6
    assert ArchivedJob.objects.filter(batch_id=later.pk).count() == 2
    assert_sound()


def test_each_that_cannot_be_restored_has_its_reason() -> None:
    world()
    stopping, trashed, gone, sound = (archived(succeed=2) for _ in range(4))
    single = enqueue("tested.do", {})
    drain()
    archive()
    Batch.objects.filter(pk=stopping.pk).update(
        state="running", stop_reason="cancelled", finished_at=None, succeeded=None, dead=None, cancelled=None
    )
    delete.delete_batch(batch_id=trashed.pk, actor="bob", source="api", keep=timedelta(hours=1))
    ArchivedJob.objects.filter(batch_id=gone.pk).update(batch_id=2**40)
    found = preview(action="unarchive", selection={"queue": "tested"})
    assert found.total == 6 + 8 + 1
    assert found.not_eligible == {"its batch is stopping": 2, "its batch is in the trash": 2}
    operation = do(found.selection)
    assert operation.outcomes == {
        "restored": 6 + 2 + 1,
        "its batch is stopping": 2,
        "its batch is in the trash": 2,
        "its batch is not there any more": 2,
    }
    assert (operation.changed, operation.skipped) == (9, 6)
    assert Job.objects.filter(pk=single).exists()
    assert delete.deleted(trashed.pk)
    left = operations.left_alone(operation.pk)
    assert [why for _job, why in left].count("its batch is in the trash") == 2
    sound.refresh_from_db()
    assert sound.state == "running"


def test_jobs_that_others_restore_or_purge_meanwhile_are_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 1)
    first, _second = world()
    operation = do({"queue": "tested"})
    assert operation.state == "running"
    jobs = list(ArchivedJob.objects.filter(batch_id=first.pk).order_by("pk").values_list("pk", flat=True))
    ArchivedJob.objects.filter(pk=jobs[0]).delete()
    advance_all()
    operation.refresh_from_db()
    assert operation.outcomes == {"restored": 5, "no longer in the archive": 1}
    assert operation.state == "done"


def test_rounds_can_be_stopped_and_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 1)
    monkeypatch.setattr(operate, "ROUND", 2)
    world()
    operation = do({"queue": "tested"})
    assert advance(operation_id=operation.pk)
    operation.refresh_from_db()
    assert (operation.changed, Job.objects.count(), ArchivedJob.objects.count()) == (2, 2, 7)
    assert_sound()
    assert cancel_operation(operation_id=operation.pk, actor="bob", source="api")
    assert not advance(operation_id=operation.pk)
    assert ArchivedJob.objects.count() == 7
    again = do({"queue": "tested"})
    advance_all()
    again.refresh_from_db()
    assert (again.state, again.outcomes) == ("done", {"restored": 4})
    assert_sound()


def test_jobs_of_a_paused_batch_come_back_held() -> None:
    first, _second = world()
    Batch.objects.filter(pk=first.pk).update(paused_at=timezone.now(), paused_by="bob")
    do({"batch": first.pk})
    assert set(Chunk.objects.filter(job__isnull=False).values_list("state", "held_why")) == {("held", "paused")}


@pytest.mark.parametrize(
    ("action", "selection", "said"),
    [
        ("unarchive", {"queue": "tested", "state": "dead"}, "archived jobs can be restored"),
        ("cancel", {"state": "archived", "all": True}, "archived jobs can be restored"),
        ("restore", {"state": "archived", "all": True}, "archived jobs can be restored"),
        ("unarchive", {"outcome": "exploded"}, "outcome: 'exploded' is not one of succeeded"),
        ("unarchive", {"fingerprint": "x"}, "some of batch, before"),
        ("unarchive", {"before": "yesterday"}, "before is a time"),
        ("unarchive", {"queue": "nobody"}, "no job matches"),
        ("unarchive", {"job_ids": [2**40]}, "no job matches"),
    ],
)
def test_refusals_write_nothing(action: str, selection: dict[str, Any], said: str) -> None:
    world()
    with pytest.raises(OperationRefused, match=said):
        start(action=action, selection=selection, actor="ann", source="api")
    assert (Operation.objects.count(), OperationItem.objects.count(), ArchivedJob.objects.count()) == (0, 0, 9)


def test_the_command_tells_and_does() -> None:
    first, _second = world()
    told = command("operate", "unarchive", "--queue", "tested", "--outcome", "dead", "--dry-run", "--json").document
    assert (told["total"], told["eligible"]) == (2, 2)
    found = preview(action="unarchive", selection={"queue": "tested", "outcome": "dead"})
    assert found.command == "manage.py operate unarchive --queue tested --outcome dead"
    done = command("operate", "unarchive", "--queue", "tested", "--outcome", "dead", "--yes", "--json").document
    assert done["outcomes"] == {"restored": 2}
    job = ArchivedJob.objects.filter(batch_id=first.pk).order_by("pk")[0].pk
    assert command("operate", "unarchive", "--job", job, "--yes").code == 0
    assert Job.objects.filter(pk=job).exists()
    assert command("operate", "unarchive", "--state", "dead", "--all", "--yes").code == 1
    assert command("operate", "unarchive", "--all", "--before", "2001-01-01T00:00Z", "--yes").code == 2
    assert_sound()
