"""Every route, for every role, by every method. A new route without a row here fails."""

import re
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from monitoring.views import act
from queues.models import Batch, DeadLetter, Operation
from queues.services import operate
from queues.services.recurring import recurring
from tests.monitoring.worlds import a_worker, ran_batch, waiting_batch

ROLES = ("nobody", "stranger", "viewer", "operator", "administrator")
LOGIN, NO, OK, GONE = 302, 403, 200, 405
# Each question that makes something has its own.
TOKEN = re.compile(r"form=[0-9a-f]{32}")
WORKER = "11111111-2222-4333-8444-555555555555"

# route: for GET and for POST the answer to nobody, stranger, viewer, operator; an administrator gets what an operator
# gets, unless it is said.
PAGE = ((LOGIN, NO, OK, OK), (GONE, GONE, GONE, GONE))
DEED = ((LOGIN, NO, NO, OK), (LOGIN, NO, NO, 302))
# Who asks gets a question of his own, with its token in the address: however often it is answered, one batch is made.
ONCE = ((LOGIN, NO, NO, 302), (LOGIN, NO, NO, 302))
OPEN = ((OK, OK, OK, OK), (GONE, GONE, GONE, GONE))
TABLE = {
    "overview": PAGE,
    "batches": PAGE,
    "batch": PAGE,
    **dict.fromkeys(("batch-cancel", "batch-pause"), DEED),
    "batch-clone": ONCE,
    # Not possible with a batch that waits and is sealed: back to it, with the reason.
    **dict.fromkeys(
        ("batch-delete", "batch-restore", "batch-resume", "batch-seal"), ((LOGIN, NO, NO, 302), (LOGIN, NO, NO, 302))
    ),
    "batch-export": PAGE,
    # Asked about no batch: back to the list.
    "batches-act": ((LOGIN, NO, NO, 302), (LOGIN, NO, NO, 302)),
    # A file that nobody has uploaded.
    "upload": ((LOGIN, NO, NO, 404), (LOGIN, NO, NO, 404)),
    # A post without jobs is refused with the form.
    "new-batch": ((LOGIN, NO, NO, OK), (LOGIN, NO, NO, 422)),
    "jobs": PAGE,
    "job": PAGE,
    "job-payload": PAGE,
    # The job that is asked for has no result.
    "job-result": ((LOGIN, NO, 404, 404), (GONE, GONE, GONE, GONE)),
    "archive": PAGE,
    "archive-sizes": PAGE,
    "archive-restore": DEED,
    "dead-letters": PAGE,
    "dead-letters-retry": DEED,
    "dead-letters-delete": DEED,
    "dead-letter": PAGE,
    "dead-letter-payload": PAGE,
    "causes": PAGE,
    "cause": PAGE,
    "operations": PAGE,
    "operation": PAGE,
    "operate": DEED,
    # What still runs can be stopped, what was deleted brought back; each leads to the operation.
    "operation-stop": ((LOGIN, NO, NO, 302), (LOGIN, NO, NO, 302)),
    "operation-undo": DEED,
    "trash": PAGE,
    "queues": PAGE,
    "queue": PAGE,
    # A post without what was seen is refused with the form.
    "queue-policy": ((LOGIN, NO, NO, OK), (LOGIN, NO, NO, 422)),
    "queue-pause": DEED,
    "queue-resume": DEED,
    "schedules": PAGE,
    "schedule-run": ONCE,
    **dict.fromkeys(("schedule-pause", "schedule-resume"), DEED),
    "workers": PAGE,
    "worker": PAGE,
    "worker-suspend": DEED,
    "worker-resume": DEED,
    "worker-stop": DEED,
    "worker-reclaim": DEED,
    "runs": PAGE,
    "activity": PAGE,
    "activity-csv": PAGE,
    "activity-jsonl": PAGE,
    "search": PAGE,
    "panel": PAGE,
    "help": PAGE,
    # Those who are signed in are sent on from the sign-in form.
    "login": ((OK, 302, 302, 302), (OK, 302, 302, 302)),
    "login-link": ((OK, OK, OK, OK), (410, 410, 410, 410)),
    "logout": ((GONE, GONE, GONE, GONE), (302, 302, 302, 302)),
    # Answered to all methods alike: it only points to a file.
    "favicon": ((301,) * 4, (301,) * 4),
    # A scraper has a token; it is not sent to the sign-in page.
    "metrics": ((NO, NO, OK, OK), (GONE, GONE, GONE, GONE)),
    "healthz": OPEN,
    "readyz": OPEN,
}


# One route for all that can be done with many jobs: each action has a row too.
ACTIONS = {
    **dict.fromkeys(("retry", "cancel", "delete", "restore", "priority", "queue", "unarchive"), DEED),
    "empty": ((LOGIN, NO, NO, NO, OK), (LOGIN, NO, NO, NO, 302)),
}
# What no page answers to. The file that a pointer leads to is the same for all methods.
UNKNOWN_METHODS = ("put", "delete", "patch", "options", "trace")


def expected(row: tuple[int, ...], role: str) -> int:
    """What a row says for a role."""
    return row[min(ROLES.index(role), len(row) - 1)]


def routes(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.name or str(pattern.pattern)
        elif pattern.app_name != "admin":
            yield from routes(pattern.url_patterns)


def _deletion() -> int:
    """An operation that has ended and can be undone."""
    job = waiting_batch(1).first_job_id
    return int(operate.start(action="delete", selection={"job_ids": [job]}, actor="ann", source="api").pk)


def address(name: str, batch: Batch, letter: DeadLetter) -> str:
    from django.urls import reverse

    done = ("operation", "operation-stop", "operation-undo")
    deeds = ("schedule-run", "schedule-pause", "schedule-resume")
    arguments = {
        "batch": [batch.pk],
        **{f"batch-{deed}": [batch.pk] for deed in ("cancel", "clone", "pause", "delete", "restore", "resume", "seal")},
        "batch-export": [batch.pk, "errors", "csv"],
        "upload": ["0" * 32],
        "batches-act": ["cancel"],
        "cause": [letter.fingerprint],
        "operate": ["delete"],
        **({name: [_deletion()]} if name in done else {}),
        **({name: [recurring("nightly", "tested.do", [{"n": 1}], every=3_600).pk]} if name in deeds else {}),
        "job": [letter.pk],
        "job-payload": [letter.pk],
        "job-result": [letter.pk],
        "dead-letter": [letter.pk],
        "dead-letter-payload": [letter.pk],
        **{key: ["tested"] for key in ("queue", "queue-policy")},
        **{key: [WORKER] for key in ("worker", "worker-suspend", "worker-resume", "worker-stop", "worker-reclaim")},
        "queue-pause": ["tested"],
        "queue-resume": ["tested"],
        "panel": ["tiles"],
    }
    asked = ("dead-letters-retry", "dead-letters-delete", "operate", "archive-restore")
    query = f"?job={letter.pk}" if name in asked else ""
    return reverse(name, args=arguments.get(name)) + query


def test_every_route_has_a_row() -> None:
    assert set(routes(get_resolver().url_patterns)) == set(TABLE)


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", TABLE)
def test_the_answer_fits_the_role(name: str, role: str, signed_in: Callable[[str], Client]) -> None:
    ran_batch(die=1)
    batch = waiting_batch(1)
    a_worker(id=WORKER)
    letter = DeadLetter.objects.get()
    client, url = signed_in(role), address(name, batch, letter)
    for method, row in zip(("get", "post"), TABLE[name], strict=True):
        response = getattr(client, method)(url, **({"data": {"job": letter.pk}} if method == "post" else {}))
        assert response.status_code == expected(row, role), (method, url)
        assert response["Content-Security-Policy"].startswith("default-src 'none'")
        if expected(row, role) == LOGIN and name not in ("login", "logout") and role == "nobody":
            assert response["Location"].startswith("/login/")


@pytest.mark.django_db
@pytest.mark.parametrize("name", TABLE)
def test_what_can_be_read_can_be_asked_for_without_its_content(name: str, signed_in: Callable[[str], Client]) -> None:
    ran_batch(die=1)
    batch = waiting_batch(1)
    a_worker(id=WORKER)
    url = address(name, batch, DeadLetter.objects.get())
    client = signed_in("operator")
    head, get = client.head(url), client.get(url)
    places = [TOKEN.sub("form=", answer.get("Location", "")) for answer in (head, get)]
    assert (head.status_code, places[0]) == (get.status_code, places[1]), url


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row in (DEED, ONCE)])
def test_a_deed_needs_the_form_of_this_site(name: str, person: Callable[[str], User]) -> None:
    ran_batch(die=1)
    batch = waiting_batch(1)
    a_worker(id=WORKER)
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("operator"))
    url = address(name, batch, DeadLetter.objects.get())
    response = client.post(url, {"job": DeadLetter.objects.get().pk})
    assert response.status_code == 403
    assert "out of date" in response.content.decode()
    assert DeadLetter.objects.count() == 1


@pytest.mark.django_db
def test_a_fragment_request_is_not_sent_to_the_sign_in_page() -> None:
    assert Client().get("/panels/tiles/", headers={"HX-Request": "true"}).status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", ACTIONS)
def test_each_action_on_many_jobs_fits_the_role(action: str, role: str, signed_in: Callable[[str], Client]) -> None:
    ran_batch(die=1)
    letter = DeadLetter.objects.get()
    client, url = signed_in(role), f"/operations/new/{action}/?job={letter.pk}"
    assert client.get(url).status_code == expected(ACTIONS[action][0], role)
    before = Operation.objects.count()
    assert client.post(url, {"job": letter.pk, "to": "high"}).status_code == expected(ACTIONS[action][1], role)
    if expected(ACTIONS[action][1], role) == NO or role == "nobody":
        assert Operation.objects.count() == before


def test_every_action_has_a_row() -> None:
    assert set(ACTIONS) == act.PAGES


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in TABLE if name != "favicon"])
def test_other_methods_are_not_known(name: str, signed_in: Callable[[str], Client]) -> None:
    ran_batch(die=1)
    batch = waiting_batch(1)
    a_worker(id=WORKER)
    # Those who are signed in are sent on from the sign-in form, whatever they send.
    client = signed_in("nobody" if name == "login" else "administrator")
    url = address(name, batch, DeadLetter.objects.get())
    answers = {method: getattr(client, method)(url).status_code for method in UNKNOWN_METHODS}
    assert answers == dict.fromkeys(UNKNOWN_METHODS, GONE)
