"""The one definition of success, for every page, command and report."""


def success_rate(succeeded: float, dead: float, cancelled: float = 0) -> float | None:
    """Jobs that succeeded of all that ended: succeeded, dead or cancelled. Where none did either of the first two there
    is no rate: nothing was tried to its end.

    What still waits or runs, what is to be tried again and what a person has deleted does not count.
    """
    return succeeded / (succeeded + dead + cancelled) if succeeded + dead > 0 else None
