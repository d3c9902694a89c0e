"""Panels of one batch that look deeper: its chunks one by one, and the batch before it of the same name."""

from monitoring import chunk_strip, panels
from monitoring.panels import Ask, Context, Gone, Panel
from queues.selectors import batch_chunks, batch_past


def batch_chunks_panel(ask: Ask) -> Context:
    """Where the jobs of each chunk stand."""
    cells = ask.snapshot.once(("strip", ask.batch_id), lambda: batch_chunks.strip(ask.batch_id))
    return {
        "strip": chunk_strip.draw(cells or []),
        "too_many": cells is None,
        "most": batch_chunks.MOST,
        "batch_id": ask.batch_id,
    }


def batch_compare(ask: Ask) -> Context:
    """How the batch goes beside the one before it of the same name."""
    line = ask.snapshot.batch(ask.batch_id)
    if line is None:
        raise Gone(f"batch {ask.subject}")
    before = ask.snapshot.once(("earlier", ask.batch_id), lambda: batch_past.earlier(line.row))
    return {"line": line, "before": before}


def register() -> None:
    """Make the panels known."""
    panels.add(
        Panel("batch-chunks", batch_chunks_panel, about="batch", every=4),
        Panel("batch-compare", batch_compare, about="batch", every=5),
    )
