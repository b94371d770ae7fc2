from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.h264 import (
    ParameterSets,
    inspect_picture,
    iter_nals,
    join_nals,
    make_avcc,
    nal_type,
    parse_header,
    with_parameter_sets,
    without_parameter_sets,
)
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from testbed import SampleMaker

SPS, PPS = bytes.fromhex("6764000aacd9"), bytes.fromhex("68ebe3cb")
SETS = ParameterSets((SPS,), (PPS,), 4)
IDR, P, B = b"\x65idr", b"\x41reference", b"\x01discardable"
SEI = b"\x06sei"

# A NAL unit holds no start code, and its last byte is never zero.
start_codes = st.sampled_from([b"\0\0\1", b"\0\0\0\1"])
nals = st.lists(
    st.binary(min_size=1, max_size=40)
    .map(lambda data: data.replace(b"\0\0", b"\0\3") + b"\x80")
    .filter(lambda data: b"\0\0" not in data),
    max_size=5,
)


@given(units=nals, length_size=st.sampled_from([2, 3, 4]))
def test_lengths_separate_units(units: list[bytes], length_size: int) -> None:
    data = b"".join(len(unit).to_bytes(length_size, "big") + unit for unit in units)
    assert [bytes(unit) for unit in iter_nals(data, length_size)] == units


@given(
    units=nals, codes=st.lists(st.sampled_from([b"\0\0\1", b"\0\0\0\1"]), min_size=5, max_size=5)
)
def test_start_codes_separate_units(units: list[bytes], codes: list[bytes]) -> None:
    data = b"".join(code + unit for code, unit in zip(codes, units, strict=False))
    assert [bytes(unit) for unit in iter_nals(data, None)] == units


@given(units=nals)
def test_joined_units_can_be_split_again(units: list[bytes]) -> None:
    assert [bytes(unit) for unit in iter_nals(join_nals(units), 4)] == units


@given(data=st.binary(max_size=60), length_size=st.sampled_from([None, 1, 2, 4]))
def test_hostile_packets_are_refused_or_split(data: bytes, length_size: int | None) -> None:
    with contextlib.suppress(ClipError):
        assert all(len(unit) for unit in iter_nals(data, length_size))


@given(data=st.binary(max_size=60))
def test_hostile_headers_are_refused_or_read(data: bytes) -> None:
    with contextlib.suppress(ClipError):
        sets = parse_header(data)
        assert sets.sps
        assert sets.pps
        make_avcc(sets)


@pytest.mark.parametrize("profile", [66, 77, 100])
def test_headers_are_read_as_they_are_written(profile: int) -> None:
    sps = bytes((0x67, profile, 0, 30, 1, 2, 3))
    sets = ParameterSets((sps, SPS), (PPS, PPS + b"\1"), None)
    assert parse_header(make_avcc(sets)) == ParameterSets(sets.sps, sets.pps, 4)


def test_byte_streams_have_headers_too() -> None:
    header = b"\0\0\0\1" + SPS + b"\0\0\1" + PPS
    assert parse_header(header) == ParameterSets((SPS,), (PPS,), None)


@pytest.mark.parametrize("header", [b"", b"\1", b"\0\0\1" + SPS, make_avcc(SETS)[:-6], b"\2" * 40])
def test_headers_without_parameter_sets_are_corrupt(header: bytes) -> None:
    with pytest.raises(ClipError, match=r"broken H[.]264 header"):
        parse_header(header)


@pytest.mark.parametrize(
    ("units", "is_idr", "is_reference", "changes"),
    [
        pytest.param([SEI, IDR], True, True, False, id="idr"),
        pytest.param([P, P], False, True, False, id="reference"),
        pytest.param([B], False, False, False, id="no reference"),
        pytest.param([SPS, PPS, IDR], True, True, False, id="the same parameter sets"),
        pytest.param([SPS + b"\1", IDR], True, True, True, id="other parameter sets"),
        pytest.param([IDR, PPS + b"\1"], True, True, True, id="another after the picture"),
    ],
)
def test_pictures_are_inspected(
    units: list[bytes], is_idr: bool, is_reference: bool, changes: bool
) -> None:
    picture = inspect_picture(join_nals(units), SETS)
    seen = picture.is_idr, picture.is_reference, picture.changes_parameters
    assert seen == (is_idr, is_reference, changes)


@pytest.mark.parametrize("data", [b"", join_nals([SEI]), join_nals([IDR])[:-1]])
def test_packets_without_a_picture_are_corrupt(data: bytes) -> None:
    with pytest.raises(ClipError):
        inspect_picture(data, SETS)


def test_parameter_sets_are_put_in_and_taken_out() -> None:
    packet = join_nals([b"\x09\xf0", SPS, PPS, SEI, IDR])
    assert with_parameter_sets(packet, SETS) == join_nals([SPS, PPS, SEI, IDR])
    assert without_parameter_sets(packet, SETS) == join_nals([SEI, IDR])


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
def test_real_streams_are_understood(suffix: str, sample: SampleMaker) -> None:
    path = sample(VideoSpec(seconds=2, gop=20, bframes=2), suffix).path
    with av.open(path) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert stream.codec_context.extradata is not None
        sets = parse_header(stream.codec_context.extradata)
    assert {nal_type(nal) for nal in (*sets.sps, *sets.pps)} == {7, 8}
    assert (sets.length_size is None) == (suffix == ".ts")
    pictures = [inspect_picture(memoryview(packet), sets) for packet in packets]
    assert [picture.is_idr for picture in pictures] == [packet.is_keyframe for packet in packets]
    assert not any(picture.changes_parameters for picture in pictures)
    kinds = [picture.is_reference for picture in pictures]
    assert 0.25 < kinds.count(False) / len(kinds) < 0.5  # of two B-frames, one serves the other
