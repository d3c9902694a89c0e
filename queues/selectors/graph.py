"""Where a batch stands among the batches that it is linked with."""

from dataclasses import dataclass

from queues.domain.stages import fits
from queues.domain.states import BatchState
from queues.models import Batch, BatchLink

# Neighbours on each side that are read; a page shows fewer.
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A batch next to another. `fits`: it has ended as its follower wants."""

    id: int
    name: str
    state: BatchState
    fits: bool


@dataclass(frozen=True, slots=True)
class Links:
    """The neighbours of one batch, by id."""

    stage: int
    after_policy: str
    then_handler: str
    waits_for: list[Neighbour]
    followed_by: list[Neighbour]

    @property
    def any(self) -> bool:
        """Whether it is linked at all, or will be."""
        return bool(self.waits_for or self.followed_by or self.then_handler)


def links(batch_id: int) -> Links | None:
    """The links of a batch, or None when there is no such batch."""
    batch = Batch.objects.filter(pk=batch_id).values_list("stage", "after_policy", "then_handler").first()
    if batch is None:
        return None
    stage, policy, then = batch
    names = ("pk", "name", "state")
    before = (
        BatchLink.objects.filter(after=batch_id)
        .order_by("before_id")
        .values_list(*(f"before__{name}" for name in names))
    )
    behind = (
        BatchLink.objects.filter(before=batch_id)
        .order_by("after_id")
        .values_list(*(f"after__{name}" for name in (*names, "after_policy")))
    )
    own = Batch.objects.filter(pk=batch_id).values_list("state", flat=True).first() or ""
    return Links(
        stage,
        policy,
        then,
        [Neighbour(number, name, BatchState(state), fits(policy, state)) for number, name, state in before[:MOST]],
        [
            Neighbour(number, name, BatchState(state), fits(theirs, own))
            for number, name, state, theirs in behind[:MOST]
        ],
    )
