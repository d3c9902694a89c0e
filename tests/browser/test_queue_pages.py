"""Queues, workers and activity in a real browser."""

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import expect

from monitoring.rollup import roll_up
from queues.models import AuditEntry, Queue
from queues.services.enqueue import enqueue_batch
from queues.services.pause import pause_queue
from tests.browser.test_console import Come
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import a_worker, run
from tests.queues.working import drain, make_queue


def world() -> list[str]:
    """Something on every page; their addresses."""
    queue = make_queue(max_attempts=1, chunk_size=5)
    make_queue("other")
    enqueue_batch("tested.do", [{"n": 1}] * 9 + [{"die": 2}], name="Spring mailing")
    drain(want=4)
    roll_up()
    enqueue_batch("tested.do", [{}] * 40, name="A" * 200, priority="high")
    enqueue_batch("tested.do", [{}] * 4, run_at=timezone.now() + timedelta(hours=1))
    worker = a_worker(name=HOSTILE[:180], queues=["tested", "other"])
    a_worker(name="gone", beat=timedelta(minutes=5), version="0.9")
    going = run(queue, started=timedelta(seconds=8), ended=None, claimed=40, succeeded=12)
    going.worker_id = worker.pk
    going.save()
    pause_queue(name="other", actor="maria", source="command", reason=HOSTILE[:250])
    return [
        "/queues/",
        "/queues/tested/",
        "/queues/other/?window=7d",
        "/queues/tested/policy/",
        "/queues/tested/pause/",
        "/workers/",
        f"/workers/{worker.pk}/",
        f"/workers/{worker.pk}/stop/",
        "/runs/",
        "/runs/?state=lost",
        "/activity/",
        "/activity/?actor=nobody",
    ]


def test_every_page_is_accessible_fits_and_keeps_to_the_policy(visit: Come) -> None:
    pages = world()
    window = visit(bypass_csp=False)
    window.examine(pages)
    assert window.complaints == []


def test_the_keys_lead_to_the_pages_and_open_a_queue(visit: Come) -> None:
    make_queue()
    window = visit()
    page = window.open("/")
    for key, heading in (("w", "Workers"), ("y", "Activity"), ("q", "Queues")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(heading)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("tested")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()


def test_figures_of_a_queue_move_without_reloading(visit: Come) -> None:
    make_queue()
    window = visit()
    page = window.open("/queues/tested/")
    window.live()
    page.evaluate("window.kept = true")
    expect(page.locator("#panel-queue-now")).to_contain_text("It is empty.")
    enqueue_batch("tested.do", [{}] * 1_234)
    expect(page.locator("#panel-queue-now dd").first).to_contain_text("1,234")
    expect(page.locator("#panel-queue-now")).to_contain_text("no worker that takes it is alive")
    assert page.evaluate("window.kept")


def test_a_pause_and_a_policy_by_keyboard_leave_entries(visit: Come) -> None:
    make_queue()
    window = visit()
    page = window.open("/queues/tested/")
    page.get_by_role("link", name="Pause").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Reason").fill("lunch")
    page.get_by_label("Until").select_option("1h")
    page.locator("#confirm").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#panel-queue-now")).to_contain_text("lunch")
    page.get_by_role("link", name="Change").click()
    page.get_by_label("run size").fill("0")
    page.keyboard.press("Enter")
    expect(page.locator("#about-run_size")).to_contain_text("greater than or equal to 1")
    assert Queue.objects.get().run_size == 500
    page.get_by_label("run size").fill("750")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("Changed: run size")
    page.keyboard.press("g")
    page.keyboard.press("y")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("500 → 750")
    page.get_by_label("What", exact=True).fill("pause queue")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(2)
    assert [text for text in window.complaints if "422" not in text] == []


def test_new_entries_wait_above_the_list(visit: Come) -> None:
    make_queue()
    pause_queue(name="tested", actor="maria", source="command")
    window = visit()
    page = window.open("/activity/")
    window.live()
    pause_queue(name="tested", actor="jo", source="command")
    expect(page.locator("#news")).to_have_text("1 new · show")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("#news a").click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_pages_and_deeds_work_without_scripts(visit: Come) -> None:
    pages = world()
    window = visit(java_script_enabled=False)
    for path in pages:
        expect(window.open(path).locator("h1").first).to_be_visible()
    page = window.open("/workers/")
    page.get_by_role("link", name="Reclaim gone").click()
    page.get_by_label("Reason").fill("power cut")
    page.locator("#confirm").click()
    expect(page.locator(".toast")).to_contain_text("has nothing any more")
    assert AuditEntry.objects.filter(action="reclaim worker", reason="power cut").count() == 1
