"""What every scenario gets."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from queues.benchmarks import bare
from queues.benchmarks.sizes import Sizes


@dataclass(slots=True)
class Bench:
    """What a scenario gets: where to measure, how much, how often, and whom to tell how far it is."""

    address: str
    sizes: Sizes
    repetitions: int
    tell: Callable[[str], None]
    draw: random.Random = field(default_factory=random.Random)

    def rounds(self, name: str, variants: dict[str, Callable[[], Any]]) -> dict[str, list[Any]]:
        """The results of all variants by name, one for each repetition; the order is drawn for each."""
        results: dict[str, list[Any]] = {variant: [] for variant in variants}
        for number in range(1, self.repetitions + 1):
            for variant in self.draw.sample(list(variants), len(variants)):
                self.tell(f"{name}: repetition {number} of {self.repetitions}, {variant}")
                bare.empty(self.address)
                results[variant].append(variants[variant]())
        return results
