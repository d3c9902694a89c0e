"""Lengths of time in words."""

from datetime import timedelta


def span(length: timedelta) -> str:
    """A length of time as a person says it."""
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
