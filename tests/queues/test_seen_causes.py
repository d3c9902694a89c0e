"""When a cause was first seen: written once, with its first letter, and kept when its letters are gone."""

import random
import threading
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from queues import store
from queues.domain.outcomes import Reject
from queues.models import Attempt, Chunk, DeadLetter, Queue, Run, SeenCause
from queues.selectors.seen_causes import first_seen
from queues.services import operate
from queues.services.enqueue import enqueue_batch
from queues.services.purge import purge
from queues.services.reap import reap
from queues.services.settle import settle
from tests.checker import assert_sound
from tests.queues.working import do, drain, leased, make_queue

pytestmark = pytest.mark.django_db


def acted(action: str, selection: dict[str, Any]) -> None:
    operate.start(action=action, selection=selection, actor="ann", source="api")


def versions() -> list[tuple[str, ...]]:
    """Each row with the transaction that has written it: another one if it was written again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT fingerprint, xmin::text, xmax::text FROM queues_seencause ORDER BY id")
        return list(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
def test_a_cause_is_written_with_its_first_letter_and_never_again() -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch(do, [{"fail": "order 1"}, {"fail": "order 2"}, {"die": "no"}])
    drain()
    found = dict(DeadLetter.objects.values_list("fingerprint", "queue"))
    assert dict(SeenCause.objects.values_list("fingerprint", "queue")) == found
    first, rows = first_seen(found), versions()
    assert len(rows) == 2
    assert all(
        at <= DeadLetter.objects.filter(fingerprint=one).earliest("died_at").died_at for one, at in first.items()
    )
    acted("retry_dead", {"batch": batch.pk})
    drain()
    assert DeadLetter.objects.count() == 3
    assert DeadLetter.objects.earliest("died_at").died_at > max(first.values())
    assert (first_seen(found), versions()) == (first, rows)
    acted("delete_dead", {"batch": batch.pk})
    assert first_seen(found) == first
    assert_sound()


def test_a_cause_is_known_by_its_queue() -> None:
    make_queue(max_attempts=1)
    make_queue("other", max_attempts=1)
    enqueue_batch(do, [{"die": "no"}])
    drain()
    SeenCause.objects.update(first_at=timezone.now() - timedelta(days=3))
    enqueue_batch(do, [{"die": "no"}], queue="other")
    drain("other")
    (cause,) = set(DeadLetter.objects.values_list("fingerprint", flat=True))
    ages = [timezone.now() - first_seen([cause], queue)[cause] for queue in ("", "tested", "other")]
    assert [age > timedelta(days=2) for age in ages] == [True, True, False]
    assert first_seen([cause], "gone") == first_seen(["unknown"]) == {}


def test_a_death_by_the_reaper_is_seen_too() -> None:
    make_queue(max_attempts=1)
    enqueue_batch(do, [{"killer": True}])
    Chunk.objects.update(solo=True)
    with leased() as execution:
        Run.objects.update(lease_until="2020-01-01T00:00:00Z", marked_job=execution.claim.ids[0])
        assert reap() == 1
        execution.lost = True
    assert list(SeenCause.objects.values_list("fingerprint", "queue__name")) == [("worker-lost", "tested")]


def test_what_is_not_committed_was_not_seen() -> None:
    make_queue(max_attempts=1)
    enqueue_batch(do, [{}])
    with leased() as execution:
        execution.note(0, Reject("no"), 0.0)
        commit = {"claim": execution.claim, "step": 0, "progress": execution.progress, "lease": 30.0}
        with pytest.raises(RuntimeError), transaction.atomic():
            settle(**commit, ended=execution._ended(), final=True)
            assert SeenCause.objects.count() == 1
            raise RuntimeError("as if the process had died before its commit")
        assert not SeenCause.objects.exists()
    assert SeenCause.objects.count() == 1


def test_letters_that_come_back_from_the_trash_are_known_again() -> None:
    make_queue(max_attempts=1)
    enqueue_batch(do, [{"die": "no"}, {"die": "no"}, {}])
    drain()
    long_ago = timezone.now() - timedelta(days=40)
    DeadLetter.objects.filter(pk=DeadLetter.objects.earliest("pk").pk).update(died_at=long_ago)
    acted("delete_dead", {"all": True})
    SeenCause.objects.all().delete()
    acted("restore", {"all": True, "state": "trashed"})
    assert [seen.first_at for seen in SeenCause.objects.all()] == [long_ago]
    assert DeadLetter.objects.count() == 2
    assert_sound()


def test_a_cause_is_forgotten_after_the_retention_of_tries_when_no_letter_has_it(settings: Any) -> None:
    settings.ATTEMPT_RETENTION = 86_400
    queue, now = make_queue(max_attempts=1), timezone.now()
    enqueue_batch(do, [{"die": "no"}])
    drain()
    (there,) = SeenCause.objects.values_list("fingerprint", flat=True)
    SeenCause.objects.update(first_at=now - timedelta(days=9))
    for name, days in (("old", 2), ("young", 0.5)):
        SeenCause.objects.create(queue=queue, fingerprint=name, first_at=now - timedelta(days=days))
    assert purge(dry_run=True)["causes"] == 1
    assert purge()["causes"] == 1
    assert set(SeenCause.objects.values_list("fingerprint", flat=True)) == {there, "young"}
    assert purge()["causes"] == 0


@pytest.mark.django_db(transaction=True)
def test_two_that_meet_the_same_new_causes_wait_for_each_other_in_one_order() -> None:
    queues = [make_queue(name).pk for name in ("one", "two")]
    start = threading.Barrier(2)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        shuffled = random.Random(seed)
        try:
            for round_ in range(15):
                letters = [(queue, f"{round_:04}-{number:04}") for queue in queues for number in range(300)]
                shuffled.shuffle(letters)
                found, names = ([letter[place] for letter in letters] for place in (0, 1))
                start.wait(30)
                store.run("see_causes", queues=found, fingerprints=names, died_at=[None] * len(letters))
        except BaseException as error:
            failures.append(error)
            start.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert SeenCause.objects.count() == 15 * 600


def test_the_migration_tells_it_of_the_letters_and_of_the_tries_that_are_there() -> None:
    make_queue(max_attempts=1)
    enqueue_batch(do, [{"fail": "order 1"}, {"die": "no"}])
    drain()
    retried = DeadLetter.objects.get(error_class__contains="ValueError")
    long_ago, earlier = (timezone.now() - timedelta(days=days) for days in (20, 10))
    Attempt.objects.filter(fingerprint=retried.fingerprint).update(finished_at=long_ago)
    retried.delete()
    DeadLetter.objects.update(died_at=earlier)
    lost = Attempt.objects.exclude(fingerprint=retried.fingerprint).get()
    Attempt.objects.create(job_id=lost.job_id, run_id=2**40, worker_id=lost.worker_id, number=9, kind="error")
    SeenCause.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(import_module("queues.migrations.0009_seen_causes").FILL)
    assert dict(SeenCause.objects.values_list("fingerprint", "first_at")) == {
        retried.fingerprint: long_ago,
        DeadLetter.objects.get().fingerprint: earlier,
    }
    assert Queue.objects.get().pk == SeenCause.objects.values_list("queue", flat=True)[0]
