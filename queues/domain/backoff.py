"""How long a failed job waits before it is tried again.

Pure: the number of failures and one random number go in, seconds come out. Nothing here reads a clock or a
random generator, so that a test (and the preview in the console) can ask for exactly what it wants to see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

Strategy = Literal["fixed", "linear", "exponential", "fibonacci"]

STRATEGIES: Final[tuple[str, ...]] = get_args(Strategy)

# From here on every growing curve is past any cap a person could mean, and 2.0 ** n is still a float.
_STEEPEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Backoff:
    """A retry policy.

    `base` and `cap` are seconds (0 <= base <= cap, finite), `jitter` is the ratio by which a delay may be
    off in both directions (0.25 = +-25 %). ValueError on construction names the field that is wrong.
    """

    strategy: Strategy | str = "exponential"
    base: float = 1.0
    cap: float = 60.0
    jitter: float = 0.25

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy: {self.strategy!r} is none of {', '.join(STRATEGIES)}")
        for name in ("base", "cap", "jitter"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{name}: {value!r} is not a number")
            # Compared before it is turned into a float, which would overflow for a huge int.
            if not 0 <= value < 1e15:
                raise ValueError(f"{name}: {value!r} is negative or not a length of time")
        if self.cap < self.base:
            raise ValueError(f"cap: {self.cap!r} is below the base {self.base!r}")
        if self.jitter > 1:
            raise ValueError(f"jitter: {self.jitter!r} is not between 0 and 1")

    def delay(self, failures: int, uniform: float) -> float:
        """Seconds to wait after the `failures`-th failure (1 is the first; below 1 counts as 1).

        `uniform` is the randomness, in [0, 1). The result is never negative and never above `cap`. Where the
        cap cuts the upper half of the jitter away the result is spread over what remains: clamping instead
        would send half of all late retries at the same instant.
        """
        middle = min(self._curve(max(failures, 1)), float(self.cap))
        low = middle * (1.0 - self.jitter)
        high = min(middle * (1.0 + self.jitter), float(self.cap))
        share = min(max(uniform, 0.0), 1.0)
        return min(low + (high - low) * share, high)

    def _curve(self, failures: int) -> float:
        """The delay before cap and jitter. Cost does not grow with `failures` beyond a fixed bound."""
        match self.strategy:
            case "fixed":
                return float(self.base)
            case "linear":
                return self.base * float(min(failures, 2**53))
            case "exponential":
                return self.base * 2.0 ** min(failures - 1, _STEEPEST)
            case _:
                return self.base * _fibonacci(min(failures, _STEEPEST))


def _fibonacci(n: int) -> float:
    """1, 1, 2, 3, 5, ... as a float; n <= 1000 stays far below the largest float (n = 1476)."""
    last, this = 0.0, 1.0
    for _ in range(n - 1):
        last, this = this, last + this
        if not math.isfinite(this):  # pragma: no cover - the callers' bound makes this unreachable
            break
    return this
