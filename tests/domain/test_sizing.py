"""Sizes of runs and chunks: what is learned, what is advised, what is declared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queues.domain.adaptive import learned_size
from queues.domain.advice import recommend, recommend_chunk
from queues.domain.boundaries import declared_size, size_of_chunks

LIMITS = {"target": 5.0, "smallest": 10, "largest": 500}


@pytest.mark.parametrize(
    ("size", "jobs", "handling", "elapsed", "expected"),
    [
        (50, 50, 0.1, 0.1, 75),  # full and quick: by half
        (50, 50, 11.0, 11.0, 33),  # full and slow: by a third
        (50, 50, 4.0, 4.0, 50),
        (50, 5, 0.001, 0.01, 75),  # few but quick: so would fifty be
        (500, 1, 1.0, 1.01, 333),  # one slow job speaks against five hundred
        (50, 1, 1.0, 1.01, 33),
        (50, 1, 0.1, 0.11, 50),  # fifty of them would take just the target
        (50, 200, 1.0, 1.0, 300),  # a large chunk, and quick all the same
        (50, 200, 16.0, 16.0, 50),  # it took long, but fifty of its jobs would not have
        (50, 200, 48.0, 48.0, 33),
        (450, 450, 0.1, 0.1, 500),
        (12, 12, 60.0, 60.0, 10),
        (700, 0, 0.0, 0.0, 500),
        (50, 1, 0.0, 0.04, 75),  # what a run costs beside its handler is not multiplied
    ],
)
def test_a_run_is_judged_by_what_its_aim_would_have_taken(
    size: int, jobs: int, handling: float, elapsed: float, expected: int
) -> None:
    assert learned_size(size, jobs, handling, elapsed, **LIMITS) == expected


@given(
    st.integers(1, 10**6),
    st.integers(0, 10**6),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.integers(1, 1000),
    st.integers(0, 1000),
)
@settings(max_examples=200, derandomize=True, deadline=None)
def test_what_is_learned_lies_within_the_limits(
    size: int, jobs: int, handling: float, rest: float, smallest: int, more: int
) -> None:
    found = learned_size(size, jobs, handling, handling + rest, target=5.0, smallest=smallest, largest=smallest + more)
    assert smallest <= found <= smallest + more


@pytest.mark.parametrize("each", [0.0001, 0.001, 0.05, 0.3])
def test_it_settles_near_the_target(each: float) -> None:
    size = 50
    for _ in range(60):
        size = learned_size(size, size, size * each, size * each + 0.005, target=5.0, smallest=1, largest=100_000)
    assert 2.4 <= size * each + 0.005 <= 10.1


@pytest.mark.parametrize(
    ("seconds", "lanes", "kind", "span", "size", "run_seconds"),
    [
        (0.0, 1, "quick", (100, 500), 500, 0.0),
        (0.001, 1, "quick", (100, 500), 500, 0.5),
        (0.0099, 1, "quick", (100, 500), 500, 4.95),
        (0.010, 1, "medium", (50, 100), 100, 1.0),
        (0.0999, 1, "medium", (50, 100), 50, 4.995),
        (0.100, 1, "slow", (10, 50), 50, 5.0),
        (0.2, 1, "slow", (10, 50), 25, 5.0),
        (3.0, 1, "slow", (10, 50), 10, 30.0),
        (0.5, 20, "waiting", (100, 200), 200, 5.0),
        (2.0, 10, "waiting", (100, 200), 100, 20.0),
    ],
)
def test_advice_is_the_guides_table_with_the_sums_done(
    seconds: float, lanes: int, kind: str, span: tuple[int, int], size: int, run_seconds: float
) -> None:
    found = recommend(seconds, lanes=lanes)
    assert (found.kind, (found.least, found.most), found.size) == (kind, span, size)
    assert found.run_seconds == pytest.approx(run_seconds)


@pytest.mark.parametrize(
    ("seconds", "run", "lanes", "size", "chunks", "run_seconds"),
    [
        (0.001, 500, 1, 200, 3, 0.6),
        (0.00475, 400, 1, 200, 2, 1.9),
        (0.05, 100, 1, 50, 2, 5.0),
        (0.2, 25, 1, 10, 3, 6.0),
        (3.0, 10, 1, 5, 2, 30.0),
        (0.5, 200, 20, 100, 2, 5.0),
        (0.0, 30_000, 1, 10_000, 3, 0.0),
        (1.0, 1, 1, 1, 1, 1.0),
        (1.0, 3, 1, 1, 3, 3.0),
    ],
)
def test_chunks_are_as_large_as_they_can_be_while_a_run_takes_two(
    seconds: float, run: int, lanes: int, size: int, chunks: int, run_seconds: float
) -> None:
    found = recommend_chunk(seconds, run, lanes=lanes)
    assert (found.size, found.a_run) == (size, chunks)
    assert found.run_seconds == pytest.approx(run_seconds)


@pytest.mark.parametrize("wrong", [(-1.0, 1, 1), (1.0, 0, 1), (1.0, 1, 0)])
def test_chunks_for_what_cannot_be_are_refused(wrong: tuple[float, int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        recommend_chunk(wrong[0], wrong[1], lanes=wrong[2])


@pytest.mark.parametrize("wrong", [{"seconds": -1.0}, {"seconds": 1.0, "lanes": 0}, {"seconds": 1.0, "target": 0.0}])
def test_advice_for_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        recommend(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("boundaries", "own", "expected"),
    [
        ("fixed", 100, 200),
        ("handler", 100, 100),
        ("handler", None, 200),
        ("handler", 99_999, 10_000),
        ("stage", 7, 10_000),
    ],
)
def test_what_cuts_a_batch(boundaries: str, own: int | None, expected: int) -> None:
    assert size_of_chunks(boundaries, 200, own, 10_000) == expected


def test_a_handler_declares_a_size_or_a_weight() -> None:
    assert declared_size(None, None) is None
    assert declared_size(7, None) == 7
    assert (declared_size(None, "light"), declared_size(None, "heavy")) == (10_000, 100)


@pytest.mark.parametrize(
    ("size", "weight", "said"),
    [
        (0, None, "above 0"),
        (True, None, "above 0"),
        (1.5, None, "above 0"),
        (5, "light", "not both"),
        (None, "fat", "fat"),
    ],
)
def test_other_declarations_are_refused(size: int, weight: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        declared_size(size, weight)
