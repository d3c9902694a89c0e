"""Operations: the list, one with its progress, stopping and undoing it."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from monitoring import filters, limits
from monitoring.permissions import operator_required, viewer_required
from monitoring.snapshot import Snapshot
from monitoring.views.act import tell
from monitoring.views.confirm import Question, ask, who
from monitoring.views.page import show
from queues.selectors import operations
from queues.services import operate
from queues.services.operate import OperationRefused


@require_safe
@viewer_required
def operation_list(request: HttpRequest) -> HttpResponse:
    """Those that go on, then those that have ended."""
    before = filters.whole_number(request.GET.get("before", ""))
    after = filters.whole_number(request.GET.get("after", ""))
    page = limits.attempt(lambda: operations.operation_page(before=before, after=after))
    context = {"nav": "operations", "page": page, "slow": page is None, "paged": bool(before or after)}
    return show(request, "monitoring/operations.html", [("operations-running", "")], context)


@require_safe
@viewer_required
def operation_detail(request: HttpRequest, operation_id: int) -> HttpResponse:
    """One operation."""
    row = _found(operation_id)
    snapshot = Snapshot()
    context = {"nav": "operations", "row": row, "left_alone": operations.left_alone(operation_id)}
    wanted = [("operation-progress", str(operation_id))]
    return show(request, "monitoring/operation.html", wanted, context, snapshot=snapshot)


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def stop(request: HttpRequest, operation_id: int) -> HttpResponse:
    """Ask, then stop an operation after its present round."""
    row = _found(operation_id)
    if not row.running:
        messages.info(request, f"The operation has ended already: it is {row.state}.")
    elif request.method != "POST":
        question = Question(
            title=f"Stop operation {operation_id}?",
            verb="Stop the operation",
            consequence=f"{row.done:,} of {row.total:,} {row.things} are done and stay so; the rest is left alone.",
            command=f"python manage.py operate stop --operation {operation_id}",
        )
        return ask(request, question)
    else:
        _stop(request, operation_id)
    return redirect("operation", operation_id=operation_id)


def _stop(request: HttpRequest, operation_id: int) -> None:
    try:
        if operate.cancel_operation(operation_id=operation_id, **who(request)):
            messages.success(request, "The operation is stopped.")
        else:
            messages.info(request, "The operation has ended meanwhile.")
    except OperationRefused as error:
        messages.error(request, f"{error}. Nothing was changed.")


@require_http_methods(["GET", "HEAD", "POST"])
@operator_required
def undo(request: HttpRequest, operation_id: int) -> HttpResponse:
    """Ask, then bring back what an operation has deleted; the notice of a deletion posts here at once."""
    row = _found(operation_id)
    if request.method != "POST":
        return ask(request, _undoing(row))
    try:
        operation = operate.undo(operation_id=operation_id, **who(request))
    except OperationRefused as error:
        messages.error(request, "Nothing of it is in the trash any more." if "matches" in str(error) else str(error))
        return redirect("operation", operation_id=operation_id)
    if operation.pk == operation_id:
        messages.success(request, "The deletion is stopped. Nothing had been deleted yet.")
    else:
        tell(request, operation, "restored")
    return redirect("operation", operation_id=operation.pk)


def _undoing(row: operations.OperationRow) -> Question:
    back = "They are what they were before, as far as they still are in the trash."
    command = f"python manage.py operate undo --operation {row.id}"
    if row.running:
        return Question(
            title=f"Stop operation {row.id} and bring back what it has deleted?",
            verb="Stop and restore",
            consequence=f"{row.changed:,} of {row.total:,} {row.things} are deleted so far. Its present round is "
            f"waited for, and no other follows; then all of them come back. {back}",
            command=command,
        )
    return Question(
        title=f"Bring back what operation {row.id} has deleted?",
        verb=f"Restore {row.changed:,} {row.things}",
        consequence=back,
        command=command,
    )


def _found(operation_id: int) -> operations.OperationRow:
    row = operations.operation(operation_id)
    if row is None:
        raise Http404(f"there is no operation {operation_id}")
    return row
