"""Every question that asks for a reason keeps it: it is in the audit when the deed is done."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from queues.models import ArchivedJob, AuditEntry, DeadLetter
from queues.services import archive, delete, operate
from queues.services.batch_pause import pause_batch
from queues.services.enqueue import enqueue_batch
from queues.services.pause import pause_queue
from queues.services.recurring import enable_recurring, recurring
from tests.monitoring.test_operations_pages import form_of
from tests.monitoring.test_routes import GONE, ROLES, TABLE
from tests.monitoring.worlds import a_worker, ran_batch, waiting_batch
from tests.queues.working import make_queue

pytestmark = pytest.mark.django_db
ANN = {"actor": "ann", "source": "api"}
WHY = "because of ticket 4711"
# They take posts and ask for no reason; the policy of a queue asks in a form of its own.
UNASKED = {"login", "login-link", "logout", "favicon", "new-batch", "upload", "queue-policy"}


def of_batch(deed: str, make: Callable[[], int] = lambda: int(waiting_batch().pk)) -> Callable[[], str]:
    """The question about a batch."""
    return lambda: reverse(f"batch-{deed}", args=[make()])


def open_batch() -> int:
    make_queue()
    return int(enqueue_batch("tested.do", [{}], open=True).pk)


def paused_batch() -> int:
    batch = waiting_batch()
    pause_batch(batch_id=batch.pk, **ANN)
    return int(batch.pk)


def ended_batch() -> int:
    return int(ran_batch(succeed=1).pk)


def trashed_batch() -> int:
    number = ended_batch()
    delete.delete_batch(batch_id=number, keep=timedelta(hours=1), **ANN)
    return number


def of_jobs(name: str, *arguments: str) -> Callable[[], str]:
    """The question about dead letters."""

    def make() -> str:
        ran_batch(die=2)
        jobs = "&".join(f"job={job}" for job in DeadLetter.objects.values_list("pk", flat=True))
        return f"{reverse(name, args=arguments)}?{jobs}"

    return make


def archived() -> str:
    ran_batch(succeed=2)
    archive.archive()
    return f"{reverse('archive-restore')}?job={ArchivedJob.objects.values_list('pk', flat=True)[0]}"


def all_archived() -> str:
    ran_batch(succeed=2)
    archive.archive()
    return f"{reverse('archive-restore')}?all=1&state=archived"


def going_operation() -> str:
    """One that the request of its beginning left to the background."""
    selection = {"batch": waiting_batch(3).pk, "state": "pending"}
    begun = operate.begin("cancel", selection, "ann", "api", "")
    return reverse("operation-stop", args=[begun.pk])


def deletion(*, ended: bool) -> Callable[[], str]:
    def make() -> str:
        ran_batch(die=3)
        if ended:
            done = operate.start(action="delete_dead", selection={"queue": "tested"}, **ANN)
        else:
            done = operate.begin("delete_dead", {"queue": "tested"}, "ann", "api", "")
        return reverse("operation-undo", args=[done.pk])

    return make


def of_queue(deed: str) -> Callable[[], str]:
    def make() -> str:
        make_queue()
        if deed == "resume":
            pause_queue(name="tested", **ANN)
        return reverse(f"queue-{deed}", args=["tested"])

    return make


def of_schedule(deed: str) -> Callable[[], str]:
    def make() -> str:
        make_queue()
        number = recurring("nightly", "tested.do", [{"n": 1}], every=3_600).pk
        if deed == "resume":
            enable_recurring(name="nightly", enabled=False, **ANN)
        return reverse(f"schedule-{deed}", args=[number])

    return make


def of_worker(deed: str) -> Callable[[], str]:
    silent = timedelta(hours=1) if deed == "reclaim" else timedelta()
    state = "suspended" if deed == "resume" else "ready"
    return lambda: reverse(f"worker-{deed}", args=[a_worker(beat=silent, state=state).pk])


ASKED: dict[str, list[Callable[[], str]]] = {
    "batch-cancel": [of_batch("cancel")],
    "batch-pause": [of_batch("pause")],
    "batch-resume": [of_batch("resume", paused_batch)],
    "batch-seal": [of_batch("seal", open_batch)],
    "batch-clone": [of_batch("clone", ended_batch)],
    # To the trash, and out of it for good.
    "batch-delete": [of_batch("delete", ended_batch), of_batch("delete", trashed_batch)],
    "batch-restore": [of_batch("restore", trashed_batch)],
    "batches-act": [lambda: f"{reverse('batches-act', args=['cancel'])}?batch={waiting_batch().pk}"],
    "archive-restore": [archived, all_archived],
    "dead-letters-retry": [of_jobs("dead-letters-retry")],
    "dead-letters-delete": [of_jobs("dead-letters-delete")],
    "operate": [of_jobs("operate", action) for action in ("retry", "delete")],
    "operation-stop": [going_operation],
    "operation-undo": [deletion(ended=True), deletion(ended=False)],
    **{f"queue-{deed}": [of_queue(deed)] for deed in ("pause", "resume")},
    **{f"schedule-{deed}": [of_schedule(deed)] for deed in ("run", "pause", "resume")},
    **{f"worker-{deed}": [of_worker(deed)] for deed in ("suspend", "resume", "stop", "reclaim")},
}


def test_every_route_that_takes_a_deed_is_asked_here() -> None:
    takes = {name for name, (_get, post) in TABLE.items() if post[ROLES.index("operator")] != GONE}
    assert takes - UNASKED == set(ASKED)


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, makes in ASKED.items() for place in range(len(makes))]
)
def test_the_reason_is_kept(name: str, place: int, signed_in: Callable[[str], Client]) -> None:
    client = signed_in("operator")
    User.objects.get().user_permissions.add(Permission.objects.get(codename="empty_trash"))
    asked = client.get(ASKED[name][place](), follow=True)
    page = asked.content.decode()
    assert 'name="reason"' in page and "The same on a terminal" in page
    assert not AuditEntry.objects.filter(reason=WHY).exists()
    answer = client.post(asked.request["PATH_INFO"], {**form_of(page), "reason": WHY})
    assert answer.status_code == 302
    kept = AuditEntry.objects.filter(reason=WHY)
    assert kept.exists() and set(kept.values_list("actor", "source")) == {("operator", "page")}
    # And each entry of the deed says it.
    assert not AuditEntry.objects.filter(actor="operator").exclude(reason=WHY).exists()
