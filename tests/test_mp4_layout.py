"""An MP4's index is found by few bytes, and one that claims too much is not believed."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from counting_reader import CountingReader
from media_variants import FRAGMENTS, remux

from mimecurate.curation.mp4_boxes import iter_boxes
from mimecurate.curation.mp4_guard import MAX_SAMPLES, check_header
from mimecurate.curation.mp4_layout import survey_mp4
from mimecurate.curation.range_file import HEAD_BYTES, RangeFile
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

LONG = VideoSpec(seconds=2, repeats=30, width=320, height=180, grain=4, audio=None)


def box(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def test_a_header_that_fits_in_the_head_costs_nothing(sample: SampleMaker) -> None:
    data = sample(LONG).path.read_bytes()
    reader = CountingReader(data)
    with RangeFile(reader) as file:
        layout = survey_mp4(file, len(data))
    assert reader.requests == [(0, HEAD_BYTES)]
    assert (layout.media_start, layout.fragments) == (None, ())
    assert [b.type for b in iter_boxes(data, 0, layout.header_stop)] == [b"ftyp", b"moov"]


def test_a_long_header_comes_at_once_and_with_it_the_first_picture(sample: SampleMaker) -> None:
    data = bytearray(sample(LONG).path.read_bytes())
    moov = next(b for b in iter_boxes(data, 0, len(data)) if b.type == b"moov")
    padding = box(b"free", bytes(200_000))
    data[moov.stop : moov.stop] = padding
    struct.pack_into(">I", data, moov.start, moov.stop - moov.start + len(padding))
    reader = CountingReader(bytes(data))
    with RangeFile(reader) as file:
        layout = survey_mp4(file, len(data))
        assert layout.header_stop == moov.stop + len(padding)
        assert len(reader.requests) == 2
        assert reader.requests[1][1] - layout.header_stop >= 32 << 10


@pytest.mark.parametrize("flags", ["", "+skip_trailer"])
def test_fragments_listed_at_the_end(flags: str, sample: SampleMaker, tmp_path: Path) -> None:
    path = remux(
        sample(LONG).path, tmp_path / "f.mp4", "mp4", options={"movflags": FRAGMENTS + flags}
    )
    data = path.read_bytes()
    starts = [b.start for b in iter_boxes(data, 0, len(data)) if b.type == b"moof"]
    reader = CountingReader(data)
    with RangeFile(reader) as file:
        layout = survey_mp4(file, len(data))
    assert layout.media_start == starts[0]
    assert layout.index_kind == ("" if flags else "mfra")
    assert [f.start for f in layout.fragments] == ([] if flags else starts)
    assert len(reader.requests) == 2
    # what is here is read by its fragments anyway
    assert survey_mp4(io.BytesIO(data), len(data)).fragments == ()


def test_an_index_of_one_segment_is_not_taken_for_the_files(
    sample: SampleMaker, tmp_path: Path
) -> None:
    options = {"movflags": "+frag_keyframe+dash+skip_trailer"}
    path = remux(sample(LONG).path, tmp_path / "f.mp4", "mp4", options=options)
    data = path.read_bytes()
    with RangeFile(CountingReader(data)) as file:
        assert survey_mp4(file, len(data)).fragments == ()


def test_a_segment_index_beyond_the_head(sample: SampleMaker) -> None:
    data = sample(replace(LONG, layout="fragmented")).path.read_bytes()
    boxes = list(iter_boxes(data, 0, len(data)))
    index = next(b for b in boxes if b.type == b"sidx")
    shifted = data[: index.start] + box(b"free", bytes(100_000)) + data[index.start :]
    reader = CountingReader(shifted)
    with RangeFile(reader) as file:
        layout = survey_mp4(file, len(shifted))
    starts = [b.start for b in iter_boxes(shifted, 0, len(shifted)) if b.type == b"moof"]
    assert [f.start for f in layout.fragments] == starts
    assert reader.bytes_read < HEAD_BYTES + (80 << 10)


def sample_table(count: int, *, one_size: int, ticks: int) -> bytes:
    times = box(b"stts", struct.pack(">IIII", 0, 1, count, ticks))
    sizes = box(b"stsz", struct.pack(">III", 0, one_size, count))
    return box(b"moov", box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", times + sizes)))))


def test_samples_that_are_declared_are_counted() -> None:
    check_header(sample_table(MAX_SAMPLES, one_size=1, ticks=512))
    with pytest.raises(ClipError, match=f"{MAX_SAMPLES + 1} samples"):
        check_header(sample_table(MAX_SAMPLES + 1, one_size=1, ticks=512))
    check_header(sample_table(2**32 - 1, one_size=0, ticks=512))  # none is listed


def test_a_sample_of_pcm_is_no_packet() -> None:
    check_header(sample_table(48_000 * 86_400, one_size=4, ticks=1))
