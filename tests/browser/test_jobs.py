"""The pages of jobs and of the archive in a real browser."""

import pytest
from playwright.sync_api import expect

from queues.models import ArchivedJob, DeadLetter, Job
from queues.services.archive import archive
from queues.services.enqueue import enqueue_batch
from tests.browser.test_console import NARROW, Come, findings
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import waiting_batch
from tests.queues.working import drain, make_queue


def world() -> list[str]:
    """Jobs hot, dead and archived; the addresses of all pages about them."""
    make_queue(max_attempts=1)
    enqueue_batch("tested.do", [{"n": 1}] * 5)
    drain()
    archive()
    enqueue_batch("tested.do", [{"n": n} for n in range(3)] + [{"fail": HOSTILE, "long": "x" * 9_000}, {"die": 2}])
    drain()
    waiting_batch(60, name="A" * 200)
    letter = DeadLetter.objects.order_by("pk")[0]
    archived = ArchivedJob.objects.order_by("pk")[0]
    return [
        "/jobs/",
        "/jobs/?state=dead&error=asked&since=2h",
        "/jobs/?state=scheduled",
        "/jobs/?payload=wrong",
        f"/jobs/{letter.pk}/",
        f"/jobs/{archived.pk}/",
        "/jobs/999999999/",
        "/archive/",
        "/archive/sizes/",
        f"/archive/restore/?job={archived.pk}",
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_of_jobs_are_accessible_and_keep_to_the_policy(theme: str, visit: Come) -> None:
    pages = world()
    window = visit(color_scheme=theme, bypass_csp=False)
    for path in pages:
        page = window.open(path)
        if page.locator("#live-state").count():
            window.live()
        assert findings(page) == [], path
    assert [text for text in window.complaints if "404" not in text] == []


@pytest.mark.parametrize("viewport", [NARROW, {"width": 2560, "height": 1300}])
def test_no_page_of_jobs_scrolls_sideways(viewport: dict[str, int], visit: Come) -> None:
    pages = world()
    visit(viewport=viewport).fits(pages, viewport["width"])


def test_filters_survive_reload_and_back(visit: Come) -> None:
    world()
    window = visit()
    page = window.open("/jobs/")
    page.locator(".tabs a", has_text="dead").click()
    page.locator(".more-filters summary").click()
    page.fill('.filters input[name="error"]', "asked to die")
    page.locator('.filters button[type="submit"]').click()
    expect(page.locator("[data-row]")).to_have_count(1)
    filtered = page.url
    assert "state=dead" in filtered
    assert "error=asked+to+die" in filtered
    page.reload()
    expect(page.locator('.filters input[name="error"]')).to_have_value("asked to die")
    expect(page.locator('.tabs a[aria-current="true"]')).to_have_text("dead")
    page.locator("[data-open]").click()
    expect(page.locator("h1")).to_contain_text("Job")
    page.go_back()
    assert page.url == filtered
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator('.filters input[name="error"]')).to_have_value("asked to die")
    assert window.complaints == []


def test_the_keys_lead_from_job_to_job(visit: Come) -> None:
    world()
    window = visit()
    page = window.open("/jobs/?state=waiting")
    first, second = page.locator("[data-open]").all_inner_texts()[:2]
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(f"Job {first}")
    page.keyboard.press("]")
    expect(page.locator("h1")).to_have_text(f"Job {second}")
    page.keyboard.press("[")
    expect(page.locator("h1")).to_have_text(f"Job {first}")
    assert window.complaints == []


def test_a_job_is_cancelled_from_the_list(visit: Come) -> None:
    world()
    window = visit()
    page = window.open("/jobs/?state=waiting")
    page.locator('[data-row] input[name="job"]').nth(0).check()
    page.locator("#jobs .list-bar button", has_text="Cancel").click()
    expect(page.locator("h1")).to_contain_text("Cancel 1 job")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("1 cancelled")
    assert Job.objects.filter(own_state="cancelled").count() == 1
    assert window.complaints == []


def test_jobs_are_read_and_acted_on_without_scripts(visit: Come) -> None:
    pages = world()
    window = visit(java_script_enabled=False)
    for path in pages:
        assert window.open(path).locator("h1").count() == 1, path
    page = window.open("/jobs/?state=dead")
    page.locator('[data-row] input[name="job"]').nth(0).check()
    page.locator("#jobs .list-bar button", has_text="Retry").click()
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("1 retried")
