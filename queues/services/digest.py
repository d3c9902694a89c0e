"""The digest of a batch that collects its errors: what went wrong, by cause, stored when it ends."""

from collections.abc import Iterable
from typing import Any

from queues import store
from queues.domain.error_digest import MOST_CAUSES, ErrorCause, ErrorDigest, from_document, merged
from queues.domain.states import FailureMode
from queues.models import Batch
from queues.selectors.birth import birth_ranges

# Failed tries that one digest reads; of more, as many.
MOST_TRIES = 200_000


def write_digest(*, batch: int) -> None:
    """Store the digest of a batch that the caller holds and ends; nothing for one that does not collect errors.

    In the transaction of the end: a batch that has ended has its digest. A parent, which ends last, adds up its parts'.
    """
    rows = Batch.objects.filter(pk=batch, failure_mode=FailureMode.COLLECT)
    is_parent = rows.values_list("is_parent", flat=True).first()
    if is_parent is None:
        return
    digest = _of_parts(batch) if is_parent else _of_jobs(batch)
    rows.update(error_digest=digest.document())


def _of_parts(parent: int) -> ErrorDigest:
    kept = Batch.objects.filter(parent=parent, error_digest__isnull=False).order_by("part")
    documents: Iterable[Any] = kept.values_list("error_digest", flat=True).iterator()
    return merged(map(from_document, documents))


def _of_jobs(batch: int) -> ErrorDigest:
    ranges = birth_ranges(batch)
    rows = store.rows(
        "error_digest",
        lows=[low for low, _high in ranges],
        highs=[high for _low, high in ranges],
        limit=MOST_TRIES,
        causes=MOST_CAUSES,
    )
    if not rows:
        return ErrorDigest(tries=0, jobs=0, causes=())
    causes = tuple(ErrorCause(*row[:6]) for row in rows)
    all_causes, tries, jobs = rows[0][6:]
    return ErrorDigest(
        tries=tries,
        jobs=jobs,
        causes=causes,
        more_causes=all_causes - len(causes),
        more_tries=tries - sum(cause.tries for cause in causes),
        exact=tries < MOST_TRIES,
    )
