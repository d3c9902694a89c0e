"""The one definition of success, for every page, command and report."""


def success_rate(succeeded: float, dead: float, cancelled: float = 0) -> float | None:
    """Jobs that succeeded of all that ended: succeeded, dead or cancelled. Nothing ended has no rate.

    What still waits or runs, what is to be tried again and what a person has deleted does not count.
    """
    ended = succeeded + dead + cancelled
    return succeeded / ended if ended > 0 else None
