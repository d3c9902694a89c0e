"""How many jobs a run should take, learned from how long the last one took."""

from __future__ import annotations


def next_size(size: int, elapsed: float, *, target: float = 5.0, smallest: int = 10, largest: int = 500) -> int:
    """The size of the next run after one of `size` jobs that took `elapsed` seconds.

    The rule is that of the pgqrs guide: a run that took less than half of `target` seconds grows by 3/2, one
    that took more than twice as long shrinks by 2/3, anything between stays. The wide middle is the point:
    it keeps the size still under ordinary noise. The result always lies in smallest..largest, also when
    `size` did not (somebody has just changed the limits). ValueError for limits that contradict each other.
    """
    if smallest < 1:
        raise ValueError(f"smallest: {smallest} is below 1")
    if largest < smallest:
        raise ValueError(f"largest: {largest} is below smallest ({smallest})")
    if not target > 0:
        raise ValueError(f"target: {target} is not a positive number of seconds")
    wanted = size
    if elapsed < target / 2:
        # At least one more: 1 * 3 // 2 is 1, and a run of one would never grow.
        wanted = max(size * 3 // 2, size + 1)
    elif elapsed > target * 2:
        wanted = size * 2 // 3
    return min(max(wanted, smallest), largest)


def learned_size(
    size: int, jobs: int, handling: float, elapsed: float, *, target: float, smallest: int, largest: int
) -> int:
    """The aim after a run of `jobs` jobs, aimed at `size`, that took `elapsed` seconds, `handling` of them in handlers.

    A run may be smaller than its aim, when there was no more, or larger, since chunks stay whole. Then it is judged by
    the time that a run of `size` such jobs would have taken: a single quick job does not speak for five hundred, nor
    a large chunk against an aim that was never tried. A larger run that was quick all the same speaks for itself.
    """
    if jobs < 1:
        return min(max(size, smallest), largest)
    if jobs > size and elapsed < target / 2:
        return next_size(jobs, elapsed, target=target, smallest=smallest, largest=largest)
    projected = max(elapsed - handling, 0.0) + handling * size / jobs
    return next_size(size, projected, target=target, smallest=smallest, largest=largest)
