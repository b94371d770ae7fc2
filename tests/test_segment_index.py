"""Indexes of fragments are read with their levels; broken and endless ones are refused."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.mp4_boxes import box_at, iter_boxes
from mimecurate.curation.segment_index import (
    Fragment,
    read_fragment_table,
    read_segment_index,
)
from mimecurate.errors import ClipError, Reason

Reference = tuple[int, int, bool, bool]
"""Bytes, ticks, whether to another index, whether it starts with a key frame."""


def sidx(
    references: list[Reference],
    *,
    first: int = 0,
    earliest: int = 0,
    timescale: int = 10,
    track: int = 1,
    version: int = 0,
) -> bytes:
    times = struct.pack(">QQ" if version else ">II", earliest, first)
    body = b"".join(
        struct.pack(">III", length | to_index << 31, ticks, is_entry << 31)
        for length, ticks, to_index, is_entry in references
    )
    head = struct.pack(">B3xII", version, track, timescale)
    payload = head + times + struct.pack(">HH", 0, len(references)) + body
    return struct.pack(">I4s", 8 + len(payload), b"sidx") + payload


def read(data: bytes, *, size: int | None = None, track: int = 1) -> list[tuple[float, int, int]]:
    """Read the index at the start of ``data``: time, first and last byte of each fragment."""
    boxes = []
    for box in iter_boxes(data, 0, len(data)):
        if box.type != b"sidx":
            break
        boxes.append(box)
    found = read_segment_index(io.BytesIO(data), size or 1 << 40, boxes, track_id=track)
    assert all(a.end_s == b.start_s for a, b in pairwise(found))
    return [(float(f.start_s), f.start, f.stop) for f in found]


@pytest.mark.parametrize("version", [0, 1])
def test_flat(version: int) -> None:
    data = sidx(
        [(100, 50, False, True), (200, 30, False, True)], first=7, earliest=999, version=version
    )
    end = len(data) + 7
    assert read(data) == [(0.0, end, end + 100), (5.0, end + 100, end + 300)]


def test_the_wanted_track_is_taken() -> None:
    sound = sidx([(300, 10, False, True)], track=2, first=len(sidx([(1, 1, False, True)])))
    video = sidx([(100, 10, False, True), (200, 10, False, True)], track=1)
    assert len(read(sound + video, track=1)) == 2
    assert len(read(sound + video, track=2)) == 1
    assert len(read(sound + video, track=9)) == 1


def test_levels_with_indexes_among_the_media() -> None:
    groups = [
        sidx([(10, 5, False, True), (20, 5, False, True)]) + bytes(30),
        sidx([(40, 5, False, True)], timescale=10) + bytes(40),
    ]
    top = sidx([(len(g), 10, True, False) for g in groups])
    data = top + groups[0] + groups[1]
    first = len(top) + len(groups[0]) - 30
    second = len(data) - 40
    assert read(data) == [
        (0.0, first, first + 10),
        (0.5, first + 10, first + 30),
        (1.0, second, second + 40),
    ]


def test_levels_with_all_indexes_in_front() -> None:
    leaf = len(sidx([(0, 0, False, True)]))
    second = sidx([(40, 10, False, True)], first=30)
    first = sidx([(30, 10, False, True)], first=leaf)
    top = sidx([(leaf, 10, True, False), (leaf, 10, True, False)])
    media = len(top) + 2 * leaf
    data = top + first + second
    found = read_segment_index(
        io.BytesIO(data), 1 << 20, [box_at(data[:16], 0, len(data))], track_id=1
    )
    assert [(f.start, f.stop) for f in found] == [(media, media + 30), (media + 30, media + 70)]


def test_a_chain_of_more_entries_than_one_index_holds() -> None:
    tail = sidx([(8, 1, False, True)] * 40_000)
    head = sidx([(8, 1, False, True)] * 40_000 + [(len(tail) + 8 * 40_000, 40_000, True, False)])
    data = head + bytes(8 * 40_000) + tail + bytes(8 * 40_000)
    found = read_segment_index(
        io.BytesIO(data), len(data), [box_at(data[:16], 0, len(data))], track_id=1
    )
    assert len(found) == 80_000
    assert found[-1] == Fragment(Fraction(79_999, 10), Fraction(8000), len(data) - 8, len(data))


def test_what_does_not_start_with_a_key_frame_belongs_to_what_comes_before() -> None:
    data = sidx([(10, 5, False, True), (20, 5, False, False), (30, 5, False, True)])
    at = len(data)
    assert read(data) == [(0.0, at, at + 30), (1.0, at + 30, at + 60)]


def test_flags_that_are_never_set_say_nothing() -> None:
    assert len(read(sidx([(10, 5, False, False)] * 3))) == 3


def test_references_beyond_the_file_are_left_out() -> None:
    data = sidx([(10, 5, False, True)] * 3)
    assert len(read(data, size=len(data) + 25)) == 2


ONE = sidx([(1, 1, False, True)])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(sidx([], timescale=0), "timescale", id="timescale-zero"),
        pytest.param(
            struct.pack(">I4s", 40, b"sidx") + sidx([(1, 1, False, True)] * 9)[8:40],
            "cut off",
            id="fewer-references-than-it-says",
        ),
        pytest.param(struct.pack(">I4s", 12, b"sidx") + bytes(4), "cut off", id="empty"),
        pytest.param(
            sidx([(9, 1, True, False)]) + struct.pack(">I4s", 8, b"free"), "in its place", id="else"
        ),
        pytest.param(
            sidx([(len(ONE), 1, True, False)]) + sidx([(1, 1, False, True)], timescale=7),
            "differently",
            id="clocks-differ",
        ),
        pytest.param(sidx([(9, 1, True, False)]) + bytes(20), "8 bytes", id="zeros"),
    ],
)
def test_broken_indexes_are_refused(data: bytes, what: str) -> None:
    top = data[: struct.unpack_from(">I", data)[0]]
    with pytest.raises(ClipError) as raised:
        read_segment_index(
            io.BytesIO(data), len(data), [box_at(top[:16], 0, len(data))], track_id=1
        )
    assert raised.value.reason is Reason.CORRUPT
    assert what in str(raised.value) or what == "8 bytes"


@pytest.mark.parametrize("count", [2, 65_535])
def test_indexes_that_multiply_are_refused_soon(count: int) -> None:
    """References of no length, all to one index of as many references, and so on."""
    level = sidx([(0, 1, True, False)] * count)
    data = level * 20 + sidx([(0, 1, False, True)] * count)
    with pytest.raises(ClipError, match="levels"):
        read_segment_index(
            io.BytesIO(data), len(data), [box_at(data[:16], 0, len(data))], track_id=1
        )


@given(st.binary(max_size=120))
def test_any_bytes_end_well(payload: bytes) -> None:
    data = struct.pack(">I4s", 8 + len(payload), b"sidx") + payload
    try:
        found = read_segment_index(
            io.BytesIO(data * 3), 3 * len(data), [box_at(data[:16], 0, len(data))], track_id=1
        )
    except ClipError:
        return
    assert all(0 < f.start <= f.stop <= 3 * len(data) for f in found)


def mfra(entries: list[tuple[int, int]], *, version: int, track: int = 1, lengths: int) -> bytes:
    numbers = sum((lengths >> shift & 3) + 1 for shift in (4, 2, 0))
    times = ">QQ" if version else ">II"
    body = b"".join(struct.pack(times, *entry) + b"\1" * numbers for entry in entries)
    payload = struct.pack(">B3xIII", version, track, lengths, len(entries)) + body
    table = struct.pack(">I4s", 8 + len(payload), b"tfra") + payload
    return struct.pack(">I4s", 8 + len(table), b"mfra") + table


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("lengths", [0, 0b111001])
def test_fragment_table(version: int, lengths: int) -> None:
    data = mfra([(0, 100), (40, 100), (90, 700)], version=version, lengths=lengths)
    assert read_fragment_table(data, track_id=1) == [(0, 100), (90, 700)]
    assert read_fragment_table(data, track_id=2) == []


@pytest.mark.parametrize("entries", [[(0, 100), (5, 90)], [(5, 100), (0, 200)]])
def test_a_table_out_of_order_is_none(entries: list[tuple[int, int]]) -> None:
    assert read_fragment_table(mfra(entries, version=0, lengths=0), track_id=1) == []


def test_a_table_cut_off_is_refused() -> None:
    data = bytearray(mfra([(0, 100)], version=0, lengths=0))
    data[28:32] = struct.pack(">I", 1000)
    with pytest.raises(ClipError, match="cut off"):
        read_fragment_table(bytes(data), track_id=1)
