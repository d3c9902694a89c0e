"""Lists of jobs: each in the state it is in, page by page in both directions, and no more looked at than allowed."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from queues import store
from queues.domain.states import JobState
from queues.models import Batch, Chunk, DeadLetter, Job, Queue, TrashedJob
from queues.selectors import job_letters, job_lists, job_look, job_totals
from queues.selectors.batches import batch_counts
from queues.selectors.job_lists import JobPage, JobQuery, Place, job_page
from queues.selectors.job_totals import check_search, job_total
from queues.selectors.job_walk import TooWide
from queues.selectors.payload_search import holds
from queues.services import operate
from queues.services.cancel import cancel_batch
from queues.services.enqueue import enqueue_batch
from queues.services.preview import preview
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def every_state() -> Iterator[dict[str, set[int]]]:
    """Jobs in all states, in two queues; their ids by state as `job_state` tells them."""
    make_queue(max_attempts=2, backoff_base=600, jitter=0)
    make_queue("other", max_attempts=1)
    enqueue_batch("tested.do", [{"n": n} for n in range(7)] + [{"fail": "slowly"}] * 2 + [{"die": 1}] * 3)
    drain()
    enqueue_batch("tested.do", [{"die": 2}] * 2, queue="other")
    drain("other")
    letter = DeadLetter.objects.filter(queue__name="other").order_by("pk")[0]
    operate.start(action="delete_dead", selection={"job_ids": [letter.pk]}, actor="x", source="api")
    gone = enqueue_batch("tested.do", [{}] * 3)
    cancel_batch(batch_id=gone.pk, actor="x", source="api")
    enqueue_batch("tested.do", [{}] * 5, queue="other", chunk_size=2)
    with leased("other", want=4):
        enqueue_batch("tested.do", [{}] * 6, chunk_size=4)
        later = enqueue_batch("tested.do", [{}] * 2)
        enqueue_batch("tested.do", [{}] * 4, after=[later])
        one = enqueue_batch("tested.do", [{}] * 5).first_job_id or 0
        operate.start(action="cancel", selection={"job_ids": [one, one + 3]}, actor="x", source="api")
        Chunk.objects.filter(batch=later).update(run_at=timezone.now() + timedelta(hours=1))
        states: dict[str, set[int]] = {}
        for job, state in store.rows("job_state", jobs=list(Job.objects.values_list("pk", flat=True))):
            states.setdefault(state, set()).add(job)
        yield states


def ids(page: JobPage) -> list[int]:
    return [row.id for row in page.rows]


def walk(query: JobQuery, size: int) -> list[int]:
    """All pages towards older, then back again: both ways must show the same."""
    pages: list[list[int]] = []
    place: Place | None = None
    newest: list[Place | None] = []
    while True:
        page = job_page(query, before=place, size=size)
        pages.append(ids(page))
        newest.append(page.newer)
        if page.older is None:
            break
        place = page.older
    for number in range(len(pages) - 1, 0, -1):
        back = job_page(query, after=newest[number], size=size)
        assert ids(back) == pages[number - 1]
    return [job for page in pages for job in page]


def test_each_state_lists_its_jobs_and_no_others(every_state: dict[str, set[int]]) -> None:
    assert set(every_state) == set(JobState)
    for state, expected in every_state.items():
        page = job_page(JobQuery(state=state))
        assert set(ids(page)) == expected, state
        assert len(ids(page)) == len(expected)
        assert {row.state for row in page.rows} == {state}
        assert job_total(JobQuery(state=state)) == job_totals.Total(len(expected), True), state


def test_a_list_without_a_state_has_all_jobs(every_state: dict[str, set[int]]) -> None:
    everything = set().union(*every_state.values())
    page = job_page(JobQuery())
    assert set(ids(page)) == everything
    told = {row.id: row.state for row in page.rows}
    assert all(told[job] == state for state, jobs in every_state.items() for job in jobs)
    assert job_total(JobQuery()) == job_totals.Total(len(everything), True)
    assert [row.created_at for row in page.rows] == sorted((row.created_at for row in page.rows), reverse=True)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_pages_join_without_gap_or_overlap_in_both_directions(every_state: dict[str, set[int]], size: int) -> None:
    for state in ["", "pending", *JobState]:
        whole = ids(job_page(JobQuery(state=state)))
        assert walk(JobQuery(state=state), size) == whole, state
    batch = Batch.objects.order_by("pk")[0]
    walked = walk(JobQuery(batch=batch.pk), size)
    assert sorted(walked) == sorted(Job.objects.filter(batch=batch).values_list("pk", flat=True))


def test_what_was_not_started_is_one_list(every_state: dict[str, set[int]]) -> None:
    unstarted = ("waiting", "scheduled", "retrying", "held")
    expected = set().union(*(every_state[state] for state in unstarted))
    page = job_page(JobQuery(state="pending"))
    assert (set(ids(page)), len(ids(page))) == (expected, len(expected))
    assert {row.id: row.state for row in page.rows} == {job: s for s in unstarted for job in every_state[s]}
    assert job_total(JobQuery(state="pending")) == job_totals.Total(len(expected), True)
    # What is held has no place in the line: it comes last.
    assert [row.state == "held" for row in page.rows] == sorted(row.state == "held" for row in page.rows)
    for batch, counts in batch_counts(list(Batch.objects.values_list("pk", flat=True))).items():
        query = JobQuery(state="pending", batch=batch)
        assert job_total(query) == job_totals.Total(counts.waiting, True)
        assert len(ids(job_page(query))) == counts.waiting


SELECTABLE = {"waiting": "cancel", "scheduled": "cancel", "retrying": "cancel", "held": "cancel", "pending": "cancel"}
SELECTABLE |= {"cancelled": "retry", "dead": "retry", "trashed": "restore"}


@pytest.mark.parametrize("state", SELECTABLE)
def test_a_list_and_a_selection_mean_the_same_span_of_time(every_state: dict[str, set[int]], state: str) -> None:
    now = timezone.now()
    # Each chunk and letter in a minute of its own.
    for number, chunk in enumerate(Chunk.objects.order_by("pk")):
        ago = now - timedelta(minutes=number)
        end = ago if chunk.finished_at else None
        later = chunk.run_at if chunk.run_at > now else ago
        Chunk.objects.filter(pk=chunk.pk).update(created_at=ago, finished_at=end, run_at=later)
        gone = TrashedJob.objects.filter(pk__in=Job.objects.filter(chunk=chunk).values("pk"))
        gone.update(deleted_at=ago)
    for number, letter in enumerate(DeadLetter.objects.order_by("pk")):
        DeadLetter.objects.filter(pk=letter.pk).update(died_at=now - timedelta(minutes=number))
    batches = [None, *Batch.objects.filter(chunk__job__in=every_state.get(state, [])).values_list("pk", flat=True)]
    seen = set()
    for batch in dict.fromkeys(batches):
        for first in range(-5, 16, 4):
            since, until = now - timedelta(minutes=first + 4.5), now - timedelta(minutes=first + 0.5)
            found = set(ids(job_page(JobQuery(state=state, batch=batch, since=since, until=until))))
            asked = {"state": state, "since": since.isoformat(), "before": until.isoformat()}
            asked |= {"batch": batch} if batch else {}
            told = preview(action=SELECTABLE[state], selection=asked)
            # Of chunks that run at the moment a preview tells as well.
            running = sum(told.not_eligible.values())
            assert (told.total - running, told.exact) == (len(found), True), (batch, first)
            if found:
                begun = operate.begin(SELECTABLE[state], told.selection, "x", "api", "")
                assert set(begun.operationitem_set.values_list("job_id", flat=True)) == found
            seen |= found if batch is None else set()
    assert seen or state in ("scheduled", "retrying")


def test_filters_combine(every_state: dict[str, set[int]]) -> None:
    other = Queue.objects.get(name="other")
    in_other = set(Job.objects.filter(chunk__queue=other).values_list("pk", flat=True))
    for state in JobState:
        found = set(ids(job_page(JobQuery(state=state, queue="other"))))
        assert found == every_state[state] & in_other, state
    assert ids(job_page(JobQuery(queue="nowhere"))) == []
    assert ids(job_page(JobQuery(handler="nothing.like.it"))) == []
    batch = Batch.objects.order_by("pk")[0]
    dead = ids(job_page(JobQuery(state="dead", batch=batch.pk)))
    assert set(dead) == set(DeadLetter.objects.filter(batch=batch).values_list("pk", flat=True))
    soon = timezone.now() + timedelta(minutes=1)
    assert ids(job_page(JobQuery(since=soon))) == []
    assert len(ids(job_page(JobQuery(until=soon)))) == Job.objects.count()


def test_errors_are_searched_among_dead_letters_and_tries(every_state: dict[str, set[int]]) -> None:
    assert set(ids(job_page(JobQuery(state="dead", error="ASKED to die: 2")))) == set(
        DeadLetter.objects.filter(message__contains="die: 2").values_list("pk", flat=True)
    )
    assert set(ids(job_page(JobQuery(state="retrying", error="slowly")))) == every_state["retrying"]
    assert ids(job_page(JobQuery(state="retrying", error="100% other"))) == []
    row = job_page(JobQuery(state="retrying")).rows[0]
    assert (row.error_class, row.error) == ("ValueError", "asked to fail: slowly")
    assert row.failures == 1
    assert row.max_attempts == 2


@pytest.mark.parametrize("size", [1, 2, 50])
def test_an_error_finds_the_jobs_that_have_it_now(every_state: dict[str, set[int]], size: int) -> None:
    asked = JobQuery(error="asked to")
    # The latest death first, then what is tried again: not what it had in the way before.
    letters = list(DeadLetter.objects.order_by("-died_at", "-pk").values_list("pk", flat=True))
    assert set(letters) == every_state["dead"]
    found = walk(asked, size)
    assert found[: len(letters)] == letters
    assert set(found[len(letters) :]) == every_state["retrying"]
    assert walk(JobQuery(error="slowly"), size) == sorted(every_state["retrying"])
    dead = JobQuery(error="die", payload=("die", "2"))
    assert set(walk(dead, size)) == set(DeadLetter.objects.filter(queue__name="other").values_list("pk", flat=True))
    batch = Job.objects.get(pk=letters[-1]).batch_id
    assert job_page(JobQuery(error="slowly", batch=batch)).rows


PAYLOADS: list[Any] = [
    {"id": 12345678901234567890123},
    {"id": "12345678901234567890123"},
    {"id": 12345678901234567890124},
    {"user": {"name": "Ada"}},
    {"user.name": "Ada"},
    {"yes": True, "list": [1, 2]},
    [1, 2],
    "text",
]


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("id", "12345678901234567890123", [0, 1]),
        ("user.name", "Ada", [3, 4]),
        ("yes", "true", [5]),
        ("list", "[2]", [5]),
        ("yes", "false", []),
        ("id", "1e999999", []),
        ("id", '"', []),
    ],
)
def test_payloads_are_searched_exactly(key: str, value: str, found: list[int]) -> None:
    make_queue()
    batch = enqueue_batch("tested.do", PAYLOADS)
    first = batch.first_job_id or 0
    page = job_page(JobQuery(batch=batch.pk, payload=(key, value)))
    assert [job - first for job in ids(page)] == found
    assert [job - first for job in sorted(ids(job_page(JobQuery(payload=(key, value)))))] == found


def test_what_a_payload_may_hold_is_written_as_typed() -> None:
    assert holds("a", "1.10") == ['{"a":"1.10"}', '{"a":1.10}']
    assert holds("a", "NaN") == ['{"a":"NaN"}']
    assert holds("a", '"x"') == ['{"a":"\\"x\\""}', '{"a":"x"}']
    assert holds("a.b", "x") == ['{"a.b":"x"}', '{"a":{"b":"x"}}']
    assert holds("a" + ".b" * 100, "x")[1:] == []


def test_a_search_over_too_many_jobs_says_how_to_narrow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [{"n": n} for n in range(6)])
    monkeypatch.setattr(job_totals, "SEARCHED", 5)
    with pytest.raises(TooWide, match="This list has 6"):
        check_search(JobQuery(payload=("n", "1")))
    with pytest.raises(TooWide, match="errors reads job by job"):
        check_search(JobQuery(error="x", state="waiting"))
    # Those that have it now are few.
    check_search(JobQuery(error="x"))
    check_search(JobQuery(payload=("n", "1"), batch=batch.pk))
    check_search(JobQuery(error="x", state="dead"))
    check_search(JobQuery())


def test_a_page_stops_after_a_bounded_look_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [{"n": n} for n in range(40)], chunk_size=4)
    monkeypatch.setattr(job_lists, "OPENED", 4)
    monkeypatch.setattr(job_look, "LOOK_JOBS", 8)
    query, place = JobQuery(payload=("n", "21")), None
    found, pages = [], 0
    while True:
        page = job_page(query, before=place)
        found += ids(page)
        pages += 1
        assert page.looked <= 8
        if page.older is None:
            break
        assert page.stopped
        place = page.older
    assert found == [(batch.first_job_id or 0) + 21]
    assert pages >= 5


def test_a_total_that_would_read_too_much_says_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue()
    enqueue_batch("tested.do", [{}] * 30, chunk_size=2)
    monkeypatch.setattr(job_totals, "COUNTED", 5)
    monkeypatch.setattr(job_totals, "COUNTED_EACH", 5)
    total = job_total(JobQuery())
    assert total is not None
    assert not total.exact
    assert 10 <= total.jobs < 30
    assert job_total(JobQuery(error="x")) is None


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_text_is_found_in_letters_piece_by_piece(
    every_state: dict[str, set[int]], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_letters, "AT_ONCE", at_once)
    query = JobQuery(state="dead", error="to die: 1")
    wanted = set(DeadLetter.objects.filter(message__contains="to die: 1").values_list("pk", flat=True))
    assert len(wanted) == 3
    for size in (1, 2, 50):
        assert set(walk(query, size)) == wanted


def test_a_rare_text_is_looked_for_in_bounded_steps(
    every_state: dict[str, set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_letters, "AT_ONCE", 2)
    monkeypatch.setattr(job_letters, "LETTERS", 2)
    oldest = DeadLetter.objects.order_by("died_at", "job_id")[0]
    DeadLetter.objects.filter(pk=oldest.pk).update(message="like no other")
    page = job_page(JobQuery(state="dead", error="like no other"))
    assert (ids(page), page.stopped, page.looked) == ([], True, 2)
    found: list[int] = []
    while page.older is not None:
        page = job_page(JobQuery(state="dead", error="like no other"), before=page.older)
        found += ids(page)
    assert found == [oldest.pk]
