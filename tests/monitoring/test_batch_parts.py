"""The parts of a batch: small in its graph, and in their table, from one reading."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from monitoring import batch_panels
from queues.models import Batch
from queues.selectors import batches
from queues.services.enqueue import enqueue_batch
from tests.monitoring.worlds import waiting_batch
from tests.queues.working import drain, make_queue

pytestmark = pytest.mark.django_db
CELL = re.compile(r'<a class="part-cell" href="/batches/(\d+)/" title="([^"]*)"><span class="hidden">([^<]*)</span>')


@pytest.fixture
def viewer(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("viewer")


@pytest.fixture
def parent(settings: Any) -> Batch:
    """Four parts of which the first has run, with one dead job, and the second half."""
    settings.BATCH_MAX_JOBS = 4
    make_queue(max_attempts=1, chunk_size=2)
    items = [{}, {}, {}, {"die": 1}, *[{}] * 11]
    batch = enqueue_batch("tested.do", items, name="tiles", split=True)
    drain(runs=3, want=2)
    return batch


def panel(client: Client, batch: Batch) -> str:
    return client.get(f"/panels/batch-graph/?subject={batch.pk}").content.decode()


def test_each_part_is_a_cell_with_its_state_and_numbers(viewer: Client, parent: Batch) -> None:
    text = panel(viewer, parent)
    parts = list(parent.parts.order_by("part").values_list("pk", flat=True))
    cells = CELL.findall(text)
    assert [int(number) for number, _title, _words in cells] == parts
    assert [title for _number, title, _words in cells] == [
        "Part 1, partial: 4 of 4 ended, 1 dead",
        "Part 2, running: 2 of 4 ended, 0 dead",
        "Part 3, pending: 0 of 4 ended, 0 dead",
        "Part 4, pending: 0 of 3 ended, 0 dead",
    ]
    # A screen reader hears the same, and not the drawing.
    assert all(title == words for _number, title, words in cells)
    shown = re.findall(r'<span aria-hidden="true"><span class="state is-(\w+)"><svg[^>]*>.*?</svg><span>(\d+ %)<', text)
    assert shown == [("partial", "100 %"), ("running", "50 %"), ("pending", "0 %"), ("pending", "0 %")]
    assert "Parts at a glance" in text and "Stage" not in text
    page = viewer.get(f"/batches/{parent.pk}/").content.decode()
    assert page.count('class="part-cell"') == 4 and page.count('<tr id="part-') == 4


def test_parts_are_read_once_for_graph_and_table(
    viewer: Client, parent: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = batches.batch_parts

    def counted(number: int) -> list[batches.BatchRow]:
        reads.append(number)
        return read(number)

    monkeypatch.setattr(batches, "batch_parts", counted)
    viewer.get(f"/batches/{parent.pk}/")
    assert reads == [parent.pk]


def test_more_parts_than_are_drawn_are_told(viewer: Client, parent: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_panels, "PARTS_DRAWN", 2)
    text = panel(viewer, parent)
    assert len(CELL.findall(text)) == 2 and '<li class="muted">and 2 more</li>' in text
    # Beyond what the table reads they are counted.
    monkeypatch.setattr(batches, "PARTS_SHOWN", 3)
    assert '<li class="muted">and 2 more</li>' in panel(viewer, parent)


def test_stages_and_parts_are_one_graph(viewer: Client, parent: Batch) -> None:
    after = enqueue_batch("tested.do", [{}] * 3, name="join", after=[parent])
    text = panel(viewer, parent)
    assert "Stages and parts" in text and "Stage 1: this batch" in text
    assert len(CELL.findall(text)) == 4 and f'href="/batches/{after.pk}/"' in text
    assert "part-cell" not in panel(viewer, after)


def test_a_batch_with_neither_has_no_graph(viewer: Client) -> None:
    assert 'class="graph"' not in panel(viewer, waiting_batch())
