"""The overview in a real browser: ranges, what needs attention, figures that stay in their places."""

import re
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from monitoring.rollup import roll_up
from queues.models import Queue
from queues.services.pause import pause_queue
from tests.browser.conftest import NARROW, USUAL, Visit
from tests.monitoring.worlds import a_worker, ran_batch, run, waiting_batch
from tests.queues.working import drain, make_queue

Come = Callable[..., Visit]


def world() -> None:
    """A queue with a past, a backlog that is paused for long, a silent worker."""
    queue = make_queue()
    run(
        queue, started=timedelta(minutes=40), ended=timedelta(minutes=39), succeeded=700, wait_ms=40, p50_ms=2, p95_ms=9
    )
    ran_batch(succeed=6, die=2)
    roll_up()
    waiting_batch(30, name="Next mailing")
    a_worker(beat=timedelta(minutes=4))
    pause_queue(name="tested", actor="maria", source="api", reason="moving house")
    Queue.objects.update(paused_at=timezone.now() - timedelta(hours=2))


def test_the_range_is_chosen_with_a_click_and_kept_in_the_address(visit: Come) -> None:
    world()
    window = visit()
    page = window.page
    window.live()
    throughput = page.locator("#panel-throughput")
    expect(throughput).to_contain_text("last 15 minutes")
    page.click(".range-bar a:has-text('6h')")
    page.wait_for_url(re.compile(r"\?window=6h$"))
    window.live()
    expect(throughput).to_contain_text("last 6 hours")
    expect(throughput.locator(".legend")).to_contain_text("succeeded 706")
    expect(page.locator("#panel-latency")).to_contain_text("last 6 hours")
    page.reload()
    window.live()
    expect(page.locator(".range-bar a[aria-current]")).to_have_text("6h")
    page.go_back()
    expect(throughput).to_contain_text("last 15 minutes")
    throughput.locator("summary").click()
    expect(throughput.locator("tbody tr").first).to_be_visible()
    assert window.complaints == []


def test_figures_change_in_place_and_nothing_jumps(visit: Come) -> None:
    waiting_batch(50, name="Moving")
    window = visit()
    window.live()
    page = window.page
    expect(page.locator("#tile-waiting")).to_have_text("50")
    places = "[...document.querySelectorAll('.tile, .tile-value')].map((tile) => tile.getBoundingClientRect().top)"
    before = page.evaluate(places)
    page.evaluate("window.held = document.getElementById('tile-waiting')")
    drain(runs=1, want=50)
    expect(page.locator("#tile-waiting")).to_have_text("0", timeout=2_000 + 3_000)
    assert page.evaluate("window.held.isConnected")
    assert page.evaluate(places) == before


def test_what_needs_attention_is_a_click_away(visit: Come) -> None:
    world()
    window = visit()
    window.live()
    page = window.page
    rows = page.locator(".finding")
    expect(rows).to_have_count(4)
    assert [text.split()[0] for text in rows.all_inner_texts()] == ["warning", "warning", "warning", "notice"]
    page.click(".finding:has-text('paused by maria') .action")
    expect(page.locator("h1")).to_have_text("Resume queue tested?")
    page.click("#confirm")
    page.goto(f"{window.server.url}/")
    expect(page.locator(".finding:has-text('paused by maria')")).to_have_count(0)


def test_the_overview_is_accessible_and_fits(visit: Come) -> None:
    world()
    window = visit()
    for path in ("/", "/?window=7d"):
        page = window.open(path)
        window.live()
        for summary in page.locator(".as-table summary").all():
            summary.click()
        window.flawless(path, (NARROW, USUAL))
    assert window.complaints == []
