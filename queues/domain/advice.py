"""How many jobs a run should take, by how long one of them takes: the table of the pgqrs guide, with the sums done."""

from dataclasses import dataclass

# Below so many seconds for a job, a run of so many jobs. A job that mostly waits, beside others, is a case of its own.
_BANDS = ((0.010, "quick", 100, 500), (0.100, "medium", 50, 100), (float("inf"), "slow", 10, 50))
_WAITING = ("waiting", 100, 200)

# Chunks are round numbers, for people to remember.
_CHUNKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


@dataclass(frozen=True, slots=True)
class Advice:
    """A range of sizes, the size within it that comes nearest to the target, and how long such a run takes."""

    kind: str
    least: int
    most: int
    size: int
    run_seconds: float


@dataclass(frozen=True, slots=True)
class ChunkAdvice:
    """A size of chunks, how many of them a run takes, and for how many seconds such a run goes on."""

    size: int
    a_run: int
    run_seconds: float


def recommend(seconds: float, *, lanes: int = 1, target: float = 5.0) -> Advice:
    """Advice for jobs of so many `seconds` each, `lanes` of them at the same time. ValueError for less than nothing."""
    if seconds < 0 or lanes < 1 or target <= 0:
        raise ValueError(f"{seconds} seconds in {lanes} lanes towards {target} seconds: that cannot be")
    if lanes > 1:
        kind, least, most = _WAITING
    else:
        kind, least, most = next((kind, least, most) for limit, kind, least, most in _BANDS if seconds < limit)
    fitting = most if seconds == 0 else round(min(target * lanes / seconds, most))
    size = max(fitting, least)
    return Advice(kind, least, most, size, size * seconds / lanes)


def recommend_chunk(seconds: float, run: int, *, lanes: int = 1) -> ChunkAdvice:
    """Chunks for runs of `run` jobs of so many `seconds` each: as large as they can be while a run takes two or more.

    Chunks stay whole. Larger ones make runs that go beyond what was aimed at, and leave workers without any; smaller
    ones cost rows and say nothing more. ValueError for less than nothing.
    """
    if seconds < 0 or run < 1 or lanes < 1:
        raise ValueError(f"runs of {run} jobs of {seconds} seconds in {lanes} lanes: that cannot be")
    size = max((step for step in _CHUNKS if 2 * step <= run), default=1)
    chunks = -(-run // size)
    return ChunkAdvice(size, chunks, chunks * size * seconds / lanes)
