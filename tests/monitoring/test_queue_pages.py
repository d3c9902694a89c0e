"""Queues: the list, one queue in depth, its pause and its policy."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from monitoring import minutes, queue_panels
from monitoring.forecast import Forecast
from monitoring.history import History
from monitoring.models import MetricPoint
from monitoring.panels import Ask, Gone, topic
from monitoring.queue_panels import queue_flow, queue_sizes
from monitoring.rollup import roll_up
from monitoring.snapshot import Snapshot
from queues.models import AuditEntry, Chunk, Queue, QueueSlot
from queues.selectors import figures, policy, queue_page
from queues.selectors.clock import database_now
from queues.services import standstill
from queues.services.change_policy import FIELDS, PolicyRefused, change_policy
from queues.services.enqueue import enqueue_batch
from queues.services.pause import pause_queue
from tests.monitoring.test_pages import HOSTILE
from tests.monitoring.worlds import a_worker, ran_batch, run, waiting_batch
from tests.queues.working import do, drain, leased, make_queue

pytestmark = pytest.mark.django_db
WHO = {"actor": "maria", "source": "page"}


@pytest.fixture
def operator(signed_in: Callable[[str], Client]) -> Client:
    return signed_in("operator")


def page(client: Client, url: str, status: int = 200) -> str:
    response = client.get(url)
    assert response.status_code == status, url
    return response.content.decode()


def standing(name: str = "tested") -> standstill.Standing:
    return standstill.explain(name=name, now=database_now())


# The list and the page -------------------------------------------------------------------------------------------


def test_the_list_says_how_each_queue_stands(operator: Client) -> None:
    ran_batch(succeed=3, die=1)
    make_queue("paused-one")
    pause_queue(name="paused-one", reason="moving house", **WHO)
    shown = page(operator, "/queues/")
    assert 'href="/queues/tested/"' in shown
    assert "moving house" in shown
    assert "/queues/paused-one/resume/?next=/queues/" in shown
    assert "/queues/tested/pause/?next=/queues/" in shown


def test_without_queues_the_list_says_where_they_come_from(operator: Client) -> None:
    assert "manage.py sync_queues" in page(operator, "/queues/")


def test_an_unknown_queue_is_not_found(operator: Client) -> None:
    assert "There is no queue nothing" in page(operator, "/queues/nothing/", 404)
    with pytest.raises(Gone):
        topic("queue-now", "No Such Name", True)
    with pytest.raises(Gone):
        topic("queue-flow", "../etc 1h", True)
    assert topic("queue-flow", "tested never", True).subject == "tested 1h"


def test_one_queue_shows_all_of_its_parts_and_a_viewer_no_deed(signed_in: Callable[[str], Client]) -> None:
    ran_batch(succeed=3)
    waiting_batch(4, name=HOSTILE[:180])
    shown = page(signed_in("viewer"), "/queues/tested/?window=6h")
    for part in ("Arrivals and completions", "Backlog by priority", "Size of runs", "What runs next", "Policy"):
        assert part in shown
    assert 'href="?window=6h" aria-current="true"' in shown
    assert "<script>alert" not in shown
    for deed in ("/pause/", "/resume/", "/policy/"):
        assert deed not in shown


def test_an_empty_queue_says_so_everywhere(operator: Client) -> None:
    make_queue()
    shown = page(operator, "/queues/tested/")
    for words in ("It is empty.", "Nothing waits in this queue", "No run has ended yet", "No runs yet from which"):
        assert words in shown


# What waits, and why ---------------------------------------------------------------------------------------------


def test_the_backlog_is_counted_by_priority_and_state() -> None:
    queue = make_queue(chunk_size=2)
    enqueue_batch(do, [{}] * 5, priority="high")
    enqueue_batch(do, [{}] * 3, run_at=timezone.now() + timedelta(hours=1))
    Chunk.objects.filter(priority=1, size=1).update(state="held", held_why="paused")
    found = queue_page.backlog(queue.pk, database_now())
    shares = {share.priority: share for share in found.shares}
    assert (shares["high"].due, shares["high"].scheduled, shares["high"].retrying) == (4, 0, 0)
    assert (shares["normal"].due, shares["normal"].scheduled, shares["normal"].retrying) == (0, 3, 0)
    assert shares["normal"].oldest is None
    assert (found.held, found.dead, found.trashed, found.exact) == (1, 0, 0, True)
    assert found.oldest == shares["high"].oldest
    assert found.oldest is not None


def test_what_waits_for_its_next_try_is_told_from_what_is_planned(operator: Client) -> None:
    queue = make_queue(max_attempts=3, backoff_base=600)
    enqueue_batch(do, [{"fail": 1}, {"fail": 1}, {}])
    drain(runs=1)
    enqueue_batch(do, [{}] * 5, run_at=timezone.now() + timedelta(hours=1))
    enqueue_batch(do, [{}] * 4)
    found = queue_page.backlog(queue.pk, database_now()).shares[2]
    assert (found.due, found.scheduled, found.retrying) == (4, 5, 2)
    (line,) = figures.queue_figures(database_now())
    assert (line.waiting, line.scheduled, line.retrying) == (4, 7, 2)
    assert figures.queue_estimates(database_now())[queue.pk] == figures.Estimate(4, 7, 0, 0, retrying=2)
    shown = page(operator, "/queues/tested/")
    for state, words in (("waiting", "4"), ("scheduled", "5"), ("retrying", "2")):
        link = f'<a class="quiet" href="/jobs/?queue=tested&amp;state={state}">{words}</a>'
        assert link in shown[shown.index("Backlog by priority") :], state
        listed = operator.get(f"/jobs/?queue=tested&state={state}").content.decode()
        assert listed.count("data-row") == int(words), state


def test_each_figure_of_a_queue_leads_to_the_list_that_yields_it(operator: Client) -> None:
    make_queue("a.b-c")
    for url, lists in {
        "/queues/": ("/jobs/?queue=a.b-c&amp;state=waiting", "/runs/?queue=a.b-c&amp;state=running",
                     "/workers/?queue=a.b-c", "/jobs/?state=waiting", "/runs/?state=running"),
        "/": tuple(f"/jobs/?queue=a.b-c&amp;state={state}" for state in ("waiting", "scheduled", "running")),
        "/queues/a.b-c/": (
            *(f"/jobs/?queue=a.b-c&amp;state={state}" for state in ("waiting", "scheduled", "running", "held")),
            "/runs/?queue=a.b-c&amp;state=running", "/dead-letters/?queue=a.b-c", "/trash/?queue=a.b-c",
        ),
    }.items():  # fmt: skip
        shown = page(operator, url)
        for address in lists:
            assert f'<a class="quiet" href="{address}">' in shown, (url, address)
            assert operator.get(address.replace("&amp;", "&")).status_code == 200
    assert '<a href="/jobs/?queue=a.b-c">Jobs</a>' in page(operator, "/queues/a.b-c/")


def test_a_backlog_beyond_the_limit_says_that_it_is_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_page, "EACH", 2)
    queue = make_queue(chunk_size=1)
    enqueue_batch(do, [{}] * 5)
    found = queue_page.backlog(queue.pk, database_now())
    assert (found.shares[2].due, found.shares[2].exact, found.exact) == (3, False, False)


def test_what_runs_next_is_what_a_claim_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make_queue(chunk_size=1)
    enqueue_batch(do, [{}] * 2, priority="low", name="low")
    enqueue_batch(do, [{}] * 2, priority="critical", name="first")
    enqueue_batch(do, [{}], run_at=timezone.now() + timedelta(hours=1), priority="critical", name="later")
    Chunk.objects.filter(batch__name="low", pk=Chunk.objects.filter(batch__name="low").latest("pk").pk).update(
        run_at=F("run_at") - timedelta(minutes=5)
    )
    found = queue_page.next_chunks(queue.pk, database_now())
    assert [chunk.batch_name for chunk in found] == ["first", "first", "low", "low", "later"]
    assert [chunk.due for chunk in found] == [True] * 4 + [False]
    assert found[2].id > found[3].id
    with leased(want=2) as execution:
        taken = {chunk.id for chunk in execution.claim.chunks}
    assert taken == {chunk.id for chunk in found[:2]}
    monkeypatch.setattr(queue_page, "NEXT", 1)
    assert len(queue_page.next_chunks(queue.pk, database_now())) == 1


def test_why_nothing_starts_is_answered_in_one_sentence(operator: Client) -> None:
    queue = make_queue(chunk_size=1)
    assert standing().kind == "empty"
    enqueue_batch(do, [{}] * 2, run_at=timezone.now() + timedelta(hours=1))
    assert standing().kind == "later"
    enqueue_batch(do, [{}] * 3)
    assert standing() == standstill.Standing("workers", "Due work waits, and no worker that takes it is alive.")
    assert "manage.py work --queue tested" in page(operator, "/queues/tested/")
    worker = a_worker(state="suspended")
    assert "1 is suspended" in standing().text
    worker.state = "ready"
    worker.save()
    assert standing().kind == "starting"
    busy = run(queue, started=timedelta(seconds=5), ended=None, claimed=1)
    busy.worker_id = worker.pk
    busy.save()
    assert standing() == standstill.Standing("busy", "Work goes on. Workers with a run: 1 of 1.")
    pause_queue(name="tested", **WHO)
    assert standing().kind == "paused"


def test_runs_of_other_queues_are_not_work_of_this_one(operator: Client) -> None:
    queue, bulk, more = make_queue(), make_queue("bulk"), make_queue("more")
    enqueue_batch(do, [{}] * 3)
    for other, minutes_ago in ((bulk, 4), (bulk, 9), (more, 2)):
        works = run(other, started=timedelta(minutes=minutes_ago), ended=None, claimed=1)
        works.worker_id = a_worker().pk
        works.save()
    text = "all 3 workers are busy with queue bulk and others, the oldest of these runs for 9 minutes"
    assert standing() == standstill.Standing("elsewhere", f"Due work waits: {text}.")
    shown = page(operator, "/queues/tested/")
    verdict = shown[shown.index('class="verdict"') : shown.index('class="counts"')]
    assert text in verdict and 'href="/workers/"' in verdict
    assert "waiting" in verdict and "running" not in verdict
    # Between two slices of its own it goes on; a run that was lost is none of them.
    last = run(queue, started=timedelta(seconds=3), ended=timedelta(seconds=1), claimed=1)
    assert standing() == standstill.Standing("busy", "Work goes on: its last run has just ended.")
    type(last).objects.filter(pk=last.pk).update(state="lost")
    assert standing().kind == "elsewhere"
    type(last).objects.filter(pk=last.pk).update(state="done", finished_at=timezone.now() - timedelta(seconds=20))
    assert standing().kind == "elsewhere"
    a_worker()
    assert standing() == standstill.Standing("starting", "Due work waits for the next hint. Free workers: 1.")


@pytest.mark.parametrize(
    ("policy", "kind", "words"),
    [
        ({"max_runs": 1}, "limit", "its limit of 1 runs at once is reached"),
        ({"rate_limit": 1.0, "rate_tokens": -60}, "rate", "its rate limit allows the next run in"),
        ({"flush_jobs": 10}, "flush", "its flush rule is not met yet (3 of 10 jobs)"),
    ],
)
def test_a_rule_that_holds_work_back_is_named(
    policy: dict[str, float], kind: str, words: str, operator: Client
) -> None:
    make_queue(**policy)
    enqueue_batch(do, [{}] * 3)
    a_worker()
    QueueSlot.objects.update(run_id=1)
    found = standing()
    assert found.kind == kind
    assert words in found.text
    assert "Change the policy" in page(operator, "/queues/tested/")


def test_held_work_is_explained() -> None:
    make_queue()
    enqueue_batch(do, [{}] * 3)
    Chunk.objects.update(state="held", held_why="paused")
    assert standing().kind == "held"


# Figures ---------------------------------------------------------------------------------------------------------


def test_arrivals_count_what_was_enqueued_once() -> None:
    queue = make_queue(chunk_size=2, max_attempts=3, backoff_base=0)
    enqueue_batch(do, [{}, {"fail": 1}, {}])
    now = database_now()
    assert sum(queue_page.arrivals(queue.pk, now - timedelta(hours=1), 60).jobs.values()) == 3
    with leased() as execution:
        assert execution.claim
    # What comes again after a failure is in a chunk without a span.
    Chunk.objects.create(queue=queue, handler="tested.do", priority=2, state="ready", size=1, job_ids=[1])
    found = queue_page.arrivals(queue.pk, now - timedelta(hours=1), 60)
    assert (sum(found.jobs.values()), found.whole) == (3, True)


def test_too_many_arrivals_are_counted_from_a_later_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_page, "ARRIVALS", 2)
    queue = make_queue(chunk_size=1)
    enqueue_batch(do, [{}] * 4)
    for number, chunk in enumerate(Chunk.objects.order_by("pk")):
        Chunk.objects.filter(pk=chunk.pk).update(created_at=timezone.now() - timedelta(minutes=number))
    found = queue_page.arrivals(queue.pk, database_now() - timedelta(hours=1), 60)
    assert sum(found.jobs.values()) == 2
    assert not found.whole
    assert database_now() - found.since < timedelta(minutes=3)


def test_the_flow_of_a_window_holds_arrivals_and_completions() -> None:
    queue = make_queue()
    enqueue_batch(do, [{}] * 7)
    minute = timezone.now().replace(second=0, microsecond=0)
    for ago, succeeded in ((1, 10), (30, 20), (600, 40)):
        values = dict.fromkeys(("runs", "claimed", "failed", "retried", "bytes"), 0)
        MetricPoint.objects.create(
            queue=queue, minute=minute - timedelta(minutes=ago), succeeded=succeeded, dead=1, **values
        )
    for window, succeeded in (("15m", 10), ("1h", 30), ("24h", 70)):
        found = queue_flow(Ask(Snapshot(), f"tested {window}"))
        assert found["series"].succeeded == succeeded, window
        assert found["arrived"] == 7
        assert len(found["series"].points) == len(minutes.WINDOWS[window].starts(timezone.now()))
        assert found["chart"].top >= max(point.rate(point.total) for point in found["series"].points)


def test_sizes_are_those_of_the_last_runs_that_went_well() -> None:
    queue = make_queue(run_size=80, chunk_size=10)
    for ago, claimed, wanted in ((30, 50, 50), (20, 70, 64), (10, 60, 64)):
        run(
            queue,
            started=timedelta(seconds=ago + 2),
            ended=timedelta(seconds=ago),
            claimed=claimed,
            wanted=wanted,
            succeeded=claimed,
            wait_ms=ago,
        )
    lost = run(queue, started=timedelta(seconds=9), ended=timedelta(seconds=1), claimed=999)
    lost.state = "lost"
    lost.save()
    found = queue_sizes(Ask(Snapshot(), "tested"))
    assert [one.claimed for one in found["runs"]] == [50, 70, 60]
    assert found["run"][0] == 60
    assert found["run"][1] == pytest.approx(2, abs=0.1)
    assert found["chart"].top == 80
    assert found["wait"].p50 == 20
    # Ten jobs of a chunk are an eighth of the scale: a line of its own, beside that of the run size.
    assert (found["chunks"].path, found["configured"].path) == ("M0 140.0H900", "M0 0.0H900")
    Queue.objects.update(chunk_size=80)
    assert queue_sizes(Ask(Snapshot(), "tested"))["chunks"] is None, "it is the run size"
    Queue.objects.update(chunk_size=5_000)
    assert queue_sizes(Ask(Snapshot(), "tested"))["chunks"] is None, "it lies beyond all runs"


def test_the_sizes_are_drawn_run_by_run_between_the_first_and_the_last(operator: Client) -> None:
    queue = make_queue(run_size=80, chunk_size=10)
    ends = []
    for hours in (30, 20, 4):
        one = run(queue, started=timedelta(hours=hours, seconds=2), ended=timedelta(hours=hours), succeeded=20)
        ends.append(one.finished_at)
    shown = page(operator, "/queues/tested/")
    panel = shown[shown.index("Size of runs") : shown.index("What runs next")]
    axes = re.findall(r'<div class="axis-x">(.*?)</div>', panel)
    assert len(axes) == 2
    for axis in axes:
        first, words, last = re.findall(r"<span>(.*?)</span>", axis)
        assert f"{ends[0]:%Y-%m-%d %H:%M:%S} UTC" in first and f"{ends[2]:%Y-%m-%d %H:%M:%S} UTC" in last
        assert words == "run by run, by their end"
    assert "a chunk: 10 jobs" in panel


# Pause -----------------------------------------------------------------------------------------------------------


def test_a_pause_can_end_by_itself(operator: Client) -> None:
    make_queue()
    assert "an hour from now" in page(operator, "/queues/tested/pause/")
    operator.post("/queues/tested/pause/", {"span": "1h", "reason": "lunch", "next": "/queues/tested/"})
    queue = Queue.objects.get()
    assert queue.paused_until is not None
    assert timedelta(minutes=59) < queue.paused_until - timezone.now() <= timedelta(hours=1)
    shown = page(operator, "/queues/tested/")
    assert "lunch" in shown
    operator.post("/queues/tested/pause/", {"span": "never"})
    assert Queue.objects.get().paused_until is None


# Policy ----------------------------------------------------------------------------------------------------------


def form(**changes: str) -> dict[str, str]:
    found = policy.policy("tested")
    fields = {field.name: field.value for group in found.groups.values() for field in group}
    return {**fields, "seen": found.seen, **changes}


def test_a_policy_is_changed_with_slots_and_an_entry_from_what_to_what(operator: Client) -> None:
    make_queue(max_runs=1)
    answer = operator.post(
        "/queues/tested/policy/", form(run_size="750", max_runs="3", timeout="", backoff="fixed", reason="faster")
    )
    assert (answer.status_code, answer["Location"]) == (302, "/queues/tested/")
    queue = Queue.objects.get()
    assert (queue.run_size, queue.max_runs, queue.backoff) == (750, 3, "fixed")
    assert QueueSlot.objects.filter(queue=queue).count() == 3
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.source, entry.action, entry.target, entry.reason) == (
        *("operator", "page", "change queue"),
        *("tested", "faster"),
    )
    assert entry.outcome["changed"] == {"run_size": [500, 750], "max_runs": [1, 3], "backoff": ["exponential", "fixed"]}


def test_sending_the_form_as_it_is_changes_nothing(operator: Client) -> None:
    queue = make_queue(payload_rules={"max_bytes": 100}, timeout=1.5, rate_limit=10)
    before = {name: getattr(queue, name) for name in FIELDS}
    assert operator.post("/queues/tested/policy/", form()).status_code == 302
    queue.refresh_from_db()
    assert {name: getattr(queue, name) for name in FIELDS} == before
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_size": "0"}, "greater than or equal to 1"),
        ({"run_size": "many"}, "many is no whole number"),
        ({"timeout": "soon"}, "soon is no number"),
        ({"run_size": ""}, "a value is needed"),
        ({"backoff_base": "inf"}, "a finite number is needed"),
        ({"jitter": "nan"}, "a finite number is needed"),
        ({"flush_jobs": "501"}, "would never start"),
        ({"handler": "no.such"}, "no handler of this name is declared"),
        ({"rate_burst": "5"}, "says nothing without a rate_limit"),
        ({"acknowledge": "perhaps"}, "not a valid choice"),
        ({"payload_rules": "{"}, "no JSON object"),
        ({"payload_rules": '{"max_bytes": NaN}'}, "NaN is no number"),
        ({"chunk_size": "9" * 30}, "less than or equal to 2147483647"),
        ({"seen": "older"}, "changed meanwhile"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(changes: dict[str, str], words: str, operator: Client) -> None:
    make_queue()
    before = Queue.objects.values().get()
    answer = operator.post("/queues/tested/policy/", form(**changes))
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert words in shown
    assert 'role="alert"' in shown
    if "seen" not in changes:
        assert 'aria-invalid="true"' in shown
    assert Queue.objects.values().get() == before
    assert not AuditEntry.objects.exists()


def test_refused_fields_are_named_as_the_page_names_them_from_top_to_bottom(operator: Client) -> None:
    make_queue()
    flawed = form(chunk_size="0", run_size="many", timeout="soon")
    shown = operator.post("/queues/tested/policy/", flawed).content.decode()
    assert "3 fields cannot be so" in shown
    links = re.findall(r'<a href="#field-(\w+)">([^<]+)</a>', shown)
    assert links == [("timeout", "timeout"), ("run_size", "run size"), ("chunk_size", "chunk size")]


def test_a_change_over_an_unseen_change_is_refused() -> None:
    make_queue()
    seen = policy.policy("tested").seen
    change_policy(name="tested", values={"run_size": 700}, seen=seen, **WHO)
    with pytest.raises(PolicyRefused, match="changed meanwhile"):
        change_policy(name="tested", values={"chunk_size": 10}, seen=seen, **WHO)
    assert Queue.objects.get().run_size == 700
    with pytest.raises(PolicyRefused, match="no field of a policy: name, paused_at"):
        change_policy(name="tested", values={"name": "x", "paused_at": None}, seen=seen, **WHO)
    with pytest.raises(PolicyRefused, match="unknown queue"):
        change_policy(name="nothing", values={}, seen=seen, **WHO)


def test_advice_is_beside_the_policy(operator: Client) -> None:
    ran_batch(succeed=5)
    for url in ("/queues/tested/", "/queues/tested/policy/"):
        assert "ms a job" in page(operator, url)


def test_every_policy_field_of_the_model_can_be_changed() -> None:
    kept = {"id", "name", "rate_tokens", "rate_filled_at", "created_at"}
    own = {field.name for field in Queue._meta.concrete_fields if not field.name.startswith(("pause", "hint"))}
    assert own - kept == set(FIELDS)


def test_what_came_and_left_is_summed_and_the_drain_foretold(operator: Client) -> None:
    make_queue("idle")
    ran = make_queue()
    enqueue_batch("tested.do", [{"n": number} for number in range(600)], queue="tested")
    Chunk.objects.filter(queue=ran).update(created_at=timezone.now() - timedelta(seconds=100))
    run(ran, started=timedelta(seconds=130), ended=timedelta(seconds=120), succeeded=300)
    roll_up()
    found = queue_panels.queue_list(Ask(Snapshot(history=History())))
    line = next(row for row in found["rows"] if row.line.figures.name == "tested")
    assert (line.flow.came, line.flow.left) == (120, 60)
    assert line.flow.forecast == Forecast("clears", timedelta(seconds=600))
    assert (found["sums"]["came"], found["sums"]["left"], found["sums"]["waiting"]) == (120, 60, 600)
    assert 'id="queue-total"' in operator.get("/queues/").content.decode()


def test_the_history_of_a_queue_is_on_its_pages(operator: Client) -> None:
    make_queue()
    pause_queue(name="tested", actor="maria", source="api", reason="moving house")
    for url in ("/queues/tested/", "/queues/tested/policy/"):
        html = operator.get(url).content.decode()
        assert "moving house" in html[html.index('id="changes"') :], url
