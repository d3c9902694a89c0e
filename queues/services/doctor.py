"""What is not as it should be: counts, stuck work, configuration."""

from queues.services.counts import Problem, check_counts

__all__ = ["Problem", "check_counts"]
