"""How much is measured: whole, or just enough to see that the benchmark still works."""

from dataclasses import dataclass

# The scenarios, in the order of the table.
NAMES = ("enqueue", "memory", "drain", "long", "singles", "failing", "snapshot", "claim", "latency")

# Tables of two guides, repeated.
SEEDS = ("messages", "tasks")
SHAPES = {"product": NAMES, "seeds": SEEDS}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Jobs, unless it says otherwise."""

    enqueue: int = 100_000
    memory: int = 1_000_000
    drain: int = 200_000
    long: int = 1_000_000
    singles: int = 200_000
    backlogs: tuple[int, int, int] = (10_000, 1_000_000, 10_000_000)
    claims: int = 100
    latency: int = 120
    warm: int = 20_000
    messages: int = 200
    tasks: tuple[int, int] = (1_000, 100_000)


WHOLE = Sizes()
QUICK = Sizes(
    enqueue=4_000,
    memory=10_000,
    drain=8_000,
    long=16_000,
    singles=1_000,
    backlogs=(10_000, 40_000, 100_000),
    claims=10,
    latency=8,
    warm=4_000,
    messages=50,
    tasks=(100, 2_000),
)
REPETITIONS, QUICK_REPETITIONS = 5, 2
