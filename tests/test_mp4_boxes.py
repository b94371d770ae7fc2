"""Boxes are found where they lie, and no size that a stranger writes makes the walk go wrong."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.mp4_boxes import Box, box_at, find_box, iter_boxes
from mimecurate.errors import ClipError, Reason


def box(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def wide_box(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(payload)) + payload


def test_boxes_side_by_side_with_both_kinds_of_size() -> None:
    data = b"??" + box(b"ftyp", b"isom") + wide_box(b"mdat", b"12345") + box(b"free")
    assert list(iter_boxes(data, 2, len(data))) == [
        Box(b"ftyp", 2, 10, 14),
        Box(b"mdat", 14, 30, 35),
        Box(b"free", 35, 43, 43),
    ]


def test_size_zero_reaches_to_the_end_of_the_parent() -> None:
    data = struct.pack(">I4s", 0, b"mdat") + bytes(100)
    assert list(iter_boxes(data, 0, 50)) == [Box(b"mdat", 0, 8, 50)]


def test_a_bytearray_is_read_in_place() -> None:
    data = bytearray(box(b"free", b"1234"))
    (found,) = iter_boxes(data, 0, len(data))
    data[found.payload : found.stop] = b"abcd"
    assert data.endswith(b"abcd")


def test_quicktime_terminator_is_not_a_box() -> None:
    data = box(b"name") + bytes(4)
    assert [found.type for found in iter_boxes(data, 0, len(data))] == [b"name"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(struct.pack(">I4s", 7, b"moov"), id="shorter-than-header"),
        pytest.param(struct.pack(">I4sQ", 1, b"moov", 15), id="wide-shorter-than-header"),
        pytest.param(struct.pack(">I4sQ", 1, b"moov", 0), id="wide-zero"),
        pytest.param(struct.pack(">I4sQ", 1, b"moov", 2**63), id="2^63"),
        pytest.param(struct.pack(">I4sQ", 1, b"moov", 2**64 - 1), id="2^64-1"),
        pytest.param(struct.pack(">I4s", 1, b"moov"), id="wide-cut-off"),
        pytest.param(struct.pack(">I4s", 0xFFFFFFFF, b"moov"), id="2^32-1"),
        pytest.param(box(b"free") + struct.pack(">I4s", 17, b"moov") + bytes(8), id="one-too-far"),
    ],
)
def test_impossible_sizes_are_refused(data: bytes) -> None:
    with pytest.raises(ClipError, match="broken MP4") as raised:
        list(iter_boxes(data, 0, len(data)))
    assert raised.value.reason is Reason.CORRUPT


@pytest.mark.parametrize("length", range(8))
def test_a_header_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ClipError, match="cut off"):
        box_at(box(b"moov")[:length], 0, 100)


def test_find_box_goes_down_the_path() -> None:
    inner = box(b"free") + box(b"tkhd", b"xyz")
    data = box(b"ftyp") + box(b"moov", box(b"trak", inner))
    found = find_box(data, (b"moov", b"trak", b"tkhd"), 0, len(data))
    assert found is not None
    assert data[found.payload : found.stop] == b"xyz"
    assert find_box(data, (b"moov", b"mvex"), 0, len(data)) is None
    assert find_box(data, (b"tkhd",), 0, len(data)) is None


@given(st.binary(max_size=200))
def test_the_walk_over_any_bytes_moves_on_and_stays_inside(data: bytes) -> None:
    at = 0
    try:
        for found in iter_boxes(data, 0, len(data)):
            assert found.start == at
            assert at < found.payload <= found.stop <= len(data)
            at = found.stop
    except ClipError:
        return
    assert len(data) - at < 8
