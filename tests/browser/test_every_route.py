"""Every page that there is, in a real browser: axe finds nothing serious and the policy stops nothing.

The pages are those of the benchmark, which are made from the routes: a new route is looked at without a word here.
"""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect

from monitoring.benchmarks import addresses
from tests.browser.conftest import Visit
from tests.monitoring.test_hostile import spoil, world
from tests.queues.working import leased

Come = Callable[..., Visit]
TEXT = "An invoice <b>of</b> 2026, which the customer's \u05d0\u05d1 system refused: " + "x" * 60


def pages(filled: object, somebody: User) -> list[str]:
    """One address for each kind of page that answers with one: files, fragments and ways back are none."""
    client = Client()
    client.force_login(somebody)
    found: dict[str, str] = {}
    for address in addresses.all_of(filled):  # type: ignore[arg-type]
        kind = address.name.partition("?")[0]
        if address.route == "panel" or kind in found:
            continue
        answer = client.get(address.url)
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            found[kind] = address.url
    return list(found.values())


def test_every_page_is_accessible_fits_and_keeps_to_the_policy(visit: Come) -> None:
    batches = world(TEXT)
    window = visit(bypass_csp=False)
    with leased(want=1):
        filled = spoil(TEXT, *batches)
        found = pages(filled, User.objects.get())
        assert len(found) > 40
        window.examine(found)
    assert window.complaints == []


@pytest.mark.parametrize(
    ("path", "status", "words"), [("/", 403, "Nothing has been changed"), ("/nowhere/", 404, "nothing here")]
)
def test_refusals_are_accessible_and_keep_to_the_policy(path: str, status: int, words: str, visit: Come) -> None:
    window = visit("add_logentry")
    expect(window.open(path).locator("main")).to_contain_text(words)
    window.flawless(path)
    assert [text for text in window.complaints if str(status) not in text and "403" not in text] == []


def test_a_failed_page_is_accessible_and_keeps_to_the_policy(visit: Come, monkeypatch: pytest.MonkeyPatch) -> None:
    window = visit()

    def broken(*_arguments: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("monitoring.views.help.render", broken)
    expect(window.open("/help/").locator("h1")).to_have_text("This page failed")
    window.flawless("500")
    assert [text for text in window.complaints if "500" not in text] == []
