"""What a settle or reap leaves of a paused batch waits for its resumption. Pure."""

from dataclasses import replace

from queues.domain.records import Claim
from queues.domain.settlement import Plan
from queues.domain.states import ChunkState, HeldWhy


def hold_paused(claim: Claim, made: Plan, *, paused: set[int]) -> None:
    """Hold what the plan would make ready in paused batches."""
    if not paused:
        return
    for new in made.new_chunks:
        if new.state is ChunkState.READY and new.batch_id in paused:
            new.state, new.held_why = ChunkState.HELD, HeldWhy.PAUSED
    batches = {chunk.id: chunk.batch_id for chunk in claim.chunks}
    made.updates = [
        replace(update, state=ChunkState.HELD)
        if update.state is ChunkState.READY and batches[update.id] in paused
        else update
        for update in made.updates
    ]
