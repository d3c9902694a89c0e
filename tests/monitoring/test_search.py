"""The search of every page: what a text leads to, and what it lists."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from monitoring import find
from queues.models import Attempt, DeadLetter, Operation
from tests.monitoring.worlds import a_worker, assert_harmless, ran_batch, waiting_batch
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db
SignedIn = Callable[[str], Client]


def hits(text: str) -> dict[str, list[str]]:
    return {group.kind: [hit.name for hit in group.hits or ()] for group in find.search(text)}


def test_a_number_that_one_thing_has_leads_to_it(signed_in: SignedIn) -> None:
    batch = waiting_batch(3)
    job = batch.first_job_id
    assert job is not None
    viewer = signed_in("viewer")
    only_job = job + 2 if batch.pk == job + 1 else job + 1
    assert viewer.get(f"/search/?q={only_job}")["Location"] == f"/jobs/{only_job}/"


def test_a_number_that_several_have_is_a_choice(signed_in: SignedIn) -> None:
    number = waiting_batch(3).pk
    Operation.objects.create(id=number, action="retry", selection={"queue": "tested"}, actor="ann", source="page")
    shown = signed_in("viewer").get(f"/search/?q={number}").content.decode()
    assert reverse("operation", args=[number]) in shown
    assert reverse("batch", args=[number]) in shown


def test_names_are_found_by_a_part_of_them(signed_in: SignedIn) -> None:
    make_queue("springs")
    waiting_batch(2, name="Spring mailing")
    worker = a_worker(name="w-spring", host="alpha")
    assert hits("spring") == {"Batches": ["Spring mailing"], "Queues": ["springs"], "Workers": ["w-spring"]}
    assert hits("ALPHA") == {"Workers": ["w-spring"]}
    viewer = signed_in("viewer")
    assert viewer.get("/search/", {"q": "springs"})["Location"] == "/queues/springs/"
    assert viewer.get("/search/", {"q": str(worker.pk)})["Location"] == f"/workers/{worker.pk}/"
    assert viewer.get("/search/", {"q": "spring"}).status_code == 200


def test_only_a_whole_name_or_number_leads_straight_to_its_thing(signed_in: SignedIn) -> None:
    batch = waiting_batch(1, name="Spring mailing")
    worker = a_worker(name="w-7", host="alpha")
    make_queue("orders")
    viewer = signed_in("viewer")
    mailing, alpha = f"/batches/{batch.pk}/", f"/workers/{worker.pk}/"
    for part, url in {"spring": mailing, "w-": alpha, "alpha": alpha, "order": "/queues/orders/"}.items():
        answer = viewer.get("/search/", {"q": part})
        assert answer.status_code == 200, part
        assert f'href="{url}"' in answer.content.decode(), part
    whole = {"Spring Mailing": mailing, "w-7": alpha, worker.pk.hex: alpha, "orders": "/queues/orders/"}
    for text, url in whole.items():
        assert viewer.get("/search/", {"q": text}).headers.get("Location") == url, text
    waiting_batch(1, name="Spring mailing")
    assert viewer.get("/search/", {"q": "Spring mailing"}).status_code == 200, "two have this name"


def test_a_search_that_is_too_long_is_refused_and_not_cut(signed_in: SignedIn) -> None:
    waiting_batch(1, name="n" * 200)
    shown = signed_in("viewer").get("/search/", {"q": "n" * 201}).content.decode()
    assert "longer than 200 characters" in shown
    assert "/batches/1/" not in shown
    assert "Look further" not in shown


def test_a_key_and_its_value_are_looked_for_in_metadata_and_lead_on_to_payloads(signed_in: SignedIn) -> None:
    batch = waiting_batch(1, name="of acme", metadata={"tenant": "acme"})
    viewer = signed_in("viewer")
    shown = viewer.get("/search/", {"q": "tenant=acme"}).content.decode()
    assert reverse("batch", args=[batch.pk]) in shown
    shown = viewer.get("/search/", {"q": "tenant=other"}).content.decode()
    assert "/jobs/?payload=tenant%3Dother" in shown


def test_a_part_of_an_error_lists_its_causes_and_opens_none(signed_in: SignedIn) -> None:
    ran_batch(die=3)
    letter = DeadLetter.objects.all()[0]
    part = letter.message[:12] or letter.error_class
    assert len(hits(part)["Causes"]) == 1
    shown = signed_in("viewer").get("/search/", {"q": part}).content.decode()
    assert reverse("cause", args=[letter.fingerprint]) in shown
    assert "3 dead letters" in shown
    assert hits(letter.fingerprint)["Causes"]
    led = signed_in("operator").get("/search/", {"q": letter.fingerprint})
    assert led["Location"] == reverse("cause", args=[letter.fingerprint])


def test_a_search_without_an_answer_says_what_can_be_searched(signed_in: SignedIn) -> None:
    viewer = signed_in("viewer")
    for url in ("/search/", "/search/?q=", "/search/?q=%00", "/search/?q=nothing+has+this", "/search/?q=" + "9" * 40):
        shown = viewer.get(url).content.decode()
        assert "What can be searched" in shown, url
    assert "Nothing has this number or name" in viewer.get("/search/?q=nothing+has+this").content.decode()


def test_a_group_is_short_and_says_that_there_are_more() -> None:
    for number in range(find.SHOWN + 2):
        waiting_batch(1, name=f"many {number}")
    group = find.search("many")[0]
    assert group.hits is not None
    assert (len(group.hits), group.more, group.url) == (find.SHOWN, True, "/batches/?name=many")


def test_hostile_names_are_found_and_harmless(signed_in: SignedIn) -> None:
    hostile = '<script>alert("x")</script>\x1b[31mred\u202e'
    waiting_batch(1, name=hostile)
    waiting_batch(1, name=hostile)
    a_worker(name=hostile, host=hostile)
    ran_batch(die=1)
    DeadLetter.objects.update(error_class="<script>alert(1)", message=hostile)
    Attempt.objects.update(message=hostile)
    viewer = signed_in("viewer")
    for text in ("alert", hostile, "<script>alert(1)"):
        shown = viewer.get("/search/", {"q": text}).content.decode()
        assert_harmless(shown, text)
