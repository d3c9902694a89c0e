"""Lists that are live in a real browser: what they tell changes, and no row moves under the cursor."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from monitoring import live, shares
from queues.models import Batch, Chunk, Job, Run
from queues.services import operate
from queues.services.enqueue import enqueue_batch
from tests.browser.conftest import Server, Visit
from tests.monitoring.test_operations_pages import world
from tests.monitoring.worlds import ran_batch, run, waiting_batch
from tests.queues.working import drain, make_queue

Come = Callable[..., Visit]
# A reading a second, and time for a machine that does other things as well.
SOON = 10_000
PLACES = "[...document.querySelectorAll('[data-row]')].map((row) => [row.id, row.getBoundingClientRect().top])"


def cell(page: Page, row: str, name: str) -> str:
    """The address of a cell."""
    return f'#{row} [data-cell="{name}"]'


def test_batches_change_in_their_places_and_new_ones_wait(visit: Come) -> None:
    moving, still, gone = waiting_batch(50, name="Moving"), waiting_batch(2, name="Still"), waiting_batch(1)
    window = visit()
    page = window.open("/batches/")
    window.live()
    before = page.evaluate(PLACES)
    assert [row for row, _top in before] == [f"batch-{one.pk}" for one in (gone, still, moving)]
    row = f"batch-{moving.pk}"
    page.evaluate(f"window.held = document.getElementById('{row}')")
    page.locator(f"#{row} [data-open]").focus()
    Job.objects.filter(batch=gone).delete()
    Chunk.objects.filter(batch=gone).delete()
    Batch.objects.filter(pk=gone.pk).delete()
    drain(runs=2, want=52)
    waiting_batch(3, name="New")
    expect(page.locator(cell(page, row, "ended"))).to_have_text("50 of 50", timeout=SOON)
    expect(page.locator(cell(page, row, "state"))).to_have_text("completed", timeout=SOON)
    expect(page.locator(cell(page, f"batch-{gone.pk}", "state"))).to_have_text("deleted", timeout=SOON)
    expect(page.locator("#news")).to_have_text("1 new · show", timeout=SOON)
    expect(page.locator(".tabs a", has_text="completed").locator(".tab-count")).to_have_text("2", timeout=SOON)
    assert page.evaluate(PLACES) == before
    assert page.evaluate("window.held.isConnected && window.held.contains(document.activeElement)")
    page.click("#news a")
    expect(page.locator("[data-row]")).to_have_count(3)
    assert window.complaints == []


def test_a_run_ends_where_it_is(visit: Come) -> None:
    queue = make_queue()
    first, second = (run(queue, started=timedelta(seconds=age), ended=None, claimed=10) for age in (90, 30))
    window = visit()
    page = window.open("/runs/")
    window.live()
    before = page.evaluate(PLACES)
    expect(page.locator(cell(page, f"run-{first.pk}", "took"))).to_have_text(re.compile(r"^1 min \d\d s$"))
    Run.objects.filter(pk=first.pk).update(succeeded=4)
    expect(page.locator(cell(page, f"run-{first.pk}", "jobs"))).to_have_text("4 of 10", timeout=SOON)
    Run.objects.filter(pk=first.pk).update(state="done", finished_at=timezone.now(), succeeded=10)
    run(queue, started=timedelta(seconds=1), ended=None, claimed=5)
    expect(page.locator(cell(page, f"run-{first.pk}", "state"))).to_have_text("done", timeout=SOON)
    expect(page.locator("#news")).to_have_text("1 new · show", timeout=SOON)
    assert page.evaluate(PLACES) == before
    assert second.pk > first.pk


def test_jobs_and_dead_letters_change_and_stay_selected(visit: Come) -> None:
    make_queue()
    letters = Job.objects.filter(batch=ran_batch(die=2)).order_by("pk").values_list("pk", flat=True)
    waiting = Job.objects.get(batch=waiting_batch(1))
    window = visit()
    page = window.open("/jobs/")
    window.live()
    page.locator(f"#job-{waiting.pk} input").check()
    drain()
    expect(page.locator(cell(page, f"job-{waiting.pk}", "state"))).to_have_text("succeeded", timeout=SOON)
    assert page.locator(f"#job-{waiting.pk} input").is_checked()

    window.open("/dead-letters/")
    window.live()
    before = page.evaluate(PLACES)
    for action, job in zip(("retry", "delete"), letters, strict=True):
        operate.start(action=action, selection={"job_ids": [job]}, actor="ann", source="api")
    operate.advance_all()
    expect(page.locator(cell(page, f"job-{letters[0]}", "fate"))).to_contain_text("retried", timeout=SOON)
    expect(page.locator(cell(page, f"job-{letters[1]}", "fate"))).to_contain_text("deleted", timeout=SOON)
    assert page.evaluate(PLACES) == before
    assert window.complaints == []


def test_what_runs_next_holds_still_under_the_cursor_and_goes_on_after(visit: Come) -> None:
    # With a past, so that the panels above have their charts already.
    ran_batch(succeed=5)
    for number in range(3):
        waiting_batch(5, name=f"batch {number}")
    window = visit()
    page = window.open("/queues/tested/")
    window.live()
    rows = page.locator("#panel-queue-next [data-row]")
    expect(rows).to_have_count(3)
    shown = page.evaluate(PLACES)
    rows.nth(1).hover()
    drain(runs=1, want=5)
    expect(page.locator("#panel-queue-next")).to_have_attribute("data-held", "", timeout=SOON)
    assert [row for row, _top in page.evaluate(PLACES)] == [row for row, _top in shown]
    expect(rows.nth(0)).to_have_attribute("data-gone", "")
    page.mouse.move(0, 0)
    expect(rows).to_have_count(2)
    assert [row for row, _top in page.evaluate(PLACES)] == [row for row, _top in shown[1:]]


def test_causes_count_in_their_places_and_new_ones_wait_for_the_pointer(visit: Come) -> None:
    many, few = world()
    window = visit()
    page = window.open("/dead-letters/causes/")
    window.live()
    expect(page.locator("#panel-causes .list-bar")).to_contain_text("2 causes of 4 dead letters")
    before = page.evaluate(PLACES)
    assert [row for row, _top in before] == [f"cause-{many}", f"cause-{few}"]
    page.locator(f"#cause-{few}").hover()
    enqueue_batch("tested.do", [{"die": "no"} for _ in range(4)] + [{"fail": "the disk is full"}])
    drain()
    expect(page.locator(f"#cause-{few} .num")).to_have_text("5", timeout=SOON)
    expect(page.locator("#panel-causes .list-bar")).to_contain_text("3 causes of 9 dead letters")
    assert page.evaluate(PLACES) == before
    page.mouse.move(0, 0)
    expect(page.locator("[data-row]")).to_have_count(3, timeout=SOON)
    assert page.evaluate(PLACES)[0][0] == f"cause-{few}"

    window.open(f"/dead-letters/causes/{few}/")
    window.live()
    expect(page.locator("#panel-cause-facts dd").first).to_have_text("5")
    enqueue_batch("tested.do", [{"die": "no"}])
    drain()
    expect(page.locator("#panel-cause-facts dd").first).to_have_text("6", timeout=SOON)
    expect(page.locator("#retry-cause")).to_have_text("Retry 6")
    expect(page.locator("#panel-cause-trend .muted").first).to_contain_text("6 died")
    assert window.complaints == []


def test_causes_above_the_letters_do_not_push_them_away(visit: Come) -> None:
    many, few = world()
    window = visit()
    page = window.open("/dead-letters/")
    window.live()
    before = page.evaluate(PLACES)
    enqueue_batch("tested.do", [{"die": "no"} for _ in range(4)] + [{"fail": "the disk is full"}])
    drain()
    expect(page.locator(f"#panel-letter-causes #cause-{few} .cause-count")).to_have_text("5", timeout=SOON)
    expect(page.locator("#news")).to_have_text("5 new · show", timeout=SOON)
    expect(page.locator("#panel-letter-causes li")).to_have_count(2)
    operate.start(action="retry_dead", selection={"fingerprint": many}, actor="ann", source="api")
    operate.advance_all()
    expect(page.locator(f"#panel-letter-causes #cause-{many}")).to_have_attribute("data-gone", "", timeout=SOON)
    assert page.evaluate(PLACES) == before
    assert window.complaints == []


def test_selected_text_is_not_taken_from_the_reader(visit: Come) -> None:
    batch = waiting_batch(50)
    window = visit()
    page = window.open("/batches/")
    window.live()
    row = f"batch-{batch.pk}"
    select = f"getSelection().selectAllChildren(document.querySelector('{cell(page, row, 'ended')}'))"
    page.evaluate(select)
    drain(runs=1, want=50)
    expect(page.locator(cell(page, row, "state"))).to_have_text("completed", timeout=SOON)
    assert page.evaluate("getSelection().toString()").strip() == "0 of 50"
    page.evaluate("getSelection().removeAllRanges()")
    expect(page.locator(cell(page, row, "ended"))).to_have_text("50 of 50")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_what_has_changed_is_shown_for_a_moment_unless_motion_is_unwanted(motion: str, visit: Come) -> None:
    batch = waiting_batch(5)
    window = visit(reduced_motion=motion)
    page = window.open("/batches/")
    window.live()
    page.evaluate(
        "() => { window.shown = 0; const animate = Element.prototype.animate;"
        "Element.prototype.animate = function (...all) { window.shown += 1; return animate.apply(this, all); }; }"
    )
    drain(runs=1, want=5)
    expect(page.locator(cell(page, f"batch-{batch.pk}", "state"))).to_have_text("completed", timeout=SOON)
    assert (page.evaluate("window.shown") > 0) == (motion != "reduce")


def test_a_list_that_lost_its_server_tells_how_old_it_is_and_goes_on_by_itself(visit: Come, server: Server) -> None:
    batch = waiting_batch(5)
    window = visit()
    page = window.open("/batches/")
    window.live()
    page.evaluate("window.same = true")
    before = page.evaluate(PLACES)
    server.stop()
    banner = page.locator("#banner")
    expect(banner).to_contain_text(re.compile(r"Disconnected\. These figures are \d+ s old"), timeout=SOON)
    age = int(re.findall(r"\d+", banner.inner_text())[0])
    expect(banner).to_contain_text(f"{age + 2} s old", timeout=SOON)
    assert page.evaluate("document.documentElement.hasAttribute('data-stale')")
    assert page.evaluate(PLACES) == before
    drain(runs=1, want=5)
    server.start()
    expect(page.locator(cell(page, f"batch-{batch.pk}", "state"))).to_have_text("completed", timeout=SOON)
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live", timeout=SOON)
    expect(banner).to_be_hidden()
    assert page.evaluate("window.same")


def test_a_page_too_many_of_one_person_asks_calmly_until_there_is_room(
    visit: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = waiting_batch(5)
    window = visit()
    monkeypatch.setattr(shares, "MOST_SOCKETS_OF_ONE", 0)
    page = window.open("/batches/")
    state = page.locator("#live-state")
    expect(state).to_have_attribute("data-state", "polling", timeout=SOON)
    expect(state).to_have_attribute("title", re.compile("You have many live pages open"))
    expect(page.locator("#announce")).to_contain_text("You have many live pages open")
    expect(page.locator("#banner")).to_be_hidden()
    drain(runs=1, want=5)
    expect(page.locator(cell(page, f"batch-{batch.pk}", "state"))).to_have_text("completed", timeout=2 * SOON)
    expect(page.locator("#banner")).to_be_hidden()
    monkeypatch.setattr(shares, "MOST_SOCKETS_OF_ONE", 50)
    # Whoever comes back to the page does not wait for the next try.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(state).to_have_attribute("data-state", "live", timeout=SOON)


def test_a_list_of_which_too_much_is_watched_says_that_it_is_behind(
    visit: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(12):
        waiting_batch(1)
    window = visit()
    page = window.open("/batches/")
    window.live()
    monkeypatch.setattr(live, "ROWS_A_TICK", 1)
    banner = page.locator("#banner")
    expect(banner).to_contain_text(
        re.compile(r"Some of these figures are \d+ s old: more is watched"), timeout=2 * SOON
    )
    expect(page.locator("#live-state")).to_have_attribute("data-state", "behind")
    monkeypatch.setattr(live, "ROWS_A_TICK", 500)
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live", timeout=SOON)
    expect(banner).to_be_hidden()


def test_a_list_without_a_socket_asks_for_its_rows(visit: Come) -> None:
    batch = waiting_batch(5)
    window = visit()
    window.page.route_web_socket("**/live/**", lambda socket: socket.close())
    page = window.open("/batches/")
    drain(runs=1, want=5)
    row = f"batch-{batch.pk}"
    expect(page.locator(cell(page, row, "state"))).to_have_text("completed", timeout=2 * SOON)
    expect(page.locator("#live-state")).to_have_attribute("data-state", "polling")
    assert Batch.objects.get(pk=batch.pk).state == "completed"
