"""Acting on several batches and on all archived jobs that match, in a real browser."""

from collections.abc import Callable

from playwright.sync_api import expect

from queues.models import ArchivedJob, Batch, Job, Operation
from queues.services.archive import archive
from tests.browser.conftest import NARROW, Visit
from tests.checker import assert_sound
from tests.monitoring.worlds import ran_batch, waiting_batch

Come = Callable[..., Visit]


def test_batches_are_picked_by_keyboard_cancelled_and_counted(visit: Come) -> None:
    ran_batch(succeed=1)
    for _ in range(2):
        waiting_batch(2)
    window = visit()
    page = window.open("/batches/")
    expect(page.locator("#selected-count")).to_have_text("Select rows")
    expect(page.locator('#batches [data-deed="cancel"]')).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("j")
    page.keyboard.press("c")
    expect(page.locator("#selected-count")).to_have_text("Select it with x first")
    page.keyboard.press("*")
    expect(page.locator("#selected-count")).to_have_text("3 selected")
    page.keyboard.press("c")
    expect(page.locator("h1")).to_have_text("Cancel 2 of 3 batches?")
    expect(page.locator(".left-alone")).to_have_text("1 not: it has ended")
    page.fill('input[name="reason"]', "wrong file")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("2 cancelled, 1 not: it has ended.")
    expect(page.locator("[data-row]")).to_have_count(3)
    assert set(Batch.objects.values_list("state", flat=True)) == {"completed", "cancelled"}
    assert_sound()
    assert window.complaints == []


def test_boxes_stay_picked_while_rows_change_and_a_deletion_is_undone(visit: Come) -> None:
    batches = [ran_batch(succeed=1, name=f"work {n}") for n in range(3)]
    window = visit()
    page = window.open("/batches/")
    first = page.locator(f"#batch-{batches[0].pk}")
    first.locator("input").check()
    page.locator(f"#batch-{batches[2].pk} input").click(modifiers=["Shift"])
    expect(page.locator("#selected-count")).to_have_text("3 selected")
    Batch.objects.filter(pk=batches[0].pk).update(state="partial")
    expect(first.locator('[data-cell="state"]')).to_contain_text("partial")
    expect(page.locator("#selected-count")).to_have_text("3 selected")
    page.click('#batches button:has-text("Delete")')
    expect(page.locator("h1")).to_have_text("Delete 3 batches?")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("3 deleted.")
    expect(page.locator("[data-row]")).to_have_count(0)
    page.click(".toast [data-undo]")
    expect(page.locator(".toast")).to_contain_text("3 restored.")
    page.goto(window.server.url + "/batches/")
    expect(page.locator("[data-row]")).to_have_count(3)
    assert Operation.objects.filter(action="restore_batches").count() == 1
    assert window.complaints == []


def test_all_archived_jobs_that_match_are_restored(visit: Come) -> None:
    batch = ran_batch(succeed=60)
    archive()
    window = visit()
    page = window.open(f"/archive/?batch={batch.pk}")
    page.click("label.everything")
    expect(page.locator("#selected-count")).to_have_text("Everything selected:")
    page.click('#archived button:has-text("Restore")')
    expect(page.locator("h1")).to_have_text(f"Restore 60 archived jobs of batch {batch.pk}?")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("60 restored.")
    assert (ArchivedJob.objects.count(), Job.objects.filter(chunk__state="ready").count()) == (0, 60)
    assert_sound()
    assert window.complaints == []


def test_the_list_and_its_question_fit_a_phone_and_are_accessible(visit: Come) -> None:
    batch, other = ran_batch(succeed=1, die=1), waiting_batch(2_000)
    window = visit(viewport=NARROW)
    asked = f"/batches/selected/cancel/?batch={batch.pk}&batch={other.pk}"
    window.examine(["/batches/", "/batches/?state=trashed", asked, "/archive/"], (NARROW,))
    assert window.complaints == []
