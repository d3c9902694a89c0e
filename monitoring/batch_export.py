"""What came of a batch's jobs, as a file that is made while it is sent: a bounded piece at a time."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from itertools import islice

from monitoring import limits
from monitoring.texts import cell
from queues.collect import result_texts
from queues.selectors import clock
from queues.selectors.batch_jobs import JobError, batch_errors
from queues.selectors.batch_work import keeps_results
from queues.selectors.batches import BatchRow

# Rows of one piece. Each piece is read in a transaction of its own, whose statements have the limit of a page's.
PIECE = 1_000
KINDS = {"results": "Kept results", "errors": "Errors"}
COLUMNS = {
    "results": ("job", "result"),
    "errors": ("job", "state", "attempts", "kind", "error_class", "message", "fingerprint", "at"),
}


def why_not(batch: BatchRow, kind: str) -> str:
    """Why there is nothing to export; nothing where there can be."""
    return "" if kind != "results" or keeps_results(batch.id) else f"queue {batch.queue} keeps no results"


def pieces(batch_id: int, kind: str, form: str) -> Iterator[str]:
    """The file in pieces, from its head on."""
    rows = _results(batch_id, form) if kind == "results" else _errors(batch_id, form)
    if form == "csv":
        yield _csv([list(COLUMNS[kind])])
    while piece := _read(rows):
        yield piece


def _read(rows: Iterator[str]) -> str:
    with clock.bounded(limits.seconds()):
        return "".join(islice(rows, PIECE))


def _results(batch_id: int, form: str) -> Iterator[str]:
    for job, text in result_texts(batch_id):
        # As it is kept, character by character: no number loses a digit on the way.
        yield _csv([[str(job), text]]) if form == "csv" else f'{{"job": {job}, "result": {_one_line(text)}}}\n'


def _errors(batch_id: int, form: str) -> Iterator[str]:
    write: Callable[[JobError], str] = _error_csv if form == "csv" else _error_json
    return map(write, batch_errors(batch_id))


def _values(error: JobError) -> list[object]:
    return [
        error.job_id,
        str(error.state),
        error.attempts,
        str(error.kind),
        error.error_class,
        error.message,
        error.fingerprint,
        error.at.isoformat(),
    ]


def _error_json(error: JobError) -> str:
    return json.dumps(dict(zip(COLUMNS["errors"], _values(error), strict=True)), ensure_ascii=False) + "\n"


def _error_csv(error: JobError) -> str:
    return _csv([[cell(str(value)) for value in _values(error)]])


def _csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _one_line(text: str) -> str:
    # Raw line ends can only be white space between the parts of stored JSON.
    return text.replace("\r", " ").replace("\n", " ") if "\n" in text or "\r" in text else text
