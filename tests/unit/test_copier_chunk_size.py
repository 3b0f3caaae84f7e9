"""A chunk takes about a second, whatever its rows are like, and a cap is kept by waiting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from copier import Limits
from copier.chunker import FIRST_CHUNK_BYTES, FIRST_CHUNK_ROWS, LAST_ROWS, STEP, ChunkSize
from copier.throttle import RowCap
from tests.support import Clock


def sizes(limits: Limits, row_bytes: float, *, rows_per_second: float) -> list[int]:
    """The rows of the first ten chunks of a copy that moves so many rows a second."""
    return sizes_of(ChunkSize(limits, row_bytes), rows_per_second)


def sizes_of(
    size: ChunkSize,
    rows_per_second: float,
    *,
    cap: RowCap | None = None,
    clock: Clock | None = None,
    chunks: int = 10,
) -> list[int]:
    """The rows of the next chunks of a copy that moves so many rows a second, and waits for the cap."""
    given = []
    for _ in range(chunks):
        rows = size.rows
        seconds = rows / rows_per_second
        if cap is not None and clock is not None:
            clock.now += cap.pause_before(rows) + seconds
        size.took(rows, seconds)
        given.append(rows)
    return given


def test_chunks_of_narrow_rows_grow_to_the_most_that_is_allowed() -> None:
    found = sizes(Limits(chunk_rows=50_000), 100_000.0, rows_per_second=200_000)
    assert found[0] == round(FIRST_CHUNK_BYTES / 100_000)
    assert found[-1] == 50_000
    assert found == sorted(found)


def test_chunks_of_rows_of_megabytes_shrink_to_what_takes_a_second() -> None:
    found = sizes(Limits(chunk_rows=50_000), 100.0, rows_per_second=30)
    assert found[0] == 50_000
    assert found[-1] == 30


def test_a_table_of_large_rows_begins_with_few_and_an_unknown_one_too() -> None:
    assert ChunkSize(Limits(), 3e6).rows == round(FIRST_CHUNK_BYTES / 3e6)
    assert ChunkSize(Limits(), 1e9).rows == 1
    assert ChunkSize(Limits(), 0.0).rows == FIRST_CHUNK_ROWS
    assert ChunkSize(Limits(chunk_rows=7), 0.0).rows == 7


@given(
    st.lists(st.tuples(st.integers(0, 100_000), st.floats(0, 1000)), max_size=20),
    st.floats(0, 1e9),
    st.integers(1, 100_000),
)
def test_a_chunk_is_never_empty_nor_beyond_the_bounds_and_changes_by_steps(
    took: list[tuple[int, float]], row_bytes: float, most: int
) -> None:
    size = ChunkSize(Limits(chunk_rows=most), row_bytes)
    for rows, seconds in took:
        before = size.rows
        size.took(rows, seconds)
        assert 1 <= size.rows <= most
        assert before / STEP - 1 <= size.rows <= before * STEP + 1


def test_a_cap_in_rows_per_second_is_kept_over_the_whole_copy() -> None:
    clock = Clock()
    start = clock.now
    size = ChunkSize(Limits(chunk_rows=50_000, rows_per_second=1000.0), 100.0)
    cap = RowCap(1000.0, clock=clock)
    rows = sum(sizes_of(size, 100_000, cap=cap, clock=clock, chunks=30))
    assert rows / (clock.now - start) <= 1000.0 + 1
    assert rows / (clock.now - start) > 900.0


@given(
    st.lists(st.tuples(st.integers(1, 20_000), st.floats(0, 3)), min_size=1, max_size=40), st.integers(1, 4)
)
def test_at_no_moment_more_rows_are_in_place_than_the_cap_gives_since_the_first_one_was_begun(
    chunks: list[tuple[int, float]], lanes: int
) -> None:
    clock = Clock()
    cap = RowCap(20_000.0, clock=clock)
    start, rows, free = clock.now, 0, [clock.now] * lanes
    for size, seconds in chunks:  # each lane takes the next one as soon as it is free
        free.sort()
        clock.now = max(clock.now, free[0])
        begin = clock.now + cap.pause_before(size)
        rows += size
        assert rows <= 20_000.0 * (begin - start) + 1e-6 * rows
        free[0] = begin + seconds


def test_a_chunk_has_no_more_rows_than_the_cap_allows_in_a_second() -> None:
    assert ChunkSize(Limits(rows_per_second=50.0), 1.0).rows == 50
    assert ChunkSize(Limits(rows_per_second=0.2), 1.0).rows == 1


def test_a_copy_that_was_slow_for_long_may_not_catch_up_by_a_rush() -> None:
    clock = Clock()
    cap = RowCap(100.0, clock=clock)
    cap.pause_before(100)
    clock.now += 3600.0
    assert cap.pause_before(100) == 0.0
    assert cap.pause_before(100) > 0.9


def test_without_a_cap_nothing_waits() -> None:
    cap = RowCap(None)
    assert cap.pause_before(50_000) == 0.0
    assert cap.pause_before(50_000) == 0.0


def test_chunks_are_longer_where_the_target_is_far_away_but_progress_still_moves() -> None:
    def size_at(answers_in: float) -> int:
        size = ChunkSize(Limits(chunk_rows=1_000_000), 100.0)
        size.answered(answers_in)
        return sizes_of(size, 50_000)[-1]

    assert size_at(0.0005) == size_at(0.01) == 50_000  # a second
    assert 95_000 < size_at(0.05) < 105_000  # two answers of 0.05 s are a twentieth of it
    assert size_at(5.0) == 150_000


def test_the_short_ranges_at_the_end_are_longer_where_the_target_is_far_away() -> None:
    def least_at(answers_in: float, most: int = 100_000) -> int:
        size = ChunkSize(Limits(chunk_rows=most), 100.0)
        size.answered(answers_in)
        size.took(50_000, 1.0)
        return size.last_rows

    assert least_at(0.001) == LAST_ROWS
    assert least_at(0.05) == 25_000  # half a second, of which two answers of 0.05 s are a fifth
    assert least_at(5.0) == 100_000


def test_ranges_are_cut_ahead_only_once_their_length_has_settled() -> None:
    size = ChunkSize(Limits(chunk_rows=100_000), 1_000.0)
    assert not size.is_steady
    size.took(size.rows, 0.1)
    assert not size.is_steady
    size.took(size.rows, 1.0)
    assert size.is_steady
