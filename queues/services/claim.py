"""Taking work: a lease over due chunks of one queue, and the jobs in them."""

from collections.abc import Mapping
from operator import attrgetter
from uuid import UUID

from queues import store
from queues.codec import decode_document
from queues.domain.records import BatchFacts, Claim, ClaimedChunk, Policy
from queues.domain.states import Acknowledge, FailureMode
from queues.services import events

# A run is loaded as one document; beyond this many payload bytes it takes no further chunk.
MAX_BYTES = 16 * 1024 * 1024
# Most chunk rows that one claim looks at.
MAX_LOOK = 1_000


def policy(*, queue_id: int) -> Policy | None:
    """The queue's policy, or None when there is no such queue."""
    found = store.row("policy", queue=queue_id)
    if found is None:
        return None
    values = list(found)
    values[5] = Acknowledge(values[5])
    return Policy(*values)


def claim(
    *,
    policy: Policy,
    worker_id: UUID,
    want: int,
    lease: float,
    look: int = MAX_LOOK,
    wants: Mapping[str, int] | None = None,
) -> Claim | None:
    """Lease up to `want` jobs (at least one chunk) for `lease` seconds; None when nothing can be had now.

    `wants` has other aims for some handlers: whose jobs a claim gets is known only when it has been made.

    None does not mean that the queue is empty: another worker may hold its last chunks, a limit may be
    reached, or a flush rule may not be met. `look` bounds the chunk rows that are looked at.
    """
    leased = store.rows(
        "claim",
        queue=policy.queue_id,
        worker=worker_id,
        want=want,
        handlers=list(wants or ()),
        wants=list((wants or {}).values()),
        lease=lease,
        max_bytes=MAX_BYTES,
        look=max(1, min(look, MAX_LOOK)),
    )
    if not leased:
        return None
    chunks = sorted(map(ClaimedChunk._make, leased), key=attrgetter("priority", "run_at", "id"))
    return Claim(chunks[0].run_id, worker_id, policy, chunks[0].handler, chunks)


def load(*, claim: Claim) -> None:
    """Fill in the jobs of a claim that have not ended, in the order of service, and what their batches say."""
    found = store.row("load", chunks=[chunk.id for chunk in claim.chunks], batches=claim.batch_ids)
    assert found is not None
    claim.ids, claim.failures, claim.places, document, batches = found
    claim.payloads = decode_document(document)
    for line in batches:
        batch, mode, parent, unstarted, stop_reason = line.split(" ")
        claim.batches[int(batch)] = BatchFacts(int(batch), FailureMode(mode), int(parent) or None, bool(stop_reason))
        if unstarted == "1":
            started = store.rows("start_batch", batches=[int(batch), int(parent)])
            events.batches_started(batches=[number for (number,) in started])
