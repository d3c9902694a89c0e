"""Rows of lists that change in place: what is told of them, to whom, and at what cost."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from monitoring import live, panels, rows
from monitoring.live import Hub, Reader
from monitoring.panels import Topic
from monitoring.snapshot import SHARED, Snapshot
from queues.models import Batch, Chunk, Job, Run
from queues.services import operate
from queues.services.archive import archive
from tests.monitoring.worlds import ran_batch, run, waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("viewer")


def polled(client: Client, name: str, *ids: int) -> str:
    answer = client.get(f"/panels/{name}/", {"subject": "-".join(map(str, ids))})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_page_names_its_rows_and_does_not_draw_them_twice(viewer: Client) -> None:
    batches = [waiting_batch(2, name=f"batch {number}") for number in range(3)]
    page = viewer.get("/batches/").content.decode()
    ids = "-".join(str(batch.pk) for batch in reversed(batches))
    assert f"batch-rows={ids}" in page
    assert f'hx-get="/panels/batch-rows/?subject={ids}"' in page
    assert page.count(f'id="batch-{batches[0].pk}"') == 1


def test_a_batch_row_tells_what_has_changed_and_nothing_that_cannot(viewer: Client) -> None:
    batch, gone = waiting_batch(4, name="Moving"), waiting_batch(1)
    assert '<td class="num" data-label="ended" data-cell="ended">0 <span' in polled(viewer, "batch-rows", batch.pk)
    drain(runs=1, want=4)
    Chunk.objects.filter(batch=gone).delete()
    Job.objects.filter(batch=gone).delete()
    Batch.objects.filter(pk=gone.pk).delete()
    SHARED.clear()
    told = polled(viewer, "batch-rows", batch.pk, gone.pk)
    assert "Moving" not in told
    assert f'<tr id="batch-{batch.pk}" data-row>' in told
    assert f'<tr id="batch-{gone.pk}" data-gone>' in told
    assert "deleted" in told


def test_tabs_count_again(viewer: Client) -> None:
    waiting_batch(1)
    assert '<span class="tab-count">1</span>' in polled_tabs(viewer, "")
    assert 'state=running" aria-current="true"' in polled_tabs(viewer, "state=running")


def polled_tabs(client: Client, subject: str) -> str:
    return client.get("/panels/batch-tabs/", {"subject": subject}).content.decode()


def test_a_run_that_ends_tells_its_outcome(viewer: Client) -> None:
    going = run(make_queue(), started=timedelta(seconds=70), ended=None, claimed=10, succeeded=4)
    told = polled(viewer, "run-rows", going.pk)
    assert ">4 of 10<" in told
    assert 'data-form="elapsed"' in told
    Run.objects.update(state="done", finished_at=timezone.now(), succeeded=10)
    SHARED.clear()
    told = polled(viewer, "run-rows", going.pk)
    assert ">10</td>" in told
    assert "done" in told
    assert "elapsed" not in told


def test_new_runs_are_told_by_the_filter_of_the_list(viewer: Client) -> None:
    queue, other = make_queue(), make_queue("other")
    shown = run(queue, started=timedelta(minutes=2), ended=timedelta(minutes=1), succeeded=1)
    page = viewer.get("/runs/", {"queue": "tested"}).content.decode()
    assert f'data-top="{shown.pk:020d}"' in page
    new = run(queue, started=timedelta(seconds=5), ended=None, claimed=3)
    run(other, started=timedelta(seconds=5), ended=None, claimed=3)

    def news(subject: str) -> str:
        return viewer.get("/panels/run-news/", {"subject": subject}).content.decode()

    assert f'value="{new.pk:020d} {shown.pk:020d}"' in news("queue=tested")
    assert f'value="{new.pk:020d}"' in news("queue=tested&state=running")
    assert f"-{shown.pk:020d}" in news("state=done")
    assert 'value=""' in news("worker=nobody-of-this-name")


def test_a_job_row_tells_its_state_here_and_in_the_archive(viewer: Client) -> None:
    make_queue(archive_after=0)
    job = Job.objects.get(batch=waiting_batch(1))
    told = polled(viewer, "job-rows", job.pk, 10**12)
    assert f'<tr id="job-{job.pk}"><td class="cell-state" data-cell="state"><span class="state is-waiting">' in told
    assert f'<tr id="job-{10**12}" data-gone>' in told
    assert "purged" in told
    drain()
    SHARED.clear()
    told = polled(viewer, "job-rows", job.pk)
    assert f'<tr id="job-{job.pk}"><td class="cell-state" data-cell="state"><span class="state is-succeeded">' in told
    archive()
    SHARED.clear()
    told = polled(viewer, "job-rows", job.pk)
    assert "data-gone" in told
    assert "in the archive" in told


def test_a_letter_that_was_retried_or_deleted_says_so(viewer: Client) -> None:
    batch = ran_batch(die=3)
    stays, retried, deleted = sorted(Job.objects.filter(batch=batch).values_list("pk", flat=True))
    for action, job in (("retry", retried), ("delete", deleted)):
        operate.start(action=action, selection={"job_ids": [job]}, actor="ann", source="api")
    operate.advance_all()
    told = polled(viewer, "letter-rows", stays, retried, deleted)
    assert f'<tr id="job-{stays}"><td data-cell="fate"></td></tr>' in told
    assert "retried" in told.split(f'id="job-{retried}"')[1].split("</tr>")[0]
    assert "deleted" in told.split(f'id="job-{deleted}"')[1].split("</tr>")[0]


@pytest.mark.parametrize("subject", ["", "x", "1-", "1,2", "1" * 19, "-".join(["1"] * 201), "١"])
def test_rows_that_cannot_be_are_refused(viewer: Client, subject: str) -> None:
    assert viewer.get("/panels/batch-rows/", {"subject": subject}).status_code == 404


def test_a_row_is_one_topic_whoever_shows_it() -> None:
    mine = panels.watched("batch-rows", "3-02-1", True)
    assert mine == [Topic("batch-rows", str(one), False) for one in (3, 2, 1)]
    assert set(panels.watched("batch-rows", "1", False)) <= set(mine)
    assert panels.permitted(mine[0], True) == mine[0]


@pytest.mark.parametrize("kind", ["batch", "run", "job", "letter"])
def test_many_rows_cost_as_many_queries_as_one(kind: str) -> None:
    ids = [waiting_batch(1).pk for _ in range(6)]
    ids += [*Job.objects.values_list("pk", flat=True), run(make_queue("r"), started=timedelta(1), ended=None).pk]
    every = [Topic(f"{kind}-rows", str(one), False) for one in sorted(set(ids))]

    def cost(topics: list[Topic]) -> int:
        snapshot = Snapshot(listed=rows.by_kind(topics))
        with CaptureQueriesContext(connection) as captured:
            for topic in topics:
                panels.read(topic, snapshot)
        return len(captured)

    # What is hot and what is not is looked for in different places: a few queries for all of them.
    assert cost(every) <= cost(every[:1]) + 5 <= 12


def test_a_row_is_drawn_again_only_when_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, other = waiting_batch(3), ran_batch(succeed=2)
    topics = [Topic("batch-rows", str(one.pk), False) for one in (batch, other)]
    drawn: list[str] = []
    show = panels.show

    def counting(topic: Topic, found: panels.Context, *, pushed: bool) -> object:
        drawn.append(topic.subject)
        return show(topic, found, pushed=pushed)

    monkeypatch.setattr(panels, "show", counting)
    reader = Reader()

    def read() -> None:
        snapshot = Snapshot()
        for topic in topics:
            reader._render(topic, snapshot)

    for _ in range(3):
        read()
    assert drawn == [str(batch.pk), str(other.pk)]
    Batch.objects.filter(pk=batch.pk).update(paused_at=timezone.now())
    read()
    assert drawn[2:] == [str(batch.pk)]
    reader.forget([topics[1]])
    read()
    assert drawn[3:] == [str(batch.pk)]


def test_a_tick_reads_a_bounded_number_of_rows_and_comes_round_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ROWS_A_TICK", 40)
    hub = Hub()
    listed = {Topic("batch-rows", str(number), False) for number in range(100)}
    watched = listed | {Topic("tiles", "", False)}
    seen: set[Topic] = set()
    for tick in range(3):
        due = live._first(hub._due(watched, tick))
        assert len([topic for topic in due if topic in listed]) <= 40
        assert Topic("tiles", "", False) in due
        hub._read_in.update(dict.fromkeys(due, tick))
        seen |= set(due)
    assert seen == watched


def test_what_was_read_of_some_rows_is_not_read_again_for_others() -> None:
    asked: list[list[int]] = []

    def read(ids: list[int]) -> dict[int, str]:
        asked.append(ids)
        return {one: f"row {one}" for one in ids if one != 4}

    snapshot = Snapshot(listed={"rows": {1, 2, 3}})
    assert snapshot.several("rows", [2], read) == {2: "row 2"}
    assert snapshot.several("rows", [1, 3, 4], read) == {1: "row 1", 3: "row 3"}
    assert snapshot.several("rows", [4], read) == {}
    assert asked == [[1, 2, 3], [4]]
