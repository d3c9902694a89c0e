"""A filter that cannot be understood is named: nothing is listed, sent or done under another one."""

from collections.abc import Callable
from html import unescape
from urllib.parse import urlencode

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from monitoring import batch_filters, filters, job_filters, panels
from monitoring.panels import Ask, topic
from monitoring.snapshot import Snapshot
from queues.models import AuditEntry, DeadLetter, Operation
from queues.services import audit
from tests.monitoring.worlds import a_worker, ran_batch, waiting_batch

pytestmark = pytest.mark.django_db
LONG = "x" * 201
# Of each list: a row of it in the page, and what its filters are called there.
ROWS = {
    "/jobs/": 'id="job-',
    "/batches/": "data-row",
    "/dead-letters/": 'id="job-',
    "/dead-letters/causes/": "data-row",
    "/activity/": 'id="entry-',
    "/runs/": 'id="run-',
    "/workers/": 'id="worker-',
}
TOO_LONG = [
    *(("/jobs/", name, label) for name, label in (("queue", "Queue"), ("handler", "Handler"), ("error", "Error"))),
    ("/jobs/", "payload", "Payload"),
    *(("/batches/", name, label) for name, label in (("queue", "Queue"), ("name", "Name"), ("meta", "Metadata"))),
    *(("/dead-letters/", name, label) for name, label in (("text", "Error"), ("handler", "Handler"))),
    *(("/dead-letters/", name, label) for name, label in (("cause", "Cause"), ("queue", "Queue"), ("why", "Why"))),
    ("/dead-letters/causes/", "text", "Error"),
    *(("/activity/", name, label) for name, label in (("actor", "Who"), ("action", "What"), ("target", "To what"))),
    ("/activity/", "source", "From"),
    *(("/runs/", name, label) for name, label in (("queue", "Queue"), ("worker", "Worker"))),
    *(("/workers/", name, label) for name, label in (("queue", "Queue"), ("host", "Host"))),
    ("/archive/", "queue", "Queue"),
]
WRONG = [
    ("/dead-letters/", "why=boredom", "Why: there is no boredom. It is one of out of attempts,"),
    ("/dead-letters/causes/", "why=boredom", "Why: there is no boredom."),
    ("/dead-letters/", "since=junk", "since: write so long ago"),
    ("/activity/", "since=junk", "Since: write so long ago, as 15m, 2h or 7d, or a time"),
    ("/activity/", "until=0001-01-01T00:00%2B23:00", "Until: write so long ago"),
    ("/activity/", "since=1h&until=2h", "Since and Until: Until must be later than Since."),
    ("/jobs/", "since=1h&until=2h", "From and To: To must be later than From."),
    ("/jobs/", "since=2026-01-02&until=2026-01-01", "As it is, 2026-01-02 00:00 and 2026-01-01 00:00 UTC, nothing can"),
    ("/jobs/", "state=gone", "State: there is no gone. It is one of "),
    ("/batches/", "since=1h&until=2h", "From and To: To must be later than From."),
    ("/batches/", "state=gone", "State: there is no gone."),
    ("/runs/", "state=gone", "State: there is no gone. It is one of running,"),
    ("/runs/", "worker=nobody", "Worker: no worker 'nobody'"),
    (
        "/archive/",
        "until=2020-01-01",
        "Ended within: this is the last 7 days, and To (2020-01-01 00:00 UTC) is before.",
    ),
    ("/archive/", "within=junk", "Ended within: write so long ago"),
    ("/", "window=2y", "Window: there is no 2y. It is one of 15m, 1h,"),
]


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    ran_batch(succeed=1, die=2)
    waiting_batch(2, name="x" * 200)
    a_worker(name="w-1")
    audit.record(actor="x" * 150, source="page", action="change", target="x" * 200)
    return signed_in("operator")


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, url
    return unescape(answer.content.decode())


@pytest.mark.parametrize(("path", "name", "label"), TOO_LONG)
def test_a_value_that_is_too_long_is_refused_and_not_cut(operator: Client, path: str, name: str, label: str) -> None:
    value = f"a={LONG}" if name in ("payload", "meta") else LONG
    shown = page(operator, f"{path}?{urlencode({name: value})}")
    assert f"{label}: this is longer than 200 characters." in shown
    assert ROWS.get(path, 'id="job-') not in shown
    # One character less is a filter like any other.
    assert "longer than 200" not in page(operator, f"{path}?{urlencode({name: value[:200]})}")


@pytest.mark.parametrize(("path", "query", "says"), WRONG)
def test_what_is_wrong_with_a_filter_is_said(operator: Client, path: str, query: str, says: str) -> None:
    if row := ROWS.get(path):
        assert row in page(operator, path), "without the filter there are rows"
    shown = page(operator, f"{path}?{query}")
    assert says in shown
    assert not row or row not in shown
    assert "matches this filter" not in shown


def test_nothing_is_done_under_a_filter_that_was_not_understood(operator: Client) -> None:
    for name, value, says in (
        ("text", LONG, "Error: this is longer than 200 characters."),
        ("handler", LONG, "Handler: this is longer"),
        ("since", "junk", "since: write so long ago"),
        ("why", "boredom", "Why: there is no boredom."),
        ("batch", "many", "batch: many is not a number."),
        ("error", "refused", "error: all that match this cannot be meant."),
        ("payload", "user=1", "payload: all that match this cannot be meant."),
    ):
        for url in ("/operations/new/retry/", "/dead-letters/delete/"):
            given = {"all": "1", "state": "dead", name: value, "next": "/dead-letters/"}
            for answer in (operator.get(url, given), operator.post(url, given)):
                assert (answer.status_code, answer["Location"]) == (302, "/dead-letters/")
                told = [str(message) for message in get_messages(answer.wsgi_request)]
                assert says in told[-1], (url, name)
                assert told[-1].endswith("Nothing was changed.")
    assert not Operation.objects.exists()
    assert DeadLetter.objects.count() == 2


def test_more_than_can_be_picked_is_refused_and_not_cut(operator: Client) -> None:
    letters = list(DeadLetter.objects.values_list("pk", flat=True))
    picked = {"job": [*letters, *range(10**9, 10**9 + 499)], "next": "/dead-letters/"}
    for answer in (operator.get("/operations/new/delete/", picked), operator.post("/operations/new/delete/", picked)):
        assert (answer.status_code, answer["Location"]) == (302, "/dead-letters/")
        assert "job: 501 are picked" in [str(message) for message in get_messages(answer.wsgi_request)][-1]
    assert not Operation.objects.exists()
    assert DeadLetter.objects.count() == 2


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_no_file_is_made_of_a_filter_that_was_not_understood(operator: Client, form: str) -> None:
    assert AuditEntry.objects.exists()
    for query, says in ((f"target={LONG}", "To what: this is longer"), ("since=junk", "Since: write so long ago")):
        answer = operator.get(f"/activity/export.{form}?{query}")
        assert answer.status_code == 400
        assert says in answer.content.decode()
        assert "Content-Disposition" not in answer


def test_one_cause_is_not_shown_under_another_filter(operator: Client) -> None:
    cause = DeadLetter.objects.values_list("fingerprint", flat=True)[0]
    answer = operator.get(f"/dead-letters/causes/{cause}/?handler={LONG}")
    assert answer.status_code == 400
    assert "Handler: this is longer than 200 characters." in answer.content.decode()


@pytest.mark.parametrize(
    ("panel", "name"),
    [
        *(("job-news", "handler"), ("batch-news", "name"), ("dead-news", "text"), ("activity-news", "target")),
        ("run-news", "queue"),
    ],
)
def test_what_is_live_tells_nothing_of_a_wider_filter(operator: Client, panel: str, name: str) -> None:
    whole = topic(panel, "", False)
    assert panels.read(whole, Snapshot())["keys"], "without the filter there is news"
    wanted = topic(panel, urlencode({name: LONG}), False)
    assert panels.read(wanted, Snapshot())["keys"] == []


def test_workers_are_not_told_of_under_a_wider_filter(operator: Client) -> None:
    with pytest.raises(panels.Gone, match="longer than 200"):
        panels.read(topic("worker-list", urlencode({"host": LONG}), False), Snapshot())


def test_a_long_filter_of_foreign_letters_loses_nothing_in_an_address() -> None:
    chosen = {"handler": "\N{OLD ITALIC LETTER A}" * 200, "error": "\N{OLD ITALIC LETTER BE}" * 200, "queue": "mail"}
    assert job_filters.parse(job_filters.canonical(urlencode(chosen))) == chosen
    assert filters.parse(filters.canonical(urlencode({"text": chosen["error"], "why": "x"}))) == {
        "text": chosen["error"],
        "why": "x",
    }
    with pytest.raises(panels.Gone, match="longer than 32,000"):
        topic("job-news", "x" * 40_000, False)


def test_the_counts_beside_states_are_not_of_a_wider_filter(operator: Client) -> None:
    chosen = batch_filters.chosen({"name": LONG})
    tabs = panels.PANELS["batch-tabs"].context(Ask(Snapshot(), urlencode(chosen)))["tabs"]
    assert {words for _state, _address, words in tabs} == {""}


def test_a_search_that_is_too_long_says_so(operator: Client) -> None:
    for path in ("/jobs/", "/dead-letters/", "/dead-letters/causes/", "/archive/"):
        shown = page(operator, f"{path}?{urlencode({'q': 'error:' + chr(34) + 'y' * 1_000 + chr(34)})}")
        assert "This search is longer than 1,000 characters." in shown, path
        assert "quote" not in shown.split('id="misread"')[1].split("</section>")[0]
        assert ROWS.get(path, 'id="job-') not in shown


@pytest.mark.parametrize(
    ("path", "text", "marked"),
    [
        ("/jobs/", "error:ORDER OR x", "error:ORDER <mark>OR</mark> x"),
        ("/jobs/", 'error:"this OR that" OR x', 'error:"this OR that" <mark>OR</mark> x'),
        ("/dead-letters/", "VENDOR NOT", "VENDOR <mark>NOT</mark>"),
        ("/jobs/", "queue:ab queue:a", "queue:ab <mark>queue:a</mark>"),
        ("/jobs/", "error:lost lost", "error:lost <mark>lost</mark>"),
    ],
)
def test_the_part_that_is_misread_is_marked_and_no_other(operator: Client, path: str, text: str, marked: str) -> None:
    assert marked in page(operator, f"{path}?{urlencode({'q': text})}")


def test_or_within_a_value_is_text(operator: Client) -> None:
    for text in ('"this OR that"', "error:OR", 'error:"a OR b"'):
        assert operator.get("/jobs/", {"q": text}).status_code == 302, text


@pytest.mark.parametrize(
    ("path", "thing"),
    [("/jobs/", "a job has"), ("/dead-letters/", "a dead letter has"), ("/archive/", "an archived job has")],
)
def test_what_is_said_twice_is_said_of_what_the_list_holds(operator: Client, path: str, thing: str) -> None:
    assert f"This is said twice, and {thing} only one: a was said" in page(operator, f"{path}?q=queue:a+queue:b")
