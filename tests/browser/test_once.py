"""The Back button after a question that made a batch: no second one comes of it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from queues.models import Batch
from queues.services.recurring import recurring
from tests.browser.conftest import Visit
from tests.monitoring.worlds import ran_batch
from tests.queues.working import make_queue

Come = Callable[..., Visit]


@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("what", ["clone", "schedule"])
def test_going_back_to_an_answered_question_leads_to_the_batch_it_made(what: str, scripts: bool, visit: Come) -> None:
    window = visit(java_script_enabled=scripts)
    if what == "clone":
        first = ran_batch(succeed=2, name="Once")
        page = window.open(f"/batches/{first.pk}/clone/")
        known = [first.pk]
    else:
        make_queue()
        row = recurring("nightly", "tested.do", [{}], every=3_600)
        page = window.open("/schedules/")
        page.goto(f"{page.url}{row.pk}/run/?next=/schedules/")
        known = []
    page.click("#confirm")
    expect(page.locator(".toasts")).to_be_visible()
    made = Batch.objects.exclude(pk__in=known).get()
    page.go_back()
    if page.locator("#confirm").count():
        # The browser has kept the page: it is answered once more.
        page.click("#confirm")
    expect(page.locator("h1")).to_have_text(made.name)
    assert page.url.endswith(f"/batches/{made.pk}/")
    expect(page.locator("body")).to_contain_text(f"batch {made.pk} was made then, and nothing more now")
    assert Batch.objects.count() == len(known) + 1
    assert window.complaints == []
