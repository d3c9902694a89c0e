"""An installation with very many queues: pages of bounded size, which find each of them."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from monitoring.queue_filters import FEW, PAGE
from queues.models import Queue
from queues.selectors.job_walk import MOST_PARTS
from tests.monitoring.worlds import ran_batch, waiting_batch
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db
MANY = MOST_PARTS + 20


@pytest.fixture
def viewer(signed_in: Callable[[str], Client]) -> Client:
    """Somebody who looks at as many queues as no list of all of them could merge."""
    make_queue("tested")
    Queue.objects.bulk_create(Queue(name=f"customer-{number:04}") for number in range(MANY - 1))
    return signed_in("viewer")


def names(shown: str) -> list[str]:
    return re.findall(r'<th scope="row"[^>]*><a href="/queues/([^/"]+)/"', shown)


def test_the_list_of_queues_goes_on_page_by_page(viewer: Client) -> None:
    found, address = [], "/queues/"
    while address:
        shown = viewer.get(address).content.decode()
        assert len(names(shown)) <= PAGE
        assert f"All {MANY} queues" in shown
        found += names(shown)
        following = re.search(r'rel="next" class="button" href="([^"]+)"', shown)
        address = following[1].replace("&amp;", "&") if following else ""
    assert found == sorted(Queue.objects.values_list("name", flat=True))


def test_a_queue_is_found_by_a_part_of_its_name(viewer: Client) -> None:
    waiting_batch(7)
    shown = viewer.get("/queues/?name=TEST").content.decode()
    assert names(shown) == ["tested"]
    assert "All 1 that match" in shown
    assert re.search(r'id="queue-total".*?state=waiting">7</a>', shown, re.S)
    assert "No queue has “nobody” in its name" in viewer.get("/queues/?name=nobody").content.decode()
    assert viewer.get(f"/queues/?name={'x' * 300}").status_code == 400


def test_the_overview_shows_the_busiest(viewer: Client) -> None:
    waiting_batch(7)
    shown = viewer.get("/").content.decode()
    assert f"the busiest {FEW} of {MANY}" in shown
    assert "tested" in names(shown) and len(names(shown)) == FEW


def test_lists_of_all_queues_at_once_answer(viewer: Client) -> None:
    for path in (
        "/archive/",
        "/archive/?outcome=dead",
        "/jobs/",
        "/dead-letters/",
        "/dead-letters/causes/",
        "/archive/sizes/",
    ):
        assert viewer.get(path).status_code == 200, path
    ran_batch(die=1)
    assert viewer.get("/dead-letters/causes/").status_code == 200
