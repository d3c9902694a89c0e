"""What is not as it should be: counts, stuck work, configuration. Looks only; it never repairs."""

from queues.services.configuration import check_configuration
from queues.services.counts import Problem, Progress, check_counts
from queues.services.stuck import check_stuck

__all__ = ["Problem", "check_configuration", "check_counts", "check_stuck", "examine"]


def examine(*, counts: bool = False, progress: Progress | None = None) -> list[Problem]:
    """Everything that is cheap to look at and, with `counts`, every row as well."""
    # First: on tables that are missing or old, nothing else can be asked.
    found = check_configuration()
    if any(problem.check == "migrations" for problem in found):
        return found
    return [*found, *check_stuck(), *(check_counts(progress=progress) if counts else ())]
