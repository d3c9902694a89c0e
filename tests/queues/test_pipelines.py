"""Pipelines: a batch of the results of another one, made once, whatever dies on the way."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from queues.calls import task
from queues.collect import results
from queues.models import Batch, BatchLink, DeadLetter, Job, JobResult
from queues.services import finish, operate, steps
from queues.services.enqueue import EnqueueError, enqueue_batch
from tests.checker import assert_sound
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


def steps_of(batch: Batch) -> list[Batch]:
    """What was made of it."""
    return list(Batch.objects.filter(links_before__before=batch))


def payloads(batch: Batch) -> list[Any]:
    """Its jobs' payloads, in their order."""
    return list(
        Job.objects.filter(batch__in=[batch, *batch.parts.all()]).order_by("pk").values_list("payload", flat=True)
    )


@pytest.fixture
def keeping() -> None:
    """A queue that keeps results."""
    make_queue(keep_results=3600, chunk_size=2, max_attempts=1, archive_after=3600)


@pytest.mark.usefixtures("keeping")
def test_the_kept_results_become_the_next_batch_in_the_order_of_the_jobs() -> None:
    values = [{"value": [1]}, {}, {"value": {"value": 2**70}}, {"value": "drei"}]
    batch = enqueue_batch("tested.do", values, name="count", metadata={"region": "eu"}, then="tested.do")
    assert not steps_of(batch)
    drain()
    (step,) = steps_of(batch)
    assert payloads(step) == ["[1]", '{"value":1180591620717411303424}', '"drei"']
    assert (step.name, step.stage, step.state, step.total) == ("count", 2, "completed", 3)
    assert step.metadata == {"region": "eu", "step_after": batch.pk}
    assert [value for _job, value in results(step)] == [2**70]
    assert_sound()


@pytest.mark.usefixtures("keeping")
@pytest.mark.parametrize(("policy", "made"), [("completed", 0), ("ended", 1)])
def test_the_policy_says_after_which_end_it_goes_on(policy: str, made: int) -> None:
    batch = enqueue_batch("tested.do", [{"value": 1}, {"die": 1}], then="tested.do", after_policy=policy)
    drain()
    assert len(steps_of(batch)) == made


@pytest.mark.usefixtures("keeping")
def test_it_goes_on_when_a_retry_has_made_the_end_good(declare: Callable[..., Any]) -> None:
    fail = [True]

    @declare()
    def flaky(job: Any) -> int:
        if job.payload and fail[0]:
            raise ValueError("not yet")
        return 7

    batch = enqueue_batch(flaky, [0, 1], then="tested.do")
    drain()
    assert not steps_of(batch)
    fail[0] = False
    for _again in range(2):
        operate_on(batch)
        drain()
    (step,) = steps_of(batch)
    assert payloads(step) == ["7", "7"]


def operate_on(batch: Batch) -> None:
    """Retry what died, if anything did."""
    if DeadLetter.objects.filter(batch=batch).exists():
        operate.start(action="retry_dead", selection={"batch": batch.pk}, actor="me", source="api")


@pytest.mark.usefixtures("keeping")
def test_stages_that_ran_do_not_run_again_when_the_one_before_ends_again() -> None:
    batch = enqueue_batch("tested.do", [{"value": 1}, {"die": 1}], then="tested.do", after_policy="ended")
    drain()
    operate_on(batch)
    drain()
    batch.refresh_from_db()
    assert batch.generation == 2
    assert len(steps_of(batch)) == 1


@pytest.mark.usefixtures("keeping")
def test_a_batch_of_many_parts_gives_a_step_of_many_parts(settings: Any) -> None:
    settings.BATCH_MAX_JOBS = 3
    batch = enqueue_batch("tested.do", [{"value": n} for n in range(8)], split=True, then="tested.do")
    drain()
    (step,) = steps_of(batch)
    assert (step.is_parent, step.total, step.state) == (True, 8, "completed")
    assert payloads(step) == [str(n) for n in range(8)]
    assert_sound()


def test_a_step_that_is_a_function_gets_each_result_as_its_argument(
    declared: Callable[..., Any],
) -> None:
    seen: list[Any] = []

    @declared(queue="tested")
    def note(value: int) -> None:
        seen.append(value)

    make_queue(keep_results=60)
    enqueue_batch("tested.do", [{"value": 1}, {"value": 2}], then=note)
    drain()
    assert seen == [1, 2]


@pytest.fixture
def declared(declare: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """`task`, forgotten after the test."""
    yield task


@pytest.mark.usefixtures("keeping")
def test_no_results_no_step() -> None:
    batch = enqueue_batch("tested.do", [{}, {}], then="tested.do")
    drain()
    assert not steps_of(batch)
    assert not DeadLetter.objects.exists()


@pytest.mark.usefixtures("keeping")
def test_a_death_between_any_two_steps_makes_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = enqueue_batch("tested.do", [{"value": 1}, {"value": 2}], then="tested.do")
    with leased() as execution:
        execution.note(0, 1, 0.0)
        execution.note(1, 2, 0.0)
    # The worker died before it ended the batch: the sweep ends it, and the making job is there with that commit.
    assert finish.sweep() == [batch.pk]
    assert Job.objects.filter(batch=None).count() == 1
    # The maker dies within its transaction: nothing was made.
    with monkeypatch.context() as patched:
        patched.setattr(steps, "fits", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            steps.make_step(batch=batch.pk)
    assert not steps_of(batch)
    # It dies after its commit and before the settle: its job comes again.
    made = steps.make_step(batch=batch.pk)
    assert made is not None
    JobResult.objects.all().delete()
    drain()
    assert [step.pk for step in steps_of(batch)] == [made]
    assert Batch.objects.get(pk=made).state == "completed"
    assert_sound()


@pytest.mark.usefixtures("keeping")
def test_a_batch_that_runs_again_is_left_to_its_next_end() -> None:
    batch = enqueue_batch("tested.do", [{"value": 1}], then="tested.do")
    assert steps.make_step(batch=batch.pk) is None
    with pytest.raises(steps.StepRefused, match="batch 1000000000 is not there any more"):
        steps.make_step(batch=10**9)
    assert not BatchLink.objects.exists()


def test_results_that_are_kept_no_longer_are_no_silent_loss() -> None:
    queue = make_queue(keep_results=3600)
    make_queue("tested.next")
    batch = enqueue_batch("tested.do", [{"value": 1}], then="tested.do")
    assert drain(runs=1) == 1
    queue.keep_results = 0
    queue.save()
    drain()
    letter = DeadLetter.objects.get()
    assert letter.handler == "queues.make_step"
    assert f"results of batch {batch.pk} are kept no longer" in letter.message


def test_what_cannot_go_on_is_refused_at_enqueue() -> None:
    make_queue()
    with pytest.raises(EnqueueError, match="then: queue 'tested' keeps no results; set its keep_results"):
        enqueue_batch("tested.do", [1], then="tested.do")
    with pytest.raises(EnqueueError, match="unknown handler 'nobody'"):
        enqueue_batch("tested.do", [1], then="nobody")
    make_queue("tested.kept", keep_results=60, flush_jobs=10)
    from queues.models import Queue

    Queue.objects.filter(name="tested").update(keep_results=60, flush_jobs=10)
    with pytest.raises(EnqueueError, match="then: queue 'tested' may collect for ever; set its flush_seconds"):
        enqueue_batch("tested.do", [1], then="tested.do")
    assert not Batch.objects.exists()


@pytest.mark.usefixtures("keeping")
def test_results_come_page_by_page_and_leave_out_what_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = enqueue_batch("tested.do", [{"value": n} for n in range(10)])
    other = enqueue_batch("tested.do", [{"value": "other"}])
    drain()
    monkeypatch.setattr("queues.selectors.id_pages.id_pages.__defaults__", (3,))
    jobs = list(Job.objects.filter(batch=batch).order_by("pk").values_list("pk", flat=True))
    JobResult.objects.filter(pk=jobs[4]).update(expires_at="2020-01-01T00:00Z")
    assert list(results(batch)) == [(job, n) for n, job in enumerate(jobs) if n != 4]
    assert [value for _job, value in results(other.pk)] == ["other"]
