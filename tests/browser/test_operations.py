"""Acting on many jobs, in a real browser."""

from collections.abc import Callable

from playwright.sync_api import expect

from queues.models import DeadLetter, Job, TrashedJob
from tests.browser.conftest import NARROW, Visit
from tests.checker import assert_sound
from tests.monitoring.test_operations_pages import world
from tests.monitoring.worlds import waiting_batch

Come = Callable[..., Visit]


def test_a_group_of_dead_letters_is_retried(visit: Come) -> None:
    many, few = world()
    window = visit()
    page = window.open("/dead-letters/")
    page.click('.tabs a:has-text("Causes")')
    expect(page.locator("[data-row]")).to_have_count(2)
    page.locator(f"#cause-{many} [data-open]").click()
    expect(page.locator("h1")).to_contain_text("ValueError")
    page.click("#retry-cause")
    expect(page.locator("h1")).to_have_text("Retry 3 dead letters with cause " + many + "?")
    page.click("summary:has-text('terminal')")
    expect(page.locator(".command")).to_contain_text(f"manage.py operate retry --cause {many}")
    page.fill('input[name="reason"]', "repaired")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("3 retried.")
    expect(page.locator("[data-row]")).to_have_count(1)
    assert set(DeadLetter.objects.values_list("fingerprint", flat=True)) == {few}
    assert_sound()
    assert window.complaints == []


def test_a_deletion_is_undone_from_its_notice(visit: Come) -> None:
    many, _few = world()
    window = visit()
    page = window.open("/dead-letters/causes/")
    page.locator(f"#cause-{many} .actions a").nth(1).click()
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("3 deleted.")
    assert (DeadLetter.objects.count(), TrashedJob.objects.count()) == (1, 3)
    page.click(".toast [data-undo]")
    expect(page.locator(".toast")).to_contain_text("3 restored.")
    expect(page.locator(".panel-operation-progress")).to_contain_text("done")
    assert (DeadLetter.objects.count(), TrashedJob.objects.count()) == (4, 0)
    assert_sound()
    assert window.complaints == []


def test_jobs_are_restored_from_the_trash_by_keyboard(visit: Come) -> None:
    many, _few = world()
    window = visit()
    page = window.open(f"/dead-letters/delete/?all=1&cause={many}")
    page.click("#confirm")
    page.goto(window.server.url + "/trash/")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#selected-count")).to_have_text("2 selected")
    page.click('#trash button:has-text("Restore")')
    expect(page.locator("h1")).to_have_text("Restore 2 deleted jobs?")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("2 restored.")
    expect(page.locator("[data-row]")).to_have_count(1)
    assert DeadLetter.objects.count() == 3


def test_the_pages_are_accessible_and_fit_a_phone(visit: Come) -> None:
    many, few = world()
    window = visit(viewport=NARROW)
    page = window.open(f"/dead-letters/delete/?all=1&cause={few}")
    page.click("#confirm")
    batch = waiting_batch(2_000)
    paths = [
        "/dead-letters/causes/",
        f"/dead-letters/causes/{many}/",
        "/trash/",
        "/operations/",
        f"/operations/new/priority/?all=1&state=pending&batch={batch.pk}",
        f"/dead-letters/delete/?all=1&cause={many}",
    ]
    window.examine(paths, (NARROW,))
    page = window.open(paths[4])
    page.select_option('select[name="to"]', "high")
    page.fill('input[name="typed"]', "2000")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("2,000 jobs are being changed in the background.")
    page.click(".toast a")
    expect(page.locator(".panel-operation-progress")).to_contain_text("0 of 2,000")
    page.click("text=Stop")
    page.click("#confirm")
    expect(page.locator(".panel-operation-progress")).to_contain_text("stopped")
    assert Job.objects.filter(chunk__priority=1).count() == 0
    assert window.complaints == []
