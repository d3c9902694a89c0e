"""How long a worker that finds nothing to do rests before it looks again."""

import math

SHORTEST, LONGEST = 0.001, 3_600.0


class Pauses:
    """Pauses that double from the first to the longest, and begin anew when there was work."""

    def __init__(self, first: float, longest: float) -> None:
        for seconds in (first, longest):
            if not (math.isfinite(seconds) and SHORTEST <= seconds <= LONGEST):
                raise ValueError(f"idle: {seconds!r} is no pause from {SHORTEST:g} to {LONGEST:g} s")
        if first > longest:
            raise ValueError(f"idle: the first pause of {first:g} s is longer than the longest of {longest:g} s")
        self.first, self.longest = first, longest
        self._next = first

    def next(self) -> float:
        """The pause to be made now."""
        pause = self._next
        self._next = min(pause * 2, self.longest)
        return pause

    def reset(self) -> None:
        """There was work."""
        self._next = self.first

    def at_most(self) -> None:
        """There is no hurry: the next pause is the longest."""
        self._next = self.longest
