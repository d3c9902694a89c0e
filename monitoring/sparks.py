"""Small lines of what a figure has been lately. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

PLACES = 60


def resample(samples: Sequence[tuple[datetime, float]], now: datetime, span: timedelta) -> list[float]:
    """The samples of the last `span`, oldest first, as equally wide steps: each holds until the next one.

    What was before the first sample is not known, and is not drawn: the line then begins at its value.
    """
    if not samples:
        return []
    step = span / PLACES
    values, place, value = [], 0, samples[0][1]
    for number in range(1, PLACES + 1):
        end = now - span + step * number
        while place < len(samples) and samples[place][0] <= end:
            value = samples[place][1]
            place += 1
        values.append(value)
    values[-1] = samples[-1][1]
    return values
