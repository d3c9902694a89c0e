"""Functions declared with `@task`: called with arguments, which travel as JSON."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from queues import JobSpec, Reject, collect_results, enqueue_batch, handlers
from queues import enqueue as enqueue_plain
from queues.calls import Task, task
from queues.models import Batch, Chunk, DeadLetter, Job
from queues.services.enqueue import EnqueueError
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def add(declare: Callable[..., Any]) -> Task[Any, Any]:
    """A function with one argument that must be given and one that need not."""

    @task(queue="tested", name="tested.add")
    def add(a: int, b: int = 1, *, minus: int = 0) -> int:
        """Adds."""
        return a + b - minus

    make_queue(keep_results=60, max_attempts=1)
    return add


def results_of(*jobs: int | None) -> list[Any]:
    """What the jobs returned, after all work."""
    drain()
    numbers = [job for job in jobs if job is not None]
    found = collect_results(numbers, timeout=0)
    assert not found.errors
    return [found.values[job] for job in numbers]


def test_a_task_is_still_its_function(add: Task[Any, Any]) -> None:
    assert (add(1, 2), add(a=1, minus=3)) == (3, -1)
    assert (add.__name__, add.__doc__, add.handler_name) == ("add", "Adds.", "tested.add")


def test_positional_and_keyword_arguments_arrive(add: Task[Any, Any]) -> None:
    jobs = [add.enqueue(1), add.enqueue(1, 2), add.enqueue(a=5, b=2, minus=1), add.enqueue_call((2,), {"minus": 1})]
    assert json.loads(Job.objects.get(pk=jobs[2]).payload) == {"args": [], "kwargs": {"a": 5, "b": 2, "minus": 1}}
    assert results_of(*jobs) == [2, 3, 6, 2]


def test_map_makes_a_batch(add: Task[Any, Any]) -> None:
    calls = [(1,), {"a": 2, "b": 2}, JobSpec((3, 3), priority="high")]
    batch = add.map((call for call in calls), name="sums", failure_mode="fail_fast", created_by="me")
    assert (batch.name, batch.total, batch.handler, batch.failure_mode) == ("sums", 3, "tested.add", "fail_fast")
    drain()
    assert sorted(collect_results(batch).values.values()) == [2, 4, 6]


def test_an_async_function_and_outcomes(declare: Callable[..., Any]) -> None:
    @task(queue="tested", name="tested.twice")
    async def twice(value: Any) -> Any:
        await asyncio.sleep(0)
        if value == "bad":
            raise Reject("no text, please")
        return value * 2

    make_queue(keep_results=60)
    good, bad = twice.enqueue(4), twice.enqueue("bad")
    assert asyncio.run(twice(2)) == 4
    assert results_of(good) == [8]
    assert (DeadLetter.objects.get().job_id, DeadLetter.objects.get().message) == (bad, "no text, please")


def test_options_of_the_job(add: Task[Any, Any]) -> None:
    make_queue("tested.other")
    later = datetime.now(UTC) + timedelta(hours=1)
    add.enqueue(1, eta=later, priority="high", queue="tested.other")
    chunk = Chunk.objects.get()
    assert (chunk.run_at, chunk.priority, chunk.queue.name) == (later, 1, "tested.other")
    first, second = add.enqueue(1, key="k"), add.enqueue(2, key="k")
    assert first is not None
    assert second is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda add: add.enqueue(), r"add\(\): missing a required argument: 'a'"),
        (lambda add: add.enqueue(1, 2, 3), r"add\(\): too many positional arguments"),
        (lambda add: add.enqueue(1, c=2), r"add\(\): got an unexpected keyword argument 'c'"),
        (lambda add: add.enqueue(1, a=2), r"add\(\): multiple values for argument 'a'"),
        (lambda add: add.enqueue({1, 2}), "payload: .*set"),
        (lambda add: add.enqueue(1, eta=datetime(2030, 1, 1)), "eta: 2030-01-01T00:00:00 has no time zone"),
        (lambda add: add.enqueue(1, eta="soon"), "eta: a datetime is needed, not str"),
        (lambda add: add.map([(1,), ()]), r"item 1: add\(\): missing a required argument: 'a'"),
        (
            lambda add: add.map([(1,), 2]),
            "item 1: a tuple of positional or a dict of keyword arguments is needed, not int",
        ),
        (lambda add: add.map((1, 2)), "item 0: a tuple"),
        (lambda add: add.map({"a": 1}), "calls: many are needed, not one dict"),
        (lambda add: add.map([(1,)], eta=datetime(2030, 1, 1)), "eta: .* has no time zone"),
        (lambda add: add.map([(object(),)]), "item 0: .*object"),
    ],
)
def test_what_does_not_fit_is_refused_with_nothing_written(
    add: Task[Any, Any], call: Callable[[Task[Any, Any]], Any], message: str
) -> None:
    with pytest.raises(EnqueueError, match=message):
        call(add)
    assert not Job.objects.exists()
    assert not Batch.objects.exists()


def test_a_parameter_with_the_name_of_an_option_is_not_taken_for_it(declare: Callable[..., Any]) -> None:
    @task(queue="tested", name="tested.look_up")
    def look_up(key: str) -> str:
        return key.upper()

    make_queue(keep_results=60)
    with pytest.raises(EnqueueError, match=r"key: look_up\(\) has a parameter of this name: use enqueue_call"):
        look_up.enqueue(key="a")
    assert results_of(look_up.enqueue("a"), look_up.enqueue_call(kwargs={"key": "b"}, key="c")) == ["A", "B"]


def test_a_payload_that_is_no_call_is_a_dead_letter(add: Task[Any, Any]) -> None:
    enqueue_plain(add, {"a": 1})
    enqueue_batch(add, [{"args": 1, "kwargs": {}}])
    drain()
    assert {letter.message for letter in DeadLetter.objects.all()} == {
        'the payload is not that of a call: {"args": [...], "kwargs": {...}}'
    }


def test_only_functions_are_declared(declare: Callable[..., Any]) -> None:
    with pytest.raises(handlers.DeclarationError, match="@task: a function is needed"):
        task(queue="tested")(print)
