"""One call after every fault test: nothing is lost, doubled, miscounted or held for ever."""

from queues.services.counts import check_counts


def assert_sound() -> None:
    """Fail with the list of what is not as it must be."""
    problems = check_counts()
    assert not problems, "\n".join(["the database is not sound:", *map(str, problems)])
