"""Batches in a real browser: uploaded, paused, cancelled and deleted by somebody at the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from playwright.sync_api import Page, expect

from queues.models import Batch, Chunk
from queues.services import operate
from queues.services.enqueue import enqueue_batch
from tests.browser.conftest import NARROW, USUAL, Visit, findings
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import ran_batch, waiting_batch
from tests.queues.working import drain, make_queue

Come = Callable[..., Visit]
WRONG = b"id,age\r\n1,30\r\n2\r\n3,40\r\n"
RIGHT = b"id,age\r\n1,30\r\n2,35\r\n3,40\r\n"


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> None:
    settings.HOME = tmp_path


def choose(page: Page, content: bytes, name: str = "people.csv") -> None:
    page.set_input_files("input[type=file]", files=[{"name": name, "mimeType": "text/csv", "buffer": content}])


@pytest.mark.parametrize("scripts", [True, False])
def test_a_file_with_a_bad_line_is_corrected_and_enqueued(scripts: bool, visit: Come) -> None:
    make_queue()
    window = visit(java_script_enabled=scripts)
    page = window.open("/batches/new/")
    choose(page, WRONG)
    page.click("#preview")
    expect(page.locator("#flaws")).to_contain_text("line 3")
    expect(page.locator("#enqueue")).to_have_count(0)
    assert Batch.objects.count() == 0
    choose(page, RIGHT)
    page.click("#again")
    expect(page.locator("#enqueue")).to_have_text("Enqueue 3 jobs")
    page.select_option("select[name=kind-1]", "number")
    page.click("#map")
    expect(page.locator(".payloads code").first).to_have_text('{"id":"1","age":30}')
    if scripts:
        assert findings(page) == []
    page.click("#enqueue")
    expect(page.locator("h1")).to_have_text("people.csv")
    batch = Batch.objects.get()
    assert page.url.endswith(f"/batches/{batch.pk}/")
    assert batch.total == 3
    assert window.complaints == []


@pytest.mark.parametrize("scripts", [True, False])
def test_the_advised_chunk_size_is_taken_by_a_click(scripts: bool, visit: Come) -> None:
    ran_batch(succeed=30)
    window = visit(java_script_enabled=scripts)
    page = window.open("/batches/new/")
    page.fill("textarea[name=text]", '{"id": 1}\n{"id": 2}\n')
    page.click("#preview")
    field = page.locator("input[name=chunk_size]")
    expect(field).to_have_value("")
    page.fill("input[name=name]", "Not lost")
    page.click("#advised")
    expect(field).to_have_value("200")
    if scripts:
        expect(field).to_be_focused()
        expect(page.locator("input[name=name]")).to_have_value("Not lost")
        assert findings(page) == []
    page.click("#enqueue")
    page.wait_for_url("**/batches/*/")
    assert Batch.objects.latest("pk").chunk_size == 200
    assert window.complaints == []


@pytest.mark.parametrize("scripts", [True, False])
def test_pasted_lines_are_corrected_where_they_are(scripts: bool, visit: Come) -> None:
    make_queue()
    window = visit(java_script_enabled=scripts)
    page = window.open("/batches/new/")
    page.fill("textarea[name=text]", '\n{"id": 1}\n{"id": }\n')
    page.click("#preview")
    expect(page.locator("#flaws")).to_contain_text("line 3")
    field = page.locator("textarea[name=text]")
    assert field.input_value() == '\n{"id": 1}\n{"id": }\n'
    if scripts:
        assert findings(page) == []
    field.fill('{"id": 1}\n{"id": 2}\n')
    page.click("#again")
    page.click("#enqueue")
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_url("**/batches/*/")
    assert Batch.objects.get().total == 2
    assert window.complaints == []


def test_a_batch_is_paused_resumed_cancelled_and_deleted(visit: Come) -> None:
    batch = waiting_batch(30, name="Wrong prices")
    window = visit()
    page = window.open(f"/batches/{batch.pk}/")
    window.live()
    page.click(".panel-batch-actions >> text=Pause")
    page.fill("input[name=reason]", "wrong prices")
    page.click("#confirm")
    expect(page.locator(".why")).to_contain_text("It is paused by")
    assert set(Chunk.objects.values_list("held_why", flat=True)) == {"paused"}
    page.click(".why >> text=Resume")
    page.click("#confirm")
    expect(page.locator(".why")).not_to_contain_text("It is paused")
    page.click("text=Cancel batch")
    page.click("#confirm")
    expect(page.locator(".verdict")).to_contain_text("cancelled")
    page.click("text=Delete batch")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("It can be restored")
    operate.advance_all()
    page = window.open("/batches/")
    expect(page.locator("main")).to_contain_text("No batch yet")
    page = window.open(f"/batches/{batch.pk}/")
    page.click(".why >> text=Restore")
    page.click("#confirm")
    expect(page.locator(".toast")).to_contain_text("is restored")
    expect(page.locator(".why")).to_contain_text("It was cancelled by somebody")
    assert window.complaints == []


def test_filters_survive_reload_and_back(visit: Come) -> None:
    ran_batch(succeed=1, name="done")
    waiting_batch(1, name="to do", metadata={"tenant": "acme"})
    page = visit().open("/batches/")
    page.fill("input[name=meta]", "tenant=acme")
    page.click(".filters button")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.click("nav.tabs >> text=running")
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".filters input[name=meta]")).to_have_value("tenant=acme")
    page.click("tbody a[data-open]")
    page.go_back()
    expect(page.locator(".filters input[name=meta]")).to_have_value("tenant=acme")
    expect(page.locator("nav.tabs [aria-current]")).to_contain_text("running")


def test_the_pages_of_batches_are_accessible_and_fit(visit: Come) -> None:
    make_queue(max_attempts=1, keep_results=60.0)
    batch = enqueue_batch("tested.do", [{"n": 1}] * 9 + [{"fail": HOSTILE}, {"die": 2}], name=HOSTILE[:200])
    drain()
    second = enqueue_batch("tested.do", [1], after=[waiting_batch(3, name="first")], then="tested.all", open=False)
    window = visit()
    paths = ["/batches/", "/batches/?meta=x", f"/batches/{batch.pk}/", f"/batches/{second.pk}/", "/batches/new/"]
    paths += [f"/batches/{second.pk}/{deed}/" for deed in ("pause", "clone", "cancel")]
    with override_settings(BATCH_MAX_JOBS=3):
        parent = enqueue_batch("tested.do", [{}] * 20, name="in parts", split=True, after=[second])
    paths.append(f"/batches/{parent.pk}/")
    window.examine(paths, (USUAL, NARROW))
    page = window.open("/batches/new/")
    choose(page, WRONG)
    page.click("#preview")
    window.flawless("the preview", (USUAL, NARROW))
    assert window.complaints == []
