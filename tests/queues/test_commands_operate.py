"""The operators' commands: what they print, change, ask and refuse."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from queues.management import base
from queues.models import ArchivedJob, AuditEntry, Batch, Chunk, DeadLetter, Job, Operation, Queue
from queues.services import operate
from queues.services.enqueue import enqueue, enqueue_batch
from tests.checker import assert_sound
from tests.queues.commanding import command
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db
PROJECT = Path(__file__).resolve().parents[2]


def _dead(jobs: int = 3, **names: Any) -> Batch:
    batch = enqueue_batch(do, [{"die": n} for n in range(jobs)] + [{"n": 1}], **names)
    drain(names.get("queue", "tested"))
    return batch


# queues


def test_queues_list() -> None:
    make_queue()
    make_queue("paused")
    _dead(2)
    enqueue(do, {})
    enqueue(do, {}, run_at=timezone.now() + timedelta(hours=1))
    assert command("queues", "pause", "paused", "--reason", "for now", "--until", "+2h").code == 0
    found = {row["queue"]: row for row in command("queues", "list", "--json").document}
    assert (found["tested"]["waiting"], found["tested"]["scheduled"], found["tested"]["dead"]) == (1, 1, 2)
    assert found["tested"]["pause"] is None
    assert found["paused"]["pause"]["reason"] == "for now"
    lines = command("queues", "list").out.splitlines()
    assert lines[0].split() == ["queue", "handler", "state", "waiting", "scheduled", "running", "dead"]
    assert any("paused until" in line and "for now" in line for line in lines)
    assert "tested" in command("queues", "list", tty=True).out


def test_pause_and_resume() -> None:
    make_queue()
    assert command("queues", "pause", "tested", "--json").document == {"queue": "tested", "paused": True, "until": None}
    assert Queue.objects.get().paused_by == base.operator()
    assert command("queues", "resume", "tested").out == "queue tested goes on\n"
    assert list(AuditEntry.deeds().values_list("actor", "source", "action")) == [
        (base.operator(), "command", "pause queue"),
        (base.operator(), "command", "resume queue"),
    ]
    for arguments, said in [
        (("resume", "tested"), "queue 'tested' is not paused"),
        (("pause", "nobody"), "unknown queue 'nobody'"),
        (("pause", "tested", "--until", "2001-01-01T00:00:00Z"), "in the future"),
    ]:
        answer = command("queues", *arguments)
        assert (answer.code, said in answer.err) == (1, True)
    assert AuditEntry.deeds().count() == 2


# batches


def test_batches_list_and_show() -> None:
    make_queue()
    first = enqueue_batch(do, [{"n": n} for n in range(5)], name="first", metadata={"a": 1})
    second = _dead(2, name="[red]second")
    rows = command("batches", "list", "--json").document
    assert [(row["id"], row["name"], row["state"]) for row in rows] == [
        (second.pk, "[red]second", "partial"),
        (first.pk, "first", "completed"),
    ]
    assert rows[0]["counts"] == {"succeeded": 1, "running": 0, "waiting": 0, "dead": 2, "cancelled": 0, "trashed": 0}
    assert len(command("batches", "list", "--limit", "1", "--json").document) == 1
    assert len(command("batches", "list", "--state", "completed", "--json").document) == 1
    assert "[red]second" in command("batches", "list").out
    shown = command("batches", "show", second.pk, "--json").document
    assert (shown["causes"][0]["count"], shown["metadata"]) == (2, {})
    assert command("batches", "show", first.pk, "--json").document["metadata"] == {"a": 1}
    assert "Reject" in command("batches", "show", second.pk).out
    assert command("batches", "show", 2**40).err == f"unknown batch {2**40}"


def test_list_goes_on_beyond_a_page() -> None:
    make_queue()
    for _ in range(60):
        enqueue_batch(do, [1])
    assert len(command("batches", "list", "--limit", "55", "--json").document) == 55


def test_batches_wait() -> None:
    make_queue()
    whole = enqueue_batch(do, [1])
    partial = _dead(1)
    running = enqueue_batch(do, [1])
    assert command("batches", "wait", whole.pk).out == f"batch {whole.pk} is completed: 1 of 1 jobs succeeded\n"
    assert command("batches", "wait", partial.pk).code == 1
    answer = command("batches", "wait", running.pk, "--timeout", "1")
    assert (answer.code, answer.err) == (1, f"batch {running.pk} is still running after 1 s")


def test_batches_cancel() -> None:
    make_queue()
    batch = enqueue_batch(do, [1] * 5)
    asked = command("batches", "cancel", batch.pk)
    assert (asked.code, f"Cancel batch {batch.pk}, with 5 waiting and 0 running jobs?" in asked.err) == (2, True)
    assert command("batches", "cancel", batch.pk, stdin=b"n\n", tty=True).err.endswith("nothing was changed")
    assert AuditEntry.deeds().count() == 0
    answer = command("batches", "cancel", batch.pk, "--reason", "wrong file", "--yes", "--json")
    assert answer.document == {"batch": batch.pk, "cancelled": 5}
    assert AuditEntry.deeds().get().reason == "wrong file"
    assert command("batches", "cancel", batch.pk, "--yes").err == f"batch {batch.pk} is cancelled"
    assert_sound()


def test_batches_pause_resume_and_seal() -> None:
    make_queue()
    batch = enqueue_batch(do, [1] * 5, open=True)
    assert command("batches", "pause", batch.pk, "--reason", "wait", "--json").document == {
        "batch": batch.pk,
        "held": 0,
    }
    assert command("batches", "seal", batch.pk).out.strip() == f"batch {batch.pk}: sealed"
    assert drain() == 0, "it is still paused"
    assert command("batches", "resume", batch.pk).out.strip() == f"batch {batch.pk}: 5 jobs released"
    assert command("batches", "resume", batch.pk).err == f"batch {batch.pk} is not paused"
    assert command("batches", "seal", batch.pk).err == f"batch {batch.pk} is not open"
    assert drain() == 1
    actions = AuditEntry.deeds().order_by("pk").values_list("action", "source", "reason")
    assert list(actions) == [
        ("pause batch", "command", "wait"),
        ("seal batch", "command", ""),
        ("resume batch", "command", ""),
    ]
    assert_sound()


# deadletters


def test_deadletters_list_and_show() -> None:
    make_queue()
    make_queue("other")
    batch = _dead(3)
    _dead(2, queue="other")
    job = batch.first_job_id
    assert len(command("deadletters", "list", "--json").document) == 5
    assert len(command("deadletters", "list", "--limit", "2", "--json").document) == 2
    for narrowed in (("--batch", batch.pk), ("--queue", "tested")):
        found = command("deadletters", "list", *narrowed, "--json").document
        assert [row["job_id"] for row in found] == [(job or 0) + n for n in (2, 1, 0)]
    assert "asked to die: 0" in command("deadletters", "list").out
    shown = command("deadletters", "show", job, "--json").document
    assert (shown["payload"], shown["tries"][0]["kind"]) == ('{"die":0}', "rejected")
    assert 'payload: {"die":0}' in command("deadletters", "show", job).out
    assert command("deadletters", "show", (job or 0) + 3).err == f"job {(job or 0) + 3} is no dead letter"


def test_text_of_others_cannot_steer_the_terminal() -> None:
    make_queue()
    batch = enqueue_batch(do, [{"die": "\x1b[2J\u202eevil"}], name="\x1b]0;title\x07name")
    drain()
    for arguments in (("deadletters", "list"), ("deadletters", "show", batch.first_job_id), ("batches", "list")):
        for tty in (False, True):
            out = command(*arguments, tty=tty).out
            assert "\x1b[2J" not in out
            assert "\x1b]0" not in out
            assert "\u202e" not in out


def test_retry_asks_with_the_exact_count() -> None:
    make_queue()
    batch = _dead(3)
    asked = command("deadletters", "retry", "--batch", batch.pk)
    assert asked.code == 2
    assert f"Retry 3 dead letters (batch {batch.pk})? Nobody can answer here: add --yes." in asked.err
    assert command("deadletters", "retry", "--all", stdin=b"\n", tty=True).code == 1
    assert (DeadLetter.objects.count(), Operation.objects.count()) == (3, 0)
    answer = command("deadletters", "retry", "--all", stdin=b"y\n", tty=True)
    assert (answer.code, "3 retried" in answer.out) == (0, True)
    assert Job.objects.filter(chunk__state="ready").count() == 3
    assert_sound()


@pytest.mark.parametrize("how", ["ids", "batch", "queue", "fingerprint", "all"])
def test_delete_by_each_selection(how: str) -> None:
    make_queue()
    make_queue("other")
    batch = _dead(3)
    if how != "all":
        _dead(2, queue="other") if how != "fingerprint" else None
    letter = DeadLetter.objects.filter(batch=batch).order_by("pk")[0]
    chosen = {
        "ids": (letter.pk, letter.pk + 1, letter.pk + 2),
        "batch": ("--batch", batch.pk),
        "queue": ("--queue", "tested"),
        "fingerprint": ("--fingerprint", letter.fingerprint),
        "all": ("--all",),
    }[how]
    answer = command("deadletters", "delete", *chosen, "--yes", "--reason", "tidy", "--json")
    assert (answer.document["total"], answer.document["deleted"], answer.document["skipped"]) == (3, 3, 0)
    assert DeadLetter.objects.count() == (0 if how in ("all", "fingerprint") else 2)
    assert Chunk.objects.get(held_why="trashed").size == 3
    assert AuditEntry.deeds().get().reason == "tidy"
    assert_sound()


def test_large_selections_are_worked_off_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "AT_ONCE", 5)
    monkeypatch.setattr(operate, "ROUND", 4)
    make_queue()
    _dead(13)
    assert command("deadletters", "retry", "--all", "--yes").out == "13 retried\n"
    assert Operation.objects.get().state == "done"


def test_deadletters_refusals_change_nothing() -> None:
    make_queue()
    batch = _dead(2)
    job = batch.first_job_id or 0
    for arguments, code, said in [
        (("retry",), 2, "name jobs, or give --batch, --queue, --fingerprint, or give --all"),
        (("retry", job, "--all"), 2, "name jobs"),
        (("retry", job, "--queue", "tested"), 2, "name jobs"),
        (("delete", job, job + 2, 2**40), 1, f"no dead letters: {job + 2}, {2**40}; nothing was changed"),
        (("delete", "--queue", "nobody"), 1, "no dead letter matches"),
        (("delete", "--batch", 2**40), 1, "no dead letter matches"),
    ]:
        answer = command("deadletters", *arguments, "--yes")
        assert (answer.code, said in answer.err) == (code, True), (arguments, answer)
        assert (DeadLetter.objects.count(), Operation.objects.count(), AuditEntry.deeds().count()) == (2, 0, 0)


# archive, purge, and the rings


def test_archive_restore_and_purge() -> None:
    queue = make_queue()
    batch = enqueue_batch(do, [{"n": n} for n in range(5)])
    drain()
    outcomes = {"succeeded": 5, "cancelled": 0, "deleted": 0, "dead": 0}
    assert command("archive", "--dry-run", "--json").document == [
        {"queue": "tested", "chunks": 1, "jobs": 5, **outcomes}
    ]
    assert "tested" in command("archive", "--dry-run").out
    assert command("archive").out == "5 jobs archived\n"
    assert command("archive", "--dry-run").out == "nothing would be archived\n"
    answer = command("archive", "restore", batch.first_job_id, "--reason", "again", "--json")
    assert (answer.document["jobs"], answer.document["batches"]) == (1, [batch.pk])
    assert AuditEntry.deeds().get(action="restore jobs").reason == "again"
    drain()
    assert command("archive", "--json").document == {"jobs": 1}
    for arguments, code, said in [
        ((), 2, "name jobs, or give --batch"),
        ((1, "--batch", 1), 2, "name jobs, or give --batch"),
        ((2**40,), 1, "not in the archive"),
        (("--batch", 2**40), 1, "has no archived jobs"),
    ]:
        answer = command("archive", "restore", *arguments)
        assert (answer.code, said in answer.err) == (code, True)
    queue.purge_after = 0
    queue.save()
    make_queue("longer")
    assert command("purge", "--dry-run", "--json").document["archived jobs"] == 5
    assert ArchivedJob.objects.count() == 5
    done = command("purge", "--json").document
    assert (done["archived jobs"], done["batches"]) == (5, 1)
    assert "archived jobs" in command("purge").out
    assert_sound()


def test_the_rings() -> None:
    make_queue()
    enqueue(do, {})
    Queue.objects.update(hinted_at=None)
    assert command("drive", "--json").document == {"hinted": 1}
    assert command("reap").out == "0 runs taken back\n"
    created = command("sync_queues", "--json").document["created"]
    assert "demo" in created
    assert command("sync_queues").out == "all declared queues exist\n"


# errors


def test_errors_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise OperationalError("connection to server\nfailed: refused")

    monkeypatch.setattr("queues.selectors.figures.queue_figures", away)
    answer = command("queues", "list")
    assert (answer.code, answer.err) == (1, "the database cannot be used: connection to server failed: refused")


def test_missing_tables_are_told() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE queues_queue RENAME TO elsewhere")
    answer = command("queues", "list")
    assert (answer.code, "run `manage.py migrate`" in answer.err) == (1, True)


def test_a_wrong_command_line_is_usage(home: Path) -> None:
    for arguments in (["queues"], ["enqueue"], ["batches", "show", "x"], ["deadletters", "list", "--limit", "0"]):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
        assert "usage: manage.py" in done.stderr
