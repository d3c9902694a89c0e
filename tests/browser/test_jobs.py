"""The pages of jobs and of the archive in a real browser."""

from playwright.sync_api import expect

from queues.models import ArchivedJob, DeadLetter, Job
from queues.services.archive import archive
from queues.services.enqueue import enqueue_batch
from tests.browser.test_console import Come
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import waiting_batch
from tests.queues.working import drain, make_queue

# A reading every other second, and time for a machine that does other things as well.
SOON = 10_000


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


def test_the_pages_of_jobs_are_accessible_fit_and_keep_to_the_policy(visit: Come) -> None:
    pages = world()
    window = visit(bypass_csp=False)
    window.examine(pages)
    assert [text for text in window.complaints if "404" not in text] == []


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


def test_the_page_of_a_job_changes_by_itself(visit: Come) -> None:
    make_queue()
    job = Job.objects.get(batch=enqueue_batch("tested.do", [{"n": 1}])).pk
    window = visit()
    page = window.open(f"/jobs/{job}/")
    window.live()
    expect(page.locator(".head-state")).to_have_text("waiting")
    expect(page.locator("#cancel")).to_be_visible()
    page.evaluate("window.payload = document.querySelector('pre.json')")
    drain()
    expect(page.locator(".head-state")).to_have_text("succeeded", timeout=SOON)
    expect(page.locator(".events")).to_contain_text("ran, and succeeded", timeout=SOON)
    expect(page.locator("#cancel")).to_have_count(0)
    expect(page.locator("#panel-job-about")).to_contain_text("not possible: it has succeeded", timeout=SOON)
    assert page.evaluate("window.payload.isConnected")
    assert window.complaints == []


def test_a_deed_on_the_page_of_a_job_leads_back_to_its_place_in_the_list(visit: Come) -> None:
    waiting_batch(3)
    window = visit()
    page = window.open("/jobs/?state=waiting")
    page.locator("[data-open]").nth(1).click()
    expect(page.locator("h1")).to_contain_text("Job")
    here = page.url
    page.click("#cancel")
    page.click("#confirm")
    expect(page.locator(".head-state")).to_have_text("cancelled")
    assert page.url == here
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


def test_rows_are_selected_and_acted_on_by_keyboard(visit: Come) -> None:
    make_queue()
    waiting_batch(60)
    window = visit()
    page = window.open("/jobs/?state=waiting&queue=tested")
    count, boxes = page.locator("#selected-count"), page.locator('[data-row] input[name="job"]')
    for key in ("j", "x", "j", "j", "j", "Shift+X"):
        page.keyboard.press(key)
    expect(count).to_have_text("4 selected")
    boxes.nth(9).click(modifiers=["Shift"])
    expect(count).to_have_text("10 selected")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Job")
    page.go_back()
    page.keyboard.press("*")
    expect(count).to_have_text("50 selected")
    page.keyboard.press("*")
    expect(count).to_have_text("Select rows")
    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(count).to_have_text("This one cannot be retried")
    page.keyboard.press("c")
    expect(page.locator("h1")).to_have_text("Cancel 1 job?")
    assert Job.objects.filter(own_state="cancelled").count() == 0
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("1 cancelled")
    assert page.url.endswith("/jobs/?state=waiting&queue=tested")
    assert window.complaints == []


def test_everything_that_matches_is_meant_on_all_pages(visit: Come) -> None:
    make_queue()
    waiting_batch(60)
    window = visit()
    page = window.open("/jobs/?state=waiting&queue=tested")
    page.locator('[data-row] input[name="job"]').first.check()
    page.locator("[data-everything]").check()
    expect(page.locator('[data-row] input[name="job"]:checked:disabled')).to_have_count(50)
    page.keyboard.press("d")
    expect(page.locator("h1")).to_have_text("Delete 60 waiting jobs of queue tested?")
    expect(page.locator(".confirm")).to_contain_text("every waiting job of queue tested, as of")
    expect(page.locator(".command")).to_contain_text("python manage.py operate delete --queue tested --state waiting")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("60 deleted")
    expect(page.locator(".toast [data-undo]")).to_be_visible()
    expect(page.locator(".empty")).to_contain_text("No job matches this filter")
    assert window.complaints == []


def test_density_and_columns_are_kept_and_reset(visit: Come) -> None:
    waiting_batch(3)
    window = visit()
    page = window.open("/jobs/")
    low = page.locator("[data-row]").first.bounding_box()
    page.click("[data-density-switch]")
    page.click("[data-columns] summary")
    page.uncheck('[data-columns] input[value="handler"]')
    page.reload()
    expect(page.locator("th.col-handler")).to_be_hidden()
    expect(page.locator("td.col-handler").first).to_be_hidden()
    expect(page.locator("th.col-queue")).to_be_visible()
    high = page.locator("[data-row]").first.bounding_box()
    assert low
    assert high
    assert low["height"] < 33 < high["height"]
    page.click("[data-columns] summary")
    page.click("[data-columns-reset]")
    expect(page.locator("th.col-handler")).to_be_visible()
    assert window.complaints == []


def test_the_head_of_a_list_stays_in_sight_and_back_leads_to_its_place(visit: Come) -> None:
    batch = waiting_batch(120)
    window = visit(viewport={"width": 1440, "height": 600})
    page = window.open(f"/jobs/?batch={batch.pk}")
    page.click(".pager [rel=next]")
    second = page.url
    row = page.locator("[data-row]").nth(40)
    row.scroll_into_view_if_needed()
    expect(page.locator(".jobs thead th").nth(1)).to_be_in_viewport()
    expect(page.locator("#jobs .list-bar")).to_be_in_viewport()
    name = row.get_attribute("id")
    row.locator("[data-open]").click()
    page.click(".crumbs a")
    assert page.url.startswith(second.split("?")[0] + f"?batch={batch.pk}&before=")
    expect(page.locator(f"#{name}")).to_have_attribute("data-current", "")
    expect(page.locator(f"#{name}")).to_be_in_viewport()
    assert window.complaints == []
