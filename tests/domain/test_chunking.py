"""Where one chunk ends and the next begins."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from queues.domain.chunking import BLOCK, BLOCK_BYTES, FIRST_BLOCK, Cut, block_size, cut

LATER = datetime(2040, 1, 1, tzinfo=UTC)
sizes = st.lists(st.integers(1, 50), min_size=1, max_size=200)
chunk_sizes = st.integers(1, 40)


@given(sizes, chunk_sizes, st.data())
def test_every_job_is_in_one_chunk_and_no_chunk_is_too_large(
    found: list[int], chunk_size: int, data: st.DataObject
) -> None:
    lanes = sorted(data.draw(st.lists(st.integers(0, 4), min_size=len(found), max_size=len(found))))
    cuts = cut(found, [(lane, None) for lane in lanes], chunk_size, chunk_bytes=100)
    assert [place for c in cuts for place in range(c.start, c.stop)] == list(range(len(found)))
    for c in cuts:
        assert 1 <= c.stop - c.start <= chunk_size
        assert c.bytes == sum(found[c.start : c.stop])
        assert c.bytes - found[c.stop - 1] < 100
        assert set(lanes[c.start : c.stop]) == {c.priority}


@given(sizes, chunk_sizes)
def test_no_chunk_ends_without_a_reason(found: list[int], chunk_size: int) -> None:
    cuts = cut(found, [(2, None)] * len(found), chunk_size, chunk_bytes=100)
    for c in cuts[:-1]:
        assert c.stop - c.start == chunk_size or c.bytes >= 100


def test_a_chunk_has_one_priority_and_one_due_time() -> None:
    lanes = [(1, None), (2, None), (2, None), (2, LATER)]
    assert cut([5, 5, 5, 5], lanes, 10) == [
        Cut(0, 1, 1, None, 5),
        Cut(1, 3, 2, None, 10),
        Cut(3, 4, 2, LATER, 5),
    ]


def test_nothing_is_cut_into_nothing() -> None:
    assert cut([], [], 10) == []


@given(st.integers(1, 20_000))
def test_the_first_block_holds_whole_chunks_and_about_2000_jobs(chunk_size: int) -> None:
    size = block_size(chunk_size)
    assert size % chunk_size == 0
    assert size == chunk_size or FIRST_BLOCK / 2 < size <= FIRST_BLOCK


@given(st.integers(1, 20_000), st.integers(1, 8_000), st.integers(1, 2_000_000))
def test_the_next_block_is_as_large_as_the_payloads_before_it_allow(chunk_size: int, jobs: int, each: int) -> None:
    size = block_size(chunk_size, jobs * each, jobs)
    assert size % chunk_size == 0
    assert size == chunk_size or size <= BLOCK
    assert size == chunk_size or size * each <= BLOCK_BYTES
    larger = size + chunk_size
    assert larger > BLOCK or larger * each > BLOCK_BYTES


def test_small_payloads_make_blocks_of_8000_and_large_ones_of_a_chunk() -> None:
    assert block_size(200, 2_000 * 150, 2_000) == 8_000
    assert block_size(200, 2_000 * 1_048_576, 2_000) == 200
