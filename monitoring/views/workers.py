"""Workers, what they do, and the orders they take; and the list of runs."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import filters, limits, list_panels, rows, run_filters, worker_panels
from monitoring.activity import read_place, write_place
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.confirm import Question, ask, back, who
from monitoring.views.page import show
from queues.domain.states import RunState
from queues.selectors import figures, runs, timeline, worker_health


@dataclass(frozen=True, slots=True)
class Order:
    """The wording of what a worker can be told."""

    verb: str
    consequence: str
    done: str
    dangerous: bool = False


ORDERS = {
    "suspend": Order(
        "Suspend",
        "It finishes the job in hand, gives back the rest, and claims nothing until it is resumed.",
        "is suspended within two seconds",
    ),
    "resume": Order("Resume", "It claims work again.", "goes on within two seconds"),
    "stop": Order(
        "Stop",
        "It finishes the job in hand, gives back the rest and ends. Whoever keeps it running starts another.",
        "stops after the job in hand",
        dangerous=True,
    ),
    "reclaim": Order(
        "Reclaim from",
        "For a worker that is dead: what it holds goes back to its queues at once, and its runs count as lost. "
        "A worker that has been heard of in the last seconds is refused.",
        "has nothing any more",
        dangerous=True,
    ),
}


@require_safe
@viewer_required
def worker_list(request: HttpRequest) -> HttpResponse:
    """All workers that should be there, or those of one host or queue."""
    chosen = worker_panels.chosen(request.GET)
    problem = ""
    try:
        filters.check_lengths(chosen)
    except filters.Unclear as error:
        problem = str(error)
    context = {"nav": "workers", "chosen": chosen, "queues": figures.queue_names(), "problem": problem}
    live = [] if problem else [("worker-list", urlencode(chosen))]
    return show(request, "monitoring/workers.html", live, context)


@require_safe
@viewer_required
def worker_detail(request: HttpRequest, worker_id: UUID) -> HttpResponse:
    """One worker, and its last runs."""
    snapshot = Snapshot()
    seen = worker_health.one(worker_id, snapshot.now)
    if seen is None:
        raise Http404(f"there is no worker {worker_id}: those that stopped long ago are forgotten")
    query = runs.RunQuery(worker=worker_id)
    page = limits.attempt(lambda: runs.run_page(query))
    context = {"nav": "workers", "seen": seen, "page": page, "slow": page is None}
    return show(request, "monitoring/worker.html", [("worker", str(worker_id))], context, snapshot=snapshot)


@require_safe
@viewer_required
def run_list(request: HttpRequest) -> HttpResponse:
    """Runs: those that go on first, then those that ended, the last first."""
    chosen = run_filters.chosen(request.GET)
    try:
        run_filters.check(chosen)
        worker = run_filters.worker(chosen.get("worker", ""))
    except filters.Unclear as error:
        words = {"states": run_filters.STATES, "queues": figures.queue_names(), "chosen": chosen}
        return show(request, "monitoring/runs.html", [], {"nav": "workers", "problem": str(error), **words})
    before, after = read_place(request.GET.get("before", "")), read_place(request.GET.get("after", ""))
    first, state = before is None and after is None, chosen.get("state", "")
    going: list[runs.RunRow] = []
    if first and state in ("", RunState.RUNNING):
        workers = None if worker is None else [worker]
        going = runs.running(queue=chosen.get("queue", ""), workers=workers)
    page: timeline.Page[runs.RunRow] | None = timeline.Page([], None, None)
    if state != RunState.RUNNING:
        query = runs.RunQuery(chosen.get("queue", ""), worker, state)
        page = limits.attempt(lambda: runs.run_page(query, before=before, after=after))
    snapshot = Snapshot()
    context = {
        "nav": "workers",
        "now": snapshot.now,
        "going": going,
        "most": runs.RUNNING,
        "page": page,
        "slow": page is None,
        "newer": write_place(page.newer) if page and page.newer else "",
        "older": write_place(page.older) if page and page.older else "",
        "chosen": chosen,
        "query": urlencode(chosen),
        "states": run_filters.STATES,
        "queues": figures.queue_names(),
        "top": list_panels.newest_run([*going, *(page.rows if page else [])], state) if first else "",
    }
    live = rows.watched("run", [run.id for run in going]) + [("run-news", urlencode(chosen))] * first
    return show(request, "monitoring/runs.html", live, context, snapshot=snapshot)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def suspend(request: HttpRequest, worker_id: UUID) -> HttpResponse:
    """Let it wait."""
    return _order(request, worker_id, "suspend")


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def resume(request: HttpRequest, worker_id: UUID) -> HttpResponse:
    """Let it go on."""
    return _order(request, worker_id, "resume")


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def stop(request: HttpRequest, worker_id: UUID) -> HttpResponse:
    """Let it end."""
    return _order(request, worker_id, "stop")


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def reclaim(request: HttpRequest, worker_id: UUID) -> HttpResponse:
    """Take back what it holds."""
    return _order(request, worker_id, "reclaim")


def _order(request: HttpRequest, worker_id: UUID, verb: str) -> HttpResponse:
    from queues.services import control

    order, seen = ORDERS[verb], worker_health.one(worker_id, Snapshot().now)
    if seen is None:
        raise Http404(f"there is no worker {worker_id}")
    if request.method != "POST":
        title = f"{order.verb} worker {seen.name}?"
        text = order.consequence if verb == "resume" else f"{order.consequence} {_holds(worker_id)}"
        command = f"python manage.py workers {verb} {seen.id}"
        return ask(request, Question(title, f"{order.verb} it", text, dangerous=order.dangerous, command=command))
    service: Any = getattr(control, verb)
    try:
        found = service(worker=worker_id, **who(request))
    except ValueError as error:
        messages.error(request, str(error))
    else:
        more = f"; runs taken back: {found.runs:,}" if isinstance(found, control.Reclaimed) else ""
        messages.success(request, f"Worker {seen.name} {order.done}{more}.")
    return redirect(back(request, reverse("worker", args=[worker_id])))


def _holds(worker_id: UUID) -> str:
    """What would be given back, as of its last checkpoint."""
    held = runs.running(workers=[worker_id])
    jobs = sum(run.claimed - run.ended - run.returned for run in held)
    if not held:
        return "It holds nothing now."
    return f"It holds {len(held):,} {'run' if len(held) == 1 else 'runs'} with {jobs:,} jobs that have not ended."
