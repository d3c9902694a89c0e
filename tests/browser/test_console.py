"""The console in a real browser."""

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from monitoring.login_links import create_login_link
from queues.models import AuditEntry, Batch, DeadLetter
from queues.services.enqueue import enqueue_batch
from tests.browser.conftest import Server, Visit, findings
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import ran_batch, waiting_batch
from tests.queues.working import drain, make_queue

Come = Callable[..., Visit]


def world() -> list[str]:
    """Something on every page; the addresses of all pages."""
    make_queue(max_attempts=1)
    batch = enqueue_batch("tested.do", [{"n": 1}] * 9 + [{"fail": HOSTILE}, {"die": 2}], name="Spring mailing")
    drain()
    waiting_batch(40, name="A" * 200, metadata={"tenant": "acme", "long": "x" * 900})
    parent = enqueue_batch("tested.do", ({} for _ in range(10_001)), split=True, name="In parts")
    letter = DeadLetter.objects.order_by("pk")[0]
    return [
        "/",
        "/batches/",
        f"/batches/{batch.pk}/",
        f"/batches/{parent.pk}/",
        "/dead-letters/",
        "/dead-letters/?queue=tested",
        f"/dead-letters/{letter.pk}/",
        f"/dead-letters/delete/?job={letter.pk}",
        f"/batches/{parent.pk}/cancel/",
        "/queues/tested/pause/",
        "/help/",
        "/nowhere/",
    ]


def test_every_page_is_accessible_fits_and_keeps_to_the_policy(visit: Come) -> None:
    pages = world()
    window = visit(bypass_csp=False)
    window.examine(pages)
    assert [text for text in window.complaints if "404" not in text] == []


def test_the_sign_in_pages_are_accessible(visit: Come) -> None:
    window = visit()
    window.page.context.clear_cookies()
    for path in ("/login/", "/login/link/", "/login/link/#" + "0" * 64):
        assert findings(window.open(path)) == [], path
    window.page.click("#enter")
    expect(window.page.locator("h1")).to_have_text("This link does not work any more")
    assert [text for text in window.complaints if "410" not in text] == []


@pytest.mark.parametrize("scripts", [True, False])
def test_a_link_signs_in(scripts: bool, visit: Come, server: Server) -> None:
    window = visit(java_script_enabled=scripts)
    window.page.context.clear_cookies()
    link = create_login_link(server.url)
    window.page.goto(link)
    if not scripts:
        window.page.fill("#token", link.split("#")[1])
    window.page.click("#enter")
    window.page.wait_for_url(f"{server.url}/")
    expect(window.page.locator("text=Sign out").first).to_be_attached()
    assert window.complaints == []


def test_figures_move_without_reloading(visit: Come) -> None:
    waiting_batch(50, name="Moving")
    window = visit()
    window.live()
    figures = window.page.locator("#panel-in-progress .run-figures")
    expect(figures).to_have_text("0 of 50")
    window.page.evaluate("document.querySelector('.run-name').focus(); window.same = document.activeElement")
    drain(runs=1, want=50)
    expect(window.page.locator("#panel-in-progress")).to_contain_text("No batch is running")
    expect(window.page.locator("#tile-rate")).to_have_text(re.compile(r"^[1-9]"))
    assert window.complaints == []


def test_what_the_reader_holds_stays_where_it_is(visit: Come) -> None:
    waiting_batch(50, name="Moving")
    make_queue("other")
    window = visit()
    window.live()
    window.page.evaluate(
        "document.querySelector('.queues a').focus(); window.held = document.activeElement;"
        "document.querySelector('.as-table').open = true"
    )
    waiting_batch(7)
    expect(window.page.locator(".queues")).to_contain_text("57")
    assert window.page.evaluate("window.held === document.activeElement && window.held.isConnected")
    assert window.page.evaluate("document.querySelector('.as-table').open")


def test_lists_stay_still_and_tell_what_is_new(visit: Come) -> None:
    ran_batch(die=1)
    window = visit()
    page = window.open("/dead-letters/")
    window.live()
    ran_batch(die=3)
    expect(page.locator("#news")).to_have_text("3 new · show")
    assert page.locator("[data-row]").count() == 1
    page.click("#news a")
    expect(page.locator("[data-row]")).to_have_count(4)
    assert page.locator("#news").count() == 0


def test_the_theme_is_chosen_and_kept(visit: Come) -> None:
    window = visit(color_scheme="light")
    shade = "getComputedStyle(document.body).backgroundColor"
    light = window.page.evaluate(shade)
    window.page.keyboard.press("t")
    assert window.page.evaluate(shade) == light
    window.page.click("#theme")
    assert window.page.evaluate(shade) != light
    assert "dark" in str(window.page.get_attribute("#theme", "title"))
    dark = window.page.evaluate(shade)
    window.open("/batches/")
    assert window.page.evaluate(shade) == dark


def test_everything_can_be_done_by_keyboard(visit: Come) -> None:
    ran_batch(die=3)
    window = visit()
    page = window.page
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/dead-letters/causes/")
    page.get_by_role("link", name="Letters", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/dead-letters/")
    for key in ("j", "x", "j", "j", "k", "x"):
        page.keyboard.press(key)
    expect(page.locator("#selected-count")).to_have_text("2 selected")
    page.keyboard.press("f")
    page.keyboard.type("t?p")
    assert page.input_value("[data-filter]") == "t?p"
    expect(page.locator("#keys")).to_be_hidden()
    page.locator('[data-needs-selection]:has-text("Retry")').focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Retry 2 dead letters?")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.locator(".toast")).to_contain_text("2 retried.")
    expect(page.locator("[data-row]")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Job")
    page.keyboard.press("Tab")


def test_the_first_tab_skips_to_the_content(visit: Come) -> None:
    page = visit().page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_pause_holds_the_figures_and_says_their_age(visit: Come) -> None:
    waiting_batch(5)
    window = visit()
    window.live()
    window.page.keyboard.press("p")
    expect(window.page.locator("#live-state")).to_have_attribute("data-state", "paused")
    waiting_batch(60)
    expect(window.page.locator("#banner")).to_contain_text("Paused", timeout=12_000)
    assert "65" not in window.page.inner_text(".queues")
    window.page.keyboard.press("p")
    expect(window.page.locator(".queues")).to_contain_text("65")
    expect(window.page.locator("#banner")).to_be_hidden()


def test_a_page_that_lost_its_server_says_so_and_recovers(visit: Come, server: Server) -> None:
    waiting_batch(5)
    window = visit()
    window.live()
    server.stop()
    expect(window.page.locator("#banner")).to_contain_text("Disconnected", timeout=20_000)
    expect(window.page.locator("#live-state")).to_have_attribute("data-state", "down")
    waiting_batch(60)
    server.start()
    expect(window.page.locator("#live-state")).to_have_attribute("data-state", "live", timeout=20_000)
    expect(window.page.locator(".queues")).to_contain_text("65")
    expect(window.page.locator("#banner")).to_be_hidden()


def test_a_page_without_a_socket_polls(visit: Come) -> None:
    waiting_batch(5)
    window = visit()
    window.page.route_web_socket("**/live/**", lambda socket: socket.close())
    window.open("/")
    waiting_batch(60)
    expect(window.page.locator(".queues")).to_contain_text("65", timeout=20_000)
    expect(window.page.locator("#live-state")).to_have_attribute("data-state", "polling")


def test_a_page_of_somebody_who_signed_out_elsewhere_says_so(visit: Come) -> None:
    window = visit()
    window.live()
    second = window.page.context.new_page()
    second.goto(window.server.url)
    second.click(".menu:has-text('Sign out') summary")
    second.click("text=Sign out")
    second.wait_for_url("**/login/**")
    expect(window.page.locator("#banner")).to_contain_text("signed out", timeout=20_000)
    expect(window.page.locator("#banner-link")).to_be_visible()


def test_a_hidden_tab_lets_go_of_its_socket(visit: Come) -> None:
    window = visit()
    window.live()
    closed: list[float] = []
    window.page.on("websocket", lambda socket: socket.on("close", lambda _: closed.append(time.monotonic())))
    window.open("/")
    window.live()
    window.page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    window.page.wait_for_timeout(7_000)
    assert closed
    window.page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    window.live()


def test_reading_and_single_deeds_need_no_script(visit: Come) -> None:
    ran_batch(die=2)
    window = visit(java_script_enabled=False)
    page = window.open("/dead-letters/")
    page.locator("[data-open]").first.click()
    expect(page.locator("h1")).to_contain_text("Job")
    page.click("#retry")
    expect(page.locator(".toast")).to_contain_text("1 retried.")
    page.locator('[data-row] input[name="job"]').check()
    page.click('.list-bar button:has-text("Delete")')
    page.fill('input[name="reason"]', "not wanted")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("1 deleted.")
    assert not DeadLetter.objects.exists()
    window.open("/queues/tested/pause/")
    page.click("#confirm")
    expect(page.locator(".queues")).to_contain_text("paused")


@pytest.mark.parametrize("width", [360, 1440])
def test_without_script_the_page_promises_no_live_figures(visit: Come, width: int) -> None:
    waiting_batch(5)
    window = visit(java_script_enabled=False, viewport={"width": width, "height": 800})
    page = window.page
    expect(page.get_by_text("Connecting")).to_be_hidden()
    note = page.locator(".unscripted")
    expect(note).to_be_visible()
    assert note.inner_text() == ("Static page, reload for new numbers" if width > 420 else "Static page")
    box = note.bounding_box()
    assert box
    assert box["x"] + box["width"] <= width
    assert box["height"] < 44
    waiting_batch(60)
    note.click()
    expect(page.locator(".queues")).to_contain_text("65")


def test_a_batch_is_cancelled_from_its_page(visit: Come) -> None:
    batch = waiting_batch(12, name="Wrong list")
    window = visit()
    page = window.open(f"/batches/{batch.pk}/")
    window.live()
    page.click("text=Cancel batch")
    page.fill('input[name="reason"]', "wrong list")
    page.click("#confirm")
    expect(page.locator("#panel-batch-progress")).to_contain_text("cancelled")
    expect(page.get_by_role("link", name="Cancel batch")).to_have_count(0)
    expect(page.locator("#why-not")).to_contain_text("Cancel")
    assert Batch.objects.get().state == "cancelled"


def test_the_admin_works_under_the_policy(visit: Come) -> None:
    ran_batch(succeed=2, die=1)
    window = visit()
    index = window.open("/admin/")
    links = index.eval_on_selector_all("#content-main a", "all => all.map(each => each.getAttribute('href'))")
    for link in sorted(set(links)):
        window.open(link)
    window.page.wait_for_load_state("networkidle")
    enqueue_batch("tested.do", [{}] * 3)
    window.open("/admin/queues/batch/")
    window.page.locator("input.action-select").first.check()
    window.page.select_option("select[name=action]", "cancel")
    window.page.get_by_role("button", name="Go").click()
    window.page.get_by_label("Reason").fill("no longer wanted")
    window.page.get_by_role("button", name="Cancel 1 batch").click()
    expect(window.page.locator(".messagelist")).to_contain_text("1 of 1 done")
    assert AuditEntry.objects.get(action="cancel batch").reason == "no longer wanted"
    assert [text for text in window.complaints if "policy" in text.lower()] == []
