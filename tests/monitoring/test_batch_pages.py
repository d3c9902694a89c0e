"""The list of batches and one batch: what they show, what can be done, and why where it cannot."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from monitoring import burn_up, chunk_strip, ways_out
from monitoring.batch_panels import MOST_CLONED
from monitoring.snapshot import Snapshot
from queues import handlers
from queues.domain.outcomes import Reject
from queues.domain.unfinished import Answer, WayOut
from queues.models import AuditEntry, Batch, Chunk, DeadLetter, Job, Operation
from queues.selectors import batch_chunks, batch_lists, batch_past, batch_work, batches
from queues.selectors.batch_lists import BatchQuery
from queues.selectors.batches import BatchCounts, batch_counts
from queues.selectors.clock import database_now
from queues.services.archive import archive
from queues.services.batch_pause import pause_batch
from queues.services.cancel import cancel_batch
from queues.services.enqueue import enqueue_batch
from queues.services.operate import advance_all
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import a_worker, ran_batch, waiting_batch
from tests.queues.working import drain, leased, make_queue

pytestmark = pytest.mark.django_db
WHO = {"actor": "ann", "source": "test"}


@pytest.fixture
def viewer(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("viewer")


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def names(client: Client, **given: str) -> list[str]:
    return [row.name for row in client.get(reverse("batches"), given).context["page"].rows]


def page(client: Client, batch: Batch) -> str:
    return client.get(reverse("batch", args=[batch.pk])).content.decode()


def test_every_filter_of_the_list_narrows_it(viewer: Client) -> None:
    ran_batch(succeed=1, name="done")
    waiting_batch(name="plain", metadata={"tenant": "acme", "size": 3})
    opened = enqueue_batch("tested.do", [1], open=True, name="opened")
    stopped = waiting_batch(name="stopped")
    pause_batch(batch_id=stopped.pk, **WHO)
    first = Batch.objects.get(name="plain")
    enqueue_batch("tested.do", [1], after=[first], name="second")
    assert names(viewer, state="completed") == ["done"]
    assert names(viewer, state="running") == ["second", "stopped", "opened", "plain"]
    assert names(viewer, state="open") == ["opened"]
    assert names(viewer, state="paused") == ["stopped"]
    assert names(viewer, state="waiting") == ["second"]
    assert names(viewer, name="LAI") == ["plain"]
    assert names(viewer, meta="tenant=acme") == ["plain"]
    assert names(viewer, meta="size=3") == ["plain"]
    assert names(viewer, meta="tenant=other") == []
    assert names(viewer, queue="nowhere") == []
    assert names(viewer, since="1h", state="open") == ["opened"]
    assert names(viewer, until="1h") == []
    assert opened.pk


def test_tabs_count_under_the_rest_of_the_filter(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ran_batch(succeed=1, name="b")
    for _ in range(4):
        waiting_batch(1, name="a")
    waiting_batch(1, name="b")
    monkeypatch.setattr(batch_lists, "COUNTED", 3)
    tabs = {state: count for state, _address, count in viewer.get("/batches/?name=a&state=completed").context["tabs"]}
    assert (tabs[""], tabs["running"], tabs["completed"]) == ("3+", "3+", "0")
    whole = {state: count for state, _address, count in viewer.get("/batches/?queue=tested").context["tabs"]}
    assert (whole[""], whole["running"], whole["completed"]) == ("3+", "3+", "1")
    address = {state: query for state, query, _count in viewer.get("/batches/?name=b").context["tabs"]}
    assert address["failed"] == "name=b&state=failed"


@pytest.mark.parametrize(("given", "said"), [({"meta": "acme"}, "key=value"), ({"since": "yesterday"}, "From: write")])
def test_a_filter_that_cannot_be_understood_says_how_it_is_written(
    viewer: Client, given: dict[str, str], said: str
) -> None:
    waiting_batch()
    answer = viewer.get(reverse("batches"), given)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert answer.context["page"].rows == []


def test_the_list_tells_success_among_what_has_ended(viewer: Client) -> None:
    ran_batch(succeed=3, die=1)
    text = viewer.get(reverse("batches")).content.decode()
    assert "75.00 %" in text
    assert 'aria-label="3 succeeded, 1 dead"' in text


def test_a_page_of_a_metadata_filter_is_found_by_the_index() -> None:
    make_queue()
    Batch.objects.bulk_create(
        Batch(
            queue_id=Batch.queue.field.related_model.objects.get().pk, handler="h", chunk_size=1, metadata={"n": number}
        )
        for number in range(3_000)
    )
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE queues_batch")
    query = batch_lists._matching(BatchQuery(metadata=(("n", "77"),))).order_by("-id")[:51]
    assert "batch_metadata" in query.explain()
    assert len(query) == 1


def test_one_batch_says_why_it_is_not_finished_and_offers_the_way_out(operator: Client, viewer: Client) -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1, 2], open=True)
    text = page(operator, batch)
    assert "still open for more jobs and 2 jobs are held" in text
    assert f'href="/batches/{batch.pk}/seal/?next=/batches/{batch.pk}/"' in text
    assert operator.post(reverse("batch-seal", args=[batch.pk])).status_code == 302
    assert "No worker" in page(operator, batch) or "no worker" in page(operator, batch)
    assert "Seal</b>: it takes no more jobs" in page(operator, batch)
    drain()
    assert "Why is it not finished?" not in page(operator, batch)


def test_pausing_and_resuming_from_the_page(operator: Client) -> None:
    batch = waiting_batch(3)
    asked = operator.get(reverse("batch-pause", args=[batch.pk])).content.decode()
    assert "3 waiting jobs are held" in asked
    assert operator.post(reverse("batch-pause", args=[batch.pk]), {"reason": "prices"}).status_code == 302
    assert set(Chunk.objects.filter(batch=batch).values_list("held_why", flat=True)) == {"paused"}
    text = page(operator, batch)
    assert "It is paused by operator" in text and "(prices); 3 jobs are held" in text
    assert f'href="/batches/{batch.pk}/resume/' in text
    refused = operator.get(reverse("batch-pause", args=[batch.pk]), follow=True).content.decode()
    assert "Pause is not possible: it is paused" in refused
    assert operator.post(reverse("batch-resume", args=[batch.pk])).status_code == 302
    assert Chunk.objects.filter(batch=batch, state="ready").exists()
    entry = AuditEntry.objects.get(action="pause batch")
    assert (entry.actor, entry.source, entry.reason, entry.outcome) == ("operator", "page", "prices", {"jobs": 3})
    assert "pause batch" in page(operator, batch)


def test_a_large_batch_is_cancelled_only_with_its_number(operator: Client) -> None:
    batch = waiting_batch(1_500)
    where = reverse("batch-cancel", args=[batch.pk])
    assert "Type 1500 to confirm" in operator.get(where).content.decode()
    refused = operator.post(where, {"typed": "15", "shown": "1500"})
    assert refused.status_code == 422
    # The field that is wrong is the one to go on in.
    (focused,) = re.findall(r"<input[^>]* autofocus[^>]*>", refused.content.decode())
    assert 'name="typed"' in focused and 'aria-invalid="true"' in focused
    assert Batch.objects.get().state == "running"
    assert operator.post(where, {"typed": "1500", "shown": "1500"}).status_code == 302
    assert Batch.objects.get().state == "cancelled"


def test_a_batch_is_deleted_once_it_has_ended(operator: Client) -> None:
    batch = waiting_batch(2)
    where = reverse("batch-delete", args=[batch.pk])
    assert "cancel it first" in operator.get(where, follow=True).content.decode()
    operator.post(reverse("batch-cancel", args=[batch.pk]))
    asked = operator.get(where).content.decode()
    assert "all 2 jobs go to the trash for 3 d 00 h" in asked
    assert f"manage.py operate delete_batches --batches {batch.pk}</pre>" in asked
    assert operator.post(where, {"reason": "wrong file"})["Location"] == f"/batches/{batch.pk}/"
    assert set(Operation.objects.exclude(action="cancel_batches").values_list("action", "reason")) == {
        ("delete_batches", "wrong file"),
        ("delete_batch", "wrong file"),
    }
    advance_all()
    assert Job.objects.count() == 2


@pytest.fixture
def deleted(operator: Client) -> Batch:
    """A batch in the trash."""
    batch = ran_batch(succeed=2, die=1, name="prices")
    operator.post(reverse("batch-delete", args=[batch.pk]), {"reason": "wrong file"})
    return batch


def test_a_deleted_batch_is_whole_in_the_trash_and_can_be_restored(operator: Client, deleted: Batch) -> None:
    text = page(operator, deleted)
    assert "It is in the trash." in text and "wrong file" in text
    assert "Clone" not in text and "it is in the trash: restore it first" in text
    assert "dead-letters/retry" not in text.split("panel-batch-causes")[0]
    assert names(operator) == [] and names(operator, state="trashed") == ["prices"]
    running = operator.get(reverse("operations")).content.decode()
    assert "Delete batch" not in running.split("panel-operations-running")[1].split("</section>")[0]
    operator.post(reverse("batch-restore", args=[deleted.pk]), {"reason": "right after all"})
    assert names(operator) == ["prices"] and "It is in the trash" not in page(operator, deleted)
    assert AuditEntry.objects.get(action="restore batch").reason == "right after all"
    refused = operator.get(reverse("batch-restore", args=[deleted.pk]), follow=True).content.decode()
    assert "Restore is not possible: it is not in the trash" in refused


def test_what_has_lain_in_the_trash_long_enough_is_gone_and_a_tombstone_stays(operator: Client, deleted: Batch) -> None:
    operation = Operation.objects.get(action="delete_batch")
    operation.options["begins"] = (database_now() - timedelta(seconds=1)).isoformat()
    operation.save()
    advance_all()
    assert not Batch.objects.exists() and not Job.objects.exists()
    answer = operator.get(reverse("batch", args=[deleted.pk]))
    text = answer.content.decode()
    assert answer.status_code == 410
    for said in ("prices", "3 jobs was deleted", "wrong file", "operator", f"/operations/{operation.pk}/"):
        assert said in text
    assert operator.get(reverse("batch", args=[deleted.pk + 99])).status_code == 404


def test_a_deleted_batch_whose_jobs_are_retried_leaves_the_trash(operator: Client, deleted: Batch) -> None:
    operator.post(reverse("dead-letters-retry"), {"job": DeadLetter.objects.get().pk})
    assert Operation.objects.get(action="delete_batch").state == "cancelled"
    assert names(operator) == ["prices"]
    assert "It is in the trash" not in page(operator, deleted)


def test_deleting_for_good_needs_a_right_of_its_own(
    operator: Client, deleted: Batch, person: Callable[[str], Any]
) -> None:
    where = reverse("batch-delete", args=[deleted.pk])
    asked = {"for_good": "1"}
    assert operator.get(where).status_code == operator.post(where, asked).status_code == 403
    user = operator.get("/").wsgi_request.user
    user.user_permissions.add(Permission.objects.get(codename="empty_trash"))
    assert "for good?" in operator.get(where).content.decode()
    assert operator.post(where, asked)["Location"] == "/batches/"
    advance_all()
    assert not Batch.objects.exists()


def test_all_jobs_are_run_again_as_a_new_batch(operator: Client) -> None:
    batch = ran_batch(succeed=2, die=1)
    answer = operator.post(reverse("batch-clone", args=[batch.pk]))
    made = Batch.objects.exclude(pk=batch.pk).get()
    assert answer["Location"] == f"/batches/{made.pk}/"
    assert (made.total, made.metadata["retry_of"], made.created_by) == (3, batch.pk, "operator")
    Batch.objects.filter(pk=batch.pk).update(total=MOST_CLONED + 1)
    text = operator.get(reverse("batch-clone", args=[batch.pk]), follow=True).content.decode()
    assert f"manage.py batches retry {batch.pk} --all" in text


def test_somebody_who_may_only_look_is_offered_no_deed(viewer: Client) -> None:
    make_queue(keep_results=60.0)
    text = page(viewer, waiting_batch())
    for deed in ("pause", "cancel", "clone", "delete"):
        assert f"/{deed}/" not in text
    assert "Kept results CSV" in text


def test_counts_lead_to_the_jobs_that_they_count(viewer: Client) -> None:
    batch = ran_batch(succeed=2, die=1)
    text = page(viewer, batch)
    assert f'href="/jobs/?batch={batch.pk}&amp;state=succeeded">2</a>' in text
    assert f'href="/dead-letters/?batch={batch.pk}">1</a>' in text


def test_stages_callback_and_what_follows_are_shown(viewer: Client) -> None:
    make_queue(keep_results=60.0)
    first = enqueue_batch("tested.do", [1], name="load")
    second = enqueue_batch("tested.do", [2], after=[first], name="clean", callback="tested.do", then="tested.all")
    text = page(viewer, second)
    assert f"waits for stage 1: batch {first.pk} “load”" in text
    assert "Stage 2: this batch" in text and "<code>tested.all</code>" in text
    assert "at its first end" in text
    assert f'href="/batches/{second.pk}/"' in page(viewer, first)


def test_what_is_hostile_is_shown_harmlessly(viewer: Client) -> None:
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"fail": HOSTILE}], name=HOSTILE[:200], metadata={HOSTILE[:200]: HOSTILE})
    drain()
    pause_reason = AuditEntry.objects.create(
        actor=HOSTILE[:150], source="page", action="x", target=f"batch {batch.pk}", reason=HOSTILE[:300]
    )
    for text in (page(viewer, batch), viewer.get(reverse("batches")).content.decode()):
        assert "<script>alert" not in text
        assert "\u202e" not in text and "\x1b" not in text
    assert pause_reason.pk


def read(client: Client, batch: Batch, file: str) -> str:
    answer = client.get(f"/batches/{batch.pk}/export/{file}")
    assert answer.status_code == 200
    assert f'filename="batch-{batch.pk}-{file.replace(".", ".")}"' in answer["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_results_are_exported_as_they_are_kept(viewer: Client) -> None:
    make_queue(keep_results=60.0)
    batch = enqueue_batch("tested.do", [{"value": {"n": number}} for number in range(2_500)])
    drain()
    rows = list(csv.reader(io.StringIO(read(viewer, batch, "results.csv"))))
    assert rows[0] == ["job", "result"]
    assert len(rows) == 2_501
    lines = [json.loads(line) for line in read(viewer, batch, "results.jsonl").splitlines()]
    first = Job.objects.earliest("id").pk
    assert lines[0] == {"job": first, "result": {"n": 0}}
    assert [line["result"]["n"] for line in lines] == list(range(2_500))


def test_errors_are_exported_without_formulas(viewer: Client) -> None:
    make_queue(max_attempts=2)
    batch = enqueue_batch("tested.do", [{}, {"fail": "x"}, {"die": "y"}])
    drain()
    lines = [json.loads(line) for line in read(viewer, batch, "errors.jsonl").splitlines()]
    assert [(line["state"], line["error_class"], line["attempts"]) for line in lines] == [
        ("retrying", "ValueError", 1),
        ("dead", "Reject", 1),
    ]
    assert lines[1]["message"] == "asked to die: y"
    assert read(viewer, batch, "errors.csv").splitlines()[0].startswith("job,state,attempts,kind")
    for wrong in ("errors.xls", "payloads.csv"):
        assert viewer.get(f"/batches/{batch.pk}/export/{wrong}").status_code == 404


def test_runs_of_a_batch_are_those_that_held_its_chunks() -> None:
    make_queue(chunk_size=2)
    batch = enqueue_batch("tested.do", range(4))
    other = enqueue_batch("tested.do", range(2))
    drain(want=2)
    found = batch_work.batch_runs(batch.pk)
    assert (found.total, [run.succeeded for run in found.rows]) == (2, [2, 2])
    assert batch_work.batch_runs(other.pk).total == 1
    chart = burn_up.time_line(found.rows, database_now())
    assert chart is not None and [box.kind for box in chart.boxes] == ["succeeded", "succeeded"]
    assert chart.top == 1


def test_the_burn_up_ends_with_the_exact_number_and_points_ahead() -> None:
    make_queue(chunk_size=2)
    batch = enqueue_batch("tested.do", range(8))
    drain(runs=1, want=2)
    ended = batch_work.ended_by_time(batch.pk, 1)
    assert sum(jobs for _at, jobs in ended) == 2
    now = database_now()
    drawn: dict[str, Any] = {"start": now - timedelta(seconds=100), "now": now, "done": 3, "total": 8, "step": 1}
    chart = burn_up.burn_up(ended, **drawn, finished=False, left=timedelta(seconds=50))
    assert chart.forecast.startswith("M600.0 100.0L900 0.0")
    assert chart.line.endswith("600.0 100.0")
    far = burn_up.burn_up(ended, **drawn, finished=False, left=timedelta(days=1))
    assert far.forecast.startswith("M450.0 100.0L900 ")
    done = burn_up.burn_up(ended, **drawn, finished=True, left=None)
    assert done.forecast == "" and done.now is None


def test_many_runs_are_drawn_as_how_many_were_at_work() -> None:
    now = database_now()
    runs = [
        batch_work.BatchRun(
            n, "w", now - timedelta(seconds=400 - n), now - timedelta(seconds=390 - n), "done", 1, 1, 0, 0
        )
        for n in range(350)
    ]
    chart = burn_up.time_line(runs, now)
    assert chart is not None and not chart.boxes
    assert [layer.kind for layer in chart.layers] == ["succeeded"]
    assert 10 <= chart.top <= 14


def test_a_lost_and_a_running_run_are_drawn_as_such() -> None:
    make_queue()
    batch = enqueue_batch("tested.do", [1])
    with leased():
        found = batch_work.batch_runs(batch.pk)
        assert [burn_up.kind(run) for run in found.rows] == ["running"]


def test_each_chunk_is_a_cell_that_says_where_its_jobs_stand(viewer: Client) -> None:
    make_queue(chunk_size=2, max_attempts=2, backoff_base=60.0)
    batch = enqueue_batch("tested.do", [{}, {}, {"die": 1}, {"fail": 1}, {}, {}])
    drain(runs=2, want=2)
    cells = batch_chunks.strip(batch.pk) or []
    # Two chunks done, one that waits, and those to which the dead and the failed job have moved.
    totals = [sum(getattr(cell, kind) for cell in cells) for kind in ("succeeded", "waiting", "retrying", "dead")]
    assert totals == [2, 2, 1, 1]
    strip = chunk_strip.draw(cells)
    assert strip is not None and {layer.kind: layer.jobs for layer in strip.layers} == {
        "succeeded": 2, "waiting": 2, "retrying": 1, "dead": 1,
    }  # fmt: skip
    assert strip.places[0].words == "Chunk 1: 2 succeeded"
    assert {place.leads_to for place in strip.places} == {"succeeded", "waiting", "retrying", "dead"}
    text = page(viewer, batch)
    assert f'href="/jobs/?batch={batch.pk}&amp;state=retrying"' in text
    assert 'fill="url(#strip-dead)"' in text
    gathered = batch_chunks.strip(batch.pk, cells=2) or []
    assert len(gathered) == 2 and sum(cell.chunks for cell in gathered) == len(cells)


def test_a_batch_of_too_many_chunks_says_so(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_queue(chunk_size=1)
    batch = enqueue_batch("tested.do", range(4))
    monkeypatch.setattr(batch_chunks, "MOST", 3)
    assert batch_chunks.strip(batch.pk) is None
    assert "It has more than 3 chunks" in page(viewer, batch)


def test_the_forecast_has_a_range_of_the_rates_lately() -> None:
    now = database_now()
    start = now - timedelta(seconds=100)
    # Twice as quick in the last quarter as before.
    ended = [(start + timedelta(seconds=second), 2 if second >= 75 else 1) for second in range(100)]
    slow, fast = burn_up.paces(ended, start=start, now=now, step=1, present=1.6) or (0, 0)
    assert (round(slow, 2), round(fast, 2)) == (1.25, 2.0)
    chart = burn_up.burn_up(
        ended, start=start, now=now, finished=False, done=125, total=225, left=timedelta(seconds=62.5), step=1,
        paces=(1.25, 2.0),
    )  # fmt: skip
    x = 900 * 100 / 162.5
    assert chart.cone.startswith(f"M{x:.1f} ")
    assert chart.cone.split("L")[1] == f"{x + 50 * 900 / 162.5:.1f} 0"
    assert burn_up.paces(ended, start=start, now=now, step=1, present=None) is not None
    assert burn_up.paces([], start=start, now=now, step=1, present=2.0) is None
    assert burn_up.paces(ended, start=now - timedelta(seconds=2), now=now, step=1, present=2.0) is None


def test_a_batch_is_compared_with_the_last_of_its_name_that_has_ended(viewer: Client) -> None:
    first = ran_batch(succeed=3, die=1, name="nightly")
    ran_batch(succeed=1, name="other")
    waiting_batch(1, name="nightly")
    last = waiting_batch(2, name="nightly")
    row = batches.batch(last.pk)
    assert row is not None
    before = batch_past.earlier(row)
    assert before is not None and (before.id, before.jobs, before.success_rate) == (first.pk, 4, 0.75)
    text = page(viewer, last)
    assert f'<a href="/batches/{first.pk}/">Batch {first.pk}</a>' in text and "75.00 %" in text
    assert "Compared with the one before" not in page(viewer, first)


@pytest.mark.parametrize(("fail", "state"), [(False, "succeeded"), (True, "dead")])
def test_the_callback_is_shown_with_its_outcome(viewer: Client, fail: bool, state: str) -> None:
    make_queue()
    handlers.handler(queue="tested", name="tests.called_back")(_refuse if fail else _accept)
    try:
        batch = enqueue_batch("tested.do", [1], callback="tests.called_back")
        enqueue_batch("tested.do", [1], callback="tests.called_back")
        drain(runs=1)
        found = batch_past.callback(batch.pk)
        assert found is not None and found.state == "waiting"
        drain()
        found = batch_past.callback(batch.pk)
        assert found is not None and found.state == state
        assert json.loads(Job.objects.get(pk=found.job_id).payload)["batch"] == batch.pk
        assert f'<a href="/jobs/{found.job_id}/">job {found.job_id}</a>' in page(viewer, batch)
    finally:
        handlers._handlers.pop("tests.called_back")


def _accept(job: object) -> None:
    pass


def _refuse(job: object) -> None:
    raise Reject("no")


def test_one_cause_alone_is_retried(operator: Client, viewer: Client) -> None:
    batch = ran_batch(succeed=1, die=2)
    fingerprint = DeadLetter.objects.earliest("pk").fingerprint
    link = f"/dead-letters/retry/?all=1&amp;batch={batch.pk}&amp;cause={fingerprint}&amp;next=/batches/{batch.pk}/"
    assert link in page(operator, batch)
    assert link not in page(viewer, batch)


def test_a_cause_without_a_fingerprint_is_retried_from_the_batch(operator: Client) -> None:
    other, batch = ran_batch(die=1), ran_batch(succeed=1, die=2)
    DeadLetter.objects.update(fingerprint="", error_class="")
    shown = page(operator, batch)
    assert "<b>rejected by its handler</b>" in shown.split('id="cause-none"')[1].split("</li>")[0]
    link = f"/dead-letters/retry/?all=1&amp;batch={batch.pk}&amp;cause=none&amp;next=/batches/{batch.pk}/"
    assert link in shown
    question = operator.get(unescape(link)).content.decode()
    assert f"Retry 2 dead letters of batch {batch.pk} with cause none?" in question
    assert f'href="/dead-letters/?batch={batch.pk}&amp;cause=none"' in shown
    listed = operator.get(f"/dead-letters/?batch={batch.pk}&cause=none").content.decode()
    assert listed.count('<tr data-row id="job-') == 2
    assert DeadLetter.objects.filter(batch=other).count() == 1


def test_cancelled_jobs_of_a_batch_are_offered_to_run_after_all(operator: Client, viewer: Client) -> None:
    batch = waiting_batch(3)
    assert "Retry cancelled</b>: nothing of it is cancelled" in page(operator, batch)
    cancel_batch(batch_id=batch.pk, actor="ann", source="api")
    link = f"/operations/new/retry/?batch={batch.pk}&amp;state=cancelled&amp;all=1"
    shown = page(operator, batch)
    # As the way out, and among the deeds beside running all of it again.
    assert (shown.count(link), shown.count("Retry 3 cancelled"), "Run all again" in shown) == (2, 2, True)
    assert f"/jobs/?batch={batch.pk}&amp;state=cancelled" in page(viewer, batch) and link not in page(viewer, batch)
    assert "Retry 3 cancelled jobs of batch" in operator.get(link.replace("&amp;", "&")).content.decode()
    assert "all 3 that match" in operator.get(f"/jobs/?state=cancelled&batch={batch.pk}").content.decode()
    archive()
    link = f"/operations/new/unarchive/?batch={batch.pk}&amp;outcome=cancelled&amp;all=1"
    assert page(operator, batch).count(link) == 2
    operator.post(link.split("?")[0], {"all": "1", "batch": batch.pk, "outcome": "cancelled", **_bound(operator, link)})
    assert batch_counts([batch.pk])[batch.pk] == BatchCounts(waiting=3)


def _bound(client: Client, link: str) -> dict[str, str]:
    """The bounds of a question, as its form sends them back."""
    asked = client.get(link.replace("&amp;", "&")).content.decode()
    found = dict(re.findall(r'name="(until|top|shown)" value="([^"]*)"', asked))
    assert "until" in found
    return found


def test_every_way_out_leads_to_a_page_that_is_there(operator: Client) -> None:
    batch = ran_batch(succeed=1, die=1)
    line = Snapshot({batch.pk}).batch(batch.pk)
    assert line is not None
    gone = a_worker(beat=timedelta(minutes=5))
    asleep = a_worker(state="suspended")
    subjects = {
        WayOut.SEE_BATCH: str(batch.pk), WayOut.RESUME_WORKER: str(asleep.pk), WayOut.RECLAIM: str(gone.pk),
        WayOut.RUN_NOW: "retrying",
    }  # fmt: skip
    for way_out in WayOut:
        for operate in (True, False):
            found = ways_out.link(Answer("x", "x", way_out, subjects.get(way_out, "tested")), line, operate=operate)
            assert (found is None) == (way_out is WayOut.NONE or (not operate and way_out in NO_SIGHT)), way_out
            if found is not None:
                assert operator.get(found.url, follow=True).status_code == 200, found.url


# Who may only look has nothing to see there that the page does not show.
NO_SIGHT = {WayOut.SEAL, WayOut.RESUME_BATCH, WayOut.RUN_AGAIN}


def test_the_question_about_the_trash_answered_twice_deletes_nothing_for_good(operator: Client) -> None:
    batch = ran_batch(succeed=2)
    operator.get("/").wsgi_request.user.user_permissions.add(Permission.objects.get(codename="empty_trash"))
    url = reverse("batch-delete", args=[batch.pk])
    operator.post(url)
    assert "is in the trash already. Nothing was changed." in operator.post(url, follow=True).content.decode()
    kept = Operation.objects.get(action="delete_batch")
    assert kept.options["begins"]
    assert 'name="for_good" value="1"' in operator.get(url).content.decode()
    operator.post(url, {"for_good": "1"})
    kept.refresh_from_db()
    assert "begins" not in kept.options
