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
