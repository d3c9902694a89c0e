"""Long names in a real browser: no page needs scrolling sideways, and no list pushes its columns out of sight."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from queues.models import Queue
from queues.services.enqueue import enqueue_batch
from queues.services.pause import pause_queue
from tests.browser.conftest import Visit
from tests.monitoring.worlds import a_worker, ran_batch, run
from tests.queues.working import make_queue

Come = Callable[..., Visit]
QUEUE = "import-of-the-customers-of-a-company-with-a-very-long-name.eu"
BATCH = "Import of a very long customer name that goes on and on, 2026-11-30 (third try, after the disk was full)"
WIDTHS = (320, 360, 768, 861, 1024, 1280, 1440, 2560)
# From this width on a list shows all of its columns.
WHOLE = 1024
PAGES = ("/", "/batches/", "/jobs/", "/jobs/?state=dead", "/queues/", "/workers/", "/runs/", "/dead-letters/")
CUT = """
[...document.querySelectorAll("main .scroll")]
  .filter((box) => box.scrollWidth > box.clientWidth + 1)
  .map((box) => `${box.scrollWidth} of ${box.clientWidth}: ${box.textContent.trim().slice(0, 60)}`)
"""


@pytest.fixture
def world() -> int:
    """A batch that waits, one that waits for it, one with dead letters, and a run of a worker, all with long names."""
    ran_batch(succeed=2, die=2, name=BATCH, queue=QUEUE)
    queue = Queue.objects.get()
    first = enqueue_batch("tested.do", range(200), name=BATCH, queue=QUEUE)
    enqueue_batch("tested.do", range(200), name=BATCH, queue=QUEUE, after=[first])
    worker = a_worker(name="worker-of-the-import-machine@import-17.example", host="import-17.internal.example")
    goes_on = run(queue, started=timedelta(minutes=2), ended=None, claimed=200, succeeded=49)
    goes_on.worker = worker
    goes_on.save()
    make_queue("second")
    pause_queue(name="second", actor="maria", source="api", reason=BATCH)
    return first.pk


def test_long_names_push_nothing_out_of_sight(visit: Come, world: int) -> None:
    window, found = visit(), []
    for path in (*PAGES, f"/batches/{world}/", f"/queues/{QUEUE}/"):
        page = window.open(path)
        window.live()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if (needed := page.evaluate("document.documentElement.scrollWidth")) > width:
                found.append(f"{path} at {width} is {needed} wide")
            found += [f"{path} at {width}: {cut}" for cut in (page.evaluate(CUT) if width >= WHOLE else ())]
    assert not found, "\n".join(found)


def test_the_open_page_is_in_sight_where_the_rail_is_narrow(visit: Come) -> None:
    window = visit(viewport={"width": 360, "height": 740})
    page = window.open("/activity/")
    here = page.locator(".rail [aria-current]")
    box = here.bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 360
