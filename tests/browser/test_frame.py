"""The frame of every page in a real browser: search, pace, zone, keys, counts."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NARROW, Visit
from tests.monitoring.worlds import ran_batch, waiting_batch

Come = Callable[..., Visit]


def test_everything_is_searched_from_the_keyboard(visit: Come) -> None:
    waiting_batch(2, name="Spring one")
    waiting_batch(2, name="Spring two")
    window = visit()
    page = window.page
    page.keyboard.press("/")
    page.keyboard.type("spring")
    page.keyboard.press("Enter")
    expect(page.locator("[data-row]")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Spring two")
    page.keyboard.press("Control+k")
    page.keyboard.type("tested")
    page.keyboard.press("Enter")
    page.wait_for_url("**/queues/tested/")
    assert window.complaints == []


@pytest.mark.parametrize("scripts", [True, False])
def test_search_works_with_and_without_scripts(scripts: bool, visit: Come) -> None:
    ran_batch(die=1)
    page = visit(java_script_enabled=scripts).page
    page.fill("#search", "asked to")
    page.press("#search", "Enter")
    expect(page.locator("h2").first).to_have_text("Causes")


def test_times_are_local_or_utc_and_the_choice_is_kept(visit: Come) -> None:
    ran_batch(die=1)
    window = visit(timezone_id="Asia/Tokyo", locale="en-GB")
    page = window.open("/activity/")
    page.goto(window.server.url + "/queues/tested/?window=1h")
    hit = page.locator("rect.hit title").first
    assert "UTC" not in str(hit.text_content())
    page.keyboard.press("z")
    expect(page.locator("#zone-word")).to_have_text("UTC")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: ", str(hit.text_content()))
    window.open("/batches/")
    expect(page.locator("#zone-word")).to_have_text("UTC")
    time = page.locator("time").first
    assert re.search(r" here · .* UTC$", str(time.get_attribute("title")))


def test_a_slower_pace_is_asked_of_the_socket_and_kept(visit: Come) -> None:
    window = visit()
    page = window.page
    window.live()
    page.click("#live-state")
    page.click('[data-pace="15"]')
    expect(page.locator(".live-word")).to_have_text("Every 15 s")
    assert page.evaluate("localStorage.getItem('pace')") == "15"
    page.keyboard.press("p")
    expect(page.locator("#live-state")).to_have_attribute("data-state", "paused")
    page.locator("#live-state").focus()
    page.keyboard.press("Enter")
    page.locator('[data-pace="1"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator(".live-word")).to_have_text("Live")
    waiting_batch(77)
    expect(page.locator("#panel-queues")).to_contain_text("77")


def test_counts_of_the_rail_move(visit: Come) -> None:
    window = visit()
    window.live()
    letters = window.page.locator('[data-count="dead-letters"]')
    expect(letters).to_have_text("")
    ran_batch(die=3)
    expect(letters).to_have_text("3")
    assert window.page.locator("html").get_attribute("data-scripted") == ""


def test_a_page_without_figures_fetches_its_counts(visit: Come) -> None:
    window = visit()
    page = window.open("/help/")
    expect(page.locator(".health")).not_to_have_class(re.compile("is-unknown"))


def test_keys_can_be_turned_off_and_say_what_they_did(visit: Come) -> None:
    window = visit()
    page = window.open("/batches/")
    page.keyboard.press("y")
    expect(page.locator(".toast-said")).to_be_visible()
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.hasAttribute('data-filter')")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.uncheck("#keys [data-keys-on]")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "search"
    assert page.url.endswith("/batches/")
    page = window.open("/help/")
    expect(page.locator("main [data-keys-on]")).not_to_be_checked()


def test_the_frame_is_accessible_and_fits_a_phone(visit: Come) -> None:
    waiting_batch(3, name="Spring")
    ran_batch(die=2)
    window = visit()
    window.examine(["/search/", "/search/?q=s", "/help/", "/?from=2h", "/?from=never"], (NARROW,))
    assert window.complaints == []
