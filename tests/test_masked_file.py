"""What is shown keeps its place; what is not reads as one box that a demuxer steps over."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.masked_file import MaskedFile, merge_ranges
from mimecurate.curation.mp4_boxes import box_at
from mimecurate.curation.range_file import read_range

DATA = random.Random(1).randbytes(2000)
RANGES = st.lists(
    st.tuples(st.integers(0, 1900), st.integers(1, 300)).map(lambda r: (r[0], r[0] + r[1])),
    min_size=1,
    max_size=6,
)


@given(RANGES, st.integers(1, 400))
def test_parts_keep_their_place_and_gaps_are_free_boxes(
    visible: list[tuple[int, int]], piece: int
) -> None:
    visible = [(start, min(stop, len(DATA))) for start, stop in visible]
    masked = MaskedFile(io.BytesIO(DATA), visible)
    seen = b"".join(iter(lambda: masked.read(piece) or b"", b""))
    assert len(seen) == masked.size == max(stop for _, stop in visible)
    for start, stop in visible:
        assert seen[start:stop] == DATA[start:stop]
    gap_start = 0
    for start, stop in [*merge_ranges(visible), (masked.size, masked.size)]:
        if start - gap_start >= 16:
            box = box_at(seen[gap_start : gap_start + 16], gap_start, masked.size)
            assert (box.type, box.stop) == (b"free", start)
            assert not any(seen[gap_start + 16 : start])
        else:
            assert seen[gap_start:start] == DATA[gap_start:start]
        gap_start = stop


@given(RANGES, st.integers(0, 2500), st.integers(1, 400))
def test_any_place_reads_as_it_does_in_passing(
    visible: list[tuple[int, int]], start: int, length: int
) -> None:
    masked = MaskedFile(io.BytesIO(DATA), visible)
    whole = read_range(masked, 0, 5000)
    assert read_range(masked, start, start + length) == whole[start : start + length]


def test_a_gap_of_terabytes_costs_nothing() -> None:
    class Huge(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return b"x" * (size or 0)

    masked = MaskedFile(Huge(), [(0, 8), (1 << 42, (1 << 42) + 8)])
    assert box_at(read_range(masked, 8, 24), 8, masked.size).stop == 1 << 42
    assert read_range(masked, 1 << 42, 1 << 43) == b"x" * 8


def test_seeking() -> None:
    masked = MaskedFile(io.BytesIO(DATA), [(0, 100)])
    assert masked.seek(-1, io.SEEK_END) == 99
    assert masked.read(5) == DATA[99:100]
    assert masked.seek(-50, io.SEEK_CUR) == 50 == masked.tell()
    assert masked.readable()
    assert masked.seekable()


@pytest.mark.parametrize(
    ("ranges", "gap", "merged"),
    [
        ([], 0, []),
        ([(3, 4), (0, 3)], 0, [(0, 4)]),
        ([(0, 10), (2, 5)], 0, [(0, 10)]),
        ([(0, 10), (11, 12)], 0, [(0, 10), (11, 12)]),
        ([(0, 10), (11, 12)], 1, [(0, 12)]),
    ],
)
def test_merging(ranges: list[tuple[int, int]], gap: int, merged: list[tuple[int, int]]) -> None:
    assert merge_ranges(ranges, gap=gap) == merged
