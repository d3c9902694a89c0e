"""The commands that delete a batch, show one and bring one back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from queues.management.base import operator
from queues.models import Batch, Operation
from queues.selectors.clock import database_now
from queues.services.enqueue import enqueue_batch
from tests.queues.commanding import command
from tests.queues.test_delete_batch import a_world, rows_of_all
from tests.queues.working import do, drain, make_queue

pytestmark = pytest.mark.django_db


def test_the_command_asks_and_tells() -> None:
    batch = a_world()
    refused = command("batches", "delete", batch.pk)
    assert (refused.code, "add --yes" in refused.err) == (2, True)
    assert "for good?" in command("batches", "delete", batch.pk, "--for-good").err
    answer = command("batches", "delete", batch.pk, "--for-good", "--yes", "--json")
    assert (answer.code, answer.document["jobs"], answer.document["state"]) == (0, 10, "done")
    gone = command("batches", "show", batch.pk)
    assert (gone.code, f"batch {batch.pk} is not there any more: it was deleted by {operator()} at 20" in gone.err) == (
        1,
        True,
    )
    running = enqueue_batch(do, [{}])
    refused = command("batches", "delete", running.pk, "--yes")
    assert (refused.code, "cancel it first" in refused.err) == (1, True)


@pytest.mark.parametrize("how", [(), ("--trash",)])
def test_the_commands_put_into_the_trash_tell_of_it_and_bring_back(how: tuple[str, ...]) -> None:
    batch = a_world()
    before, rows = command("batches", "show", batch.pk, "--json").document, rows_of_all()
    assert before["deleted"] is None
    assert "in the trash until" not in command("batches", "show", batch.pk).out
    assert "It can be restored for 72 hours." in command("batches", "delete", batch.pk, *how).err
    answer = command("batches", "delete", batch.pk, *how, "--yes", "--reason", "old")
    trashed = Operation.objects.get()
    until = datetime.fromisoformat(trashed.options["begins"])
    assert abs(until - database_now() - timedelta(hours=72)) < timedelta(minutes=5)
    shown = f"{until.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    words = f"batch {batch.pk} is in the trash until {shown}: `batches restore {batch.pk}` brings it back\n"
    assert (answer.code, answer.out) == (0, words)
    again = command("batches", "delete", batch.pk, *how, "--json").document
    assert again == {"batch": batch.pk, "trashed": True, "until": again["until"]}
    assert datetime.fromisoformat(again["until"]) == until
    assert "is in the trash already, until " in command("batches", "delete", batch.pk).out
    told = command("batches", "show", batch.pk, "--json").document["deleted"]
    assert (told["by"], told["reason"], told["jobs_removed"]) == (operator(), "old", 0)
    assert datetime.fromisoformat(told["restorable_until"]) == until
    lines = command("batches", "show", batch.pk).out.splitlines()
    assert any(line.startswith("in the trash until") and line.endswith(shown) for line in lines)
    assert command("batches", "restore", batch.pk, "--reason", "no").out == f"batch {batch.pk}: restored\n"
    assert (command("batches", "show", batch.pk, "--json").document, rows_of_all()) == (before, rows)
    assert command("batches", "restore", batch.pk).err == f"batch {batch.pk} is not in the trash"
    # From the trash for good, and both at once make no sense.
    command("batches", "delete", batch.pk, "--yes")
    assert "not allowed with" in command("batches", "delete", batch.pk, "--trash", "--for-good").err
    assert command("batches", "delete", batch.pk, "--for-good", "--yes").out.endswith("10 jobs deleted\n")
    assert not Batch.objects.exists()


def test_a_part_is_shown_with_the_deletion_of_its_parent(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 2
    make_queue()
    batch = enqueue_batch(do, [{}] * 3, split=True)
    drain()
    command("batches", "delete", batch.pk, "--yes")
    part = batch.parts.order_by("pk")[0]
    assert command("batches", "show", part.pk, "--json").document["deleted"]["operation"] == Operation.objects.get().pk


def test_the_help_of_the_command_tells_of_the_trash(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("batches", "delete", "--help")
    words = " ".join(capsys.readouterr().out.split())
    assert "It lies in the trash for 72 hours, and until then `batches restore` brings it back" in words
    assert "--for-good remove it now; cannot be undone" in words


def test_the_commands_show_jobs_and_errors() -> None:
    batch = a_world()
    Batch.objects.filter(pk=batch.pk).update(metadata={"region": "eu"})
    shown = command("batches", "show", batch.pk, "--json").document
    assert (shown["status"]["completed"], shown["status"]["dead"], shown["status"]["success_rate"]) == (7, 3, 0.7)
    assert "70.00%" in command("batches", "show", batch.pk).out
    dead = command("batches", "jobs", batch.pk, "--state", "dead", "--json").document
    assert [(row["state"], row["priority"], row["attempts"]) for row in dead] == [("dead", "normal", 1)] * 3
    errors = command("batches", "errors", batch.pk, "--limit", 2, "--json").document
    assert [row["job_id"] for row in errors] == [row["job_id"] for row in dead][:2]
    assert errors[0]["message"].startswith("asked to die")
    assert "asked to die" in command("batches", "errors", batch.pk).out
    assert [row["id"] for row in command("batches", "list", "--metadata", "region=eu", "--json").document] == [batch.pk]
    assert command("batches", "list", "--metadata", "region=us", "--json").document == []
    assert command("batches", "list", "--metadata", "region").code == 2
