"""The handler of dead letters: one job for each death, in its transaction, and none for deaths of its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from queues import handlers
from queues.domain.outcomes import Job as HandlerJob
from queues.domain.outcomes import Reject
from queues.models import Chunk, DeadLetter, Queue, Run
from queues.services.enqueue import enqueue_batch
from queues.services.reap import reap
from queues.services.settle import settle
from tests.checker import assert_sound
from tests.queues.working import do, drain, leased, make_queue

pytestmark = pytest.mark.django_db
GOT: list[dict[str, Any]] = []


@handlers.handler(queue="graves", name="tested.bury")
def bury(job: HandlerJob) -> None:
    """Notes what it gets; dies when it is told that something died of `twice`."""
    GOT.append(job.payload)
    if "twice" in job.payload["message"]:
        raise Reject("the hook dies too")


@pytest.fixture(autouse=True)
def graves() -> Queue:
    GOT.clear()
    return Queue.objects.create(name="graves", chunk_size=20)


@pytest.fixture
def declared() -> Iterator[Callable[..., Any]]:
    """Declares for one test."""
    before = [dict(registry) for registry in (handlers._handlers, handlers._queues, handlers._dead_letter_handlers)]
    yield handlers.dead_letter_handler
    registries = (handlers._handlers, handlers._queues, handlers._dead_letter_handlers)
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)  # type: ignore[call-overload]


def test_each_death_has_one_job_with_what_is_known() -> None:
    make_queue(dead_letter_handler="tested.bury", max_attempts=2, backoff_base=0, jitter=0)
    batch = enqueue_batch(do, [{}, {"die": "now", "n": 12345678901234567890123}, {"fail": "slowly"}])
    drain()
    letters = {letter.pk: letter for letter in DeadLetter.objects.all()}
    hooks = Chunk.objects.filter(queue__name="graves")
    assert sum(hooks.values_list("size", flat=True)) == 2
    drain("graves")
    assert {one["job"] for one in GOT} == set(letters)
    for one in GOT:
        letter = letters[one["job"]]
        assert (one["batch"], one["queue"], one["handler"]) == (batch.pk, "tested", "tested.do")
        assert (one["attempts"], one["reason"]) == (letter.attempts, letter.reason)
        assert (one["error_class"], one["message"], one["fingerprint"]) == (
            letter.error_class,
            letter.message,
            letter.fingerprint,
        )
        assert one["died_at"].startswith(letter.died_at.strftime("%Y-%m-%dT%H:%M:%S"))
    assert {"die": "now", "n": 12345678901234567890123} in [one["payload"] for one in GOT]
    assert sorted(one["attempts"] for one in GOT) == [1, 2]
    assert_sound()


def test_many_deaths_of_one_run_fill_chunks_of_the_handlers_queue() -> None:
    make_queue(dead_letter_handler="tested.bury", chunk_size=100)
    enqueue_batch(do, [{"die": n} for n in range(95)])
    drain()
    sizes = Chunk.objects.filter(queue__name="graves").order_by("pk").values_list("size", flat=True)
    assert list(sizes) == [20, 20, 20, 20, 15]
    drain("graves")
    assert sorted(one["payload"]["die"] for one in GOT) == list(range(95))
    assert_sound()


def test_a_settle_that_is_rolled_back_leaves_no_job_and_one_that_comes_again_leaves_one() -> None:
    make_queue(dead_letter_handler="tested.bury")
    enqueue_batch(do, [{"die": 1}])
    with leased() as execution:
        execution.note(0, Reject("no"), 0.0)
        commit = {"claim": execution.claim, "step": 0, "progress": execution.progress, "lease": 30.0}
        with pytest.raises(RuntimeError), transaction.atomic():
            settle(**commit, ended=execution._ended(), final=True)
            assert Chunk.objects.filter(queue__name="graves").count() == 1
            raise RuntimeError("as if the process had died before its commit")
        assert not Chunk.objects.filter(queue__name="graves").exists()
        assert not DeadLetter.objects.exists()
        settle(**commit, ended=execution._ended(), final=True)
        # The execution has not heard of it and commits once more, when it is left.
    assert DeadLetter.objects.count() == Chunk.objects.filter(queue__name="graves").count() == 1
    assert_sound()


def test_a_job_that_dies_by_the_reaper_has_one_too() -> None:
    make_queue(dead_letter_handler="tested.bury", max_attempts=1)
    enqueue_batch(do, [{"killer": True}])
    Chunk.objects.update(solo=True)
    with leased() as execution:
        Run.objects.update(lease_until="2020-01-01T00:00:00Z", marked_job=execution.claim.ids[0])
        assert reap() == 1
        execution.lost = True
    drain("graves")
    assert [(one["reason"], one["error_class"], one["payload"]) for one in GOT] == [
        ("worker lost", "WorkerLost", {"killer": True})
    ]
    assert_sound()


def test_the_death_of_such_a_job_calls_nobody() -> None:
    make_queue(dead_letter_handler="tested.bury")
    Queue.objects.filter(name="graves").update(dead_letter_handler="tested.bury")
    enqueue_batch(do, [{"die": "twice"}])
    drain()
    drain("graves")
    assert len(GOT) == 1
    assert sorted(DeadLetter.objects.values_list("handler", flat=True)) == ["tested.bury", "tested.do"]
    assert drain("graves") == 0
    assert_sound()


def test_the_decorator_serves_a_queue_whose_row_names_none(declared: Callable[..., Any]) -> None:
    @declared(queue="tested", runs_in="graves", name="declared.bury")
    def note(job: HandlerJob) -> None:
        GOT.append(job.payload)

    queue = make_queue()
    enqueue_batch(do, [{"die": 1}])
    drain()
    queue.dead_letter_handler = "tested.bury"
    queue.save()
    enqueue_batch(do, [{"die": 2}])
    drain()
    used = Chunk.objects.filter(queue__name="graves").order_by("pk").values_list("handler", flat=True)
    assert list(used) == ["declared.bury", "tested.bury"]
    with pytest.raises(handlers.DeclarationError, match="two dead letter handlers"):
        declared(queue="tested", runs_in="graves", name="declared.other")(lambda job: None)
    with pytest.raises(handlers.DeclarationError, match="no such name"):
        declared(queue="No Queue")


def test_a_queue_is_declared_with_it(declared: Callable[..., Any]) -> None:
    assert handlers.queue("letters", dead_letter_handler=bury).policy == {"dead_letter_handler": "tested.bury"}


def test_where_the_handler_has_no_queue_its_job_waits_in_that_of_the_dead() -> None:
    queue = make_queue(dead_letter_handler="tested.bury")
    Queue.objects.filter(name="graves").delete()
    enqueue_batch(do, [{"die": 1}])
    drain()
    assert len(GOT) == 1
    Queue.objects.filter(pk=queue.pk).update(dead_letter_handler="elsewhere.known")
    enqueue_batch(do, [{"die": 2}])
    drain(runs=1)
    assert Chunk.objects.filter(queue=queue, handler="elsewhere.known", size=1).exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("nobody.knows", "no handler of this name"), ("tested.do", "own handler cannot get the dead letters")],
)
def test_a_handler_that_cannot_be_is_refused_where_it_is_set(name: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Queue(name="new", handler="tested.do", dead_letter_handler=name).full_clean()
