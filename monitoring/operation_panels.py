"""Panels of operations: those that go on, and the progress of one."""

from monitoring import filters, panels
from monitoring.panels import Ask, Context, Gone, Panel
from queues.selectors import operations


def operations_running(ask: Ask) -> Context:
    """All that go on."""
    rows = ask.snapshot.once("operations", operations.running_operations)
    now = ask.snapshot.now
    return {"lines": [(row, row.pace(now), row.time_left(now)) for row in rows]}


def operation_progress(ask: Ask) -> Context:
    """How far one is, and what has become of its jobs."""
    key = int(ask.subject)
    row = ask.snapshot.once(("operation", key), lambda: operations.operation(key))
    if row is None:
        raise Gone(f"operation {ask.subject}")
    now = ask.snapshot.now
    return {"row": row, "pace": row.pace(now), "left": row.time_left(now), "undoable": row.undoable(now)}


def _number(subject: str) -> str:
    number = filters.whole_number(subject)
    if number is None:
        raise Gone(f"operation {subject}")
    return str(number)


def register() -> None:
    """Make them known."""
    panels.add(
        Panel("operations-running", operations_running),
        Panel("operation-progress", operation_progress, about="operation"),
        operation=_number,
    )
