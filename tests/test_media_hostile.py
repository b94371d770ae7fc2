"""What calls itself a video and is none, or a broken or wicked one: one error each, and soon."""

from __future__ import annotations

import contextlib
import io
import random
import struct
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.error import FFmpegError
from counting_reader import CountingReader
from media_variants import FRAGMENTS, all_frames, far, near, read_clip, remux

from mimecurate.curation.media_source import MediaSource, open_media, prefetch, seek_to
from mimecurate.curation.mp4_boxes import Box, find_box, iter_boxes
from mimecurate.curation.range_file import RangeFile
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

SPEC = VideoSpec(seconds=5, gop=30, audio="mono")
FRAGMENTED = replace(SPEC, layout="fragmented", audio=None)
CLIP = (Fraction(11, 5), Fraction(14, 5))


def open_bytes(data: bytes, *, size: int | None = None) -> MediaSource:
    return open_media(RangeFile(CountingReader(data, size=size)), name="x.mp4")


def box(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


# --- not a video ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", Reason.NO_VIDEO, id="empty"),
        pytest.param(b"<!DOCTYPE html><title>Sign in</title>", Reason.NO_VIDEO, id="html"),
        pytest.param(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", Reason.UNSUPPORTED, id="hls"),
        pytest.param(b"\xef\xbb\xbf#EXTM3U\n/etc/passwd\n", Reason.UNSUPPORTED, id="hls-bom"),
        pytest.param(b"ffconcat version 1.0\nfile /etc/passwd\n", Reason.UNSUPPORTED, id="concat"),
        pytest.param(
            b"v=0\r\no=- 0 0 IN IP4 10.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n",
            Reason.UNSUPPORTED,
            id="sdp",
        ),
        pytest.param(b'<?xml version="1.0"?><MPD></MPD>', Reason.UNSUPPORTED, id="dash-manifest"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(100), Reason.NO_VIDEO, id="png"),
        pytest.param(bytes(1000), Reason.NO_VIDEO, id="zeros"),
        pytest.param(random.Random(3).randbytes(1000), Reason.NO_VIDEO, id="noise"),
        pytest.param(b"G" * 1000, Reason.NO_VIDEO, id="a-transport-stream-of-nothing"),
    ],
)
def test_what_is_no_video_is_refused(data: bytes, reason: Reason) -> None:
    for file in (RangeFile(CountingReader(data)), io.BytesIO(data)):
        with pytest.raises(ClipError) as raised:
            open_media(file, name="http://a.example/v")
        assert raised.value.reason in {reason, Reason.CORRUPT}
        assert file.closed


def test_a_playlist_opens_nothing_that_it_names(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(SPEC, ".ts").path
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{video}\n#EXT-X-ENDLIST\n")
    with pytest.raises(ClipError) as raised, near(playlist):
        pass
    assert raised.value.reason is Reason.UNSUPPORTED


def point_elsewhere(data: bytes, target: Path) -> bytes:
    """Let an MP4 with its header at the end say that its media lie in another file."""
    path = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
    parents = [find_box(data, path[: n + 1], 0, len(data)) for n in range(len(path))]
    place = parents[-1]
    assert place is not None
    name = str(target).encode()
    alias = (
        bytes(4 + 10 + 28 + 12 + 64 + 16)
        + struct.pack(">HH", 1, 1)
        + bytes(16)
        + struct.pack(">HH", 2, len(name))
        + name.ljust(len(name) + len(name) % 2, b"\0")
        + b"\xff\xff"
    )
    reference = struct.pack(">II", 0, 1) + box(b"alis", alias)
    grown = len(reference) - (place.stop - place.payload)
    changed = bytearray(data[: place.payload] + reference + data[place.stop :])
    for parent in parents:
        assert parent is not None
        size = parent.stop - parent.start + grown
        changed[parent.start : parent.start + 4] = struct.pack(">I", size)
    return bytes(changed)


def test_media_in_another_file_are_not_opened(sample: SampleMaker, tmp_path: Path) -> None:
    honest = sample(replace(SPEC, layout="moov_at_end")).path.read_bytes()
    media = find_box(honest, (b"mdat",), 0, len(honest))
    assert media is not None
    secret = tmp_path / "secret"
    secret.write_bytes(honest[: media.payload] + b"\xee" * (media.stop - media.payload))
    wicked = tmp_path / "wicked.mp4"
    wicked.write_bytes(point_elsewhere(honest, secret))
    obedient = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(wicked, options=obedient) as container:  # so it works where nobody looks out
        assert set(bytes(next(container.demux(video=0)))) == {0xEE}
    for source in (far(wicked)[0], near(wicked)):
        with source:
            prefetch(source, [CLIP])
            assert all(set(f.data) != {0xEE} for f in read_clip(source, *CLIP)["video"])


def test_a_cover_picture_is_no_video(sample: SampleMaker, tmp_path: Path) -> None:
    cover = tmp_path / "cover.jpg"
    with av.open(cover, "w", format="image2") as output:
        stream = output.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuvj420p"
        picture = av.VideoFrame.from_ndarray(np.full((480, 640, 3), 99, np.uint8), format="rgb24")
        output.mux([*stream.encode(picture), *stream.encode(None)])
    whole = sample(SPEC).path
    song = remux(whole, tmp_path / "song.m4a", "mp4", only="audio", covers=[cover])
    with pytest.raises(ClipError, match="no video") as raised:
        far(song)
    assert raised.value.reason is Reason.NO_VIDEO
    with far(song, need_video=False)[0] as source:
        assert source.video_or_none is None
        assert source.audio is not None
    film = remux(whole, tmp_path / "film.mp4", "mp4", covers=[cover])
    with far(film)[0] as source:
        assert source.video.codec_context.name == "h264"


def test_names_in_any_encoding_are_no_matter(sample: SampleMaker, tmp_path: Path) -> None:
    path = tmp_path / "titled.mp4"
    with av.open(sample(SPEC).path) as source, av.open(path, "w") as titled:
        titled.metadata["title"] = "A title"
        titled.add_stream_from_template(source.streams.video[0])
        titled.mux(next(source.demux(video=0)))
    data = path.read_bytes()
    assert data.count(b"A title") == 1
    with open_bytes(data.replace(b"A title", b"\xff\xfe\xc3(\x80\xe9t")) as source:
        assert source.video_origin == 0


# --- broken -----------------------------------------------------------------------------------
HEAD = box(b"ftyp", b"isom" + bytes(12))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        pytest.param(HEAD, None, id="nothing-after-ftyp"),
        pytest.param(HEAD + box(b"mdat", bytes(5000)), None, id="no-header"),
        pytest.param(HEAD + struct.pack(">I4s", 0, b"mdat"), 1 << 50, id="endless-mdat"),
        pytest.param(HEAD + struct.pack(">I4s", 7, b"mdat"), 1 << 50, id="size-7"),
        pytest.param(HEAD + struct.pack(">I4sQ", 1, b"mdat", 15), 1 << 50, id="wide-size-15"),
        pytest.param(HEAD + struct.pack(">I4sQ", 1, b"mdat", 1 << 63), 1 << 50, id="2^63"),
        pytest.param(HEAD + struct.pack(">I4sQ", 1, b"mdat", 2**64 - 1), 1 << 62, id="2^64-1"),
        pytest.param(HEAD + box(b"free") * 10_000, 1 << 40, id="boxes-without-end"),
        pytest.param(
            HEAD + struct.pack(">I4sQ", 1, b"moov", 1 << 40), 1 << 50, id="terabyte-header"
        ),
        pytest.param(HEAD + box(b"moov"), None, id="empty-header"),
        pytest.param(HEAD + box(b"moov", box(b"mvex")), 1 << 40, id="fragments-of-nothing"),
        pytest.param(HEAD + box(b"moov", box(b"trak", box(b"mdia"))), None, id="no-tracks"),
        pytest.param(HEAD + box(b"moov", struct.pack(">I4s", 99, b"trak")), None, id="too-long"),
        pytest.param(HEAD + box(b"moov", box(b"moov") * 3), None, id="nested-headers"),
        pytest.param(bytes.fromhex("1a45dfa380"), None, id="ebml-alone"),
        pytest.param(bytes.fromhex("1a45dfa38018538067ff"), None, id="segment-alone"),
        pytest.param(bytes.fromhex("1a45dfa380 18538067ff") + b"\xec\x80" * 9999, None, id="voids"),
        pytest.param(
            bytes.fromhex("1a45dfa380 18538067ff 1c53bb6b 01fffffffffffffe"),
            1 << 60,
            id="endless-cues",
        ),
    ],
)
def test_broken_containers_are_refused_soon(data: bytes, size: int | None) -> None:
    reader = CountingReader(data, size=size)
    with pytest.raises(ClipError) as raised:
        open_media(RangeFile(reader), name="x.mp4")
    assert raised.value.reason in {Reason.CORRUPT, Reason.NO_VIDEO}
    assert "\n" not in str(raised.value)
    assert reader.bytes_read <= 2 << 20


def test_a_nest_of_boxes_is_refused(sample: SampleMaker) -> None:
    nest = b""
    for _ in range(1000):
        nest = box(b"trak", nest)
    with pytest.raises(ClipError, match="without end"):
        open_bytes(HEAD + box(b"moov", nest))


def test_samples_by_the_billion_are_refused(sample: SampleMaker) -> None:
    data = bytearray(sample(SPEC).path.read_bytes())
    sizes = find_box(data, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz"), 0, len(data))
    assert sizes is not None
    data[sizes.payload + 4 : sizes.payload + 12] = struct.pack(">II", 1, 80_000_000)
    with pytest.raises(ClipError, match="80000"):
        open_bytes(bytes(data))


def test_fragments_of_a_billion_samples_are_refused(sample: SampleMaker) -> None:
    data = bytearray(sample(FRAGMENTED).path.read_bytes())
    third = [b for b in iter_boxes(data, 0, len(data)) if b.type == b"moof"][2]
    run = find_box(data, (b"traf", b"trun"), third.payload, third.stop)
    assert run is not None
    data[run.payload : run.payload + 8] = struct.pack(">II", 1, 80_000_000)
    with open_bytes(bytes(data)) as source, pytest.raises(ClipError, match="80000"):
        prefetch(source, [CLIP])
    with pytest.raises(ClipError, match="80000"):
        open_media(io.BytesIO(data), name="x.mp4")


def test_a_box_of_64_bit_size(sample: SampleMaker, tmp_path: Path) -> None:
    data = bytearray(sample(replace(SPEC, layout="moov_at_end")).path.read_bytes())
    media = find_box(data, (b"mdat",), 0, len(data))
    assert media is not None
    assert data[media.start - 4 : media.start] == b"free"  # room that muxers leave for this
    wide = struct.pack(">I4sQ", 1, b"mdat", media.stop - media.start + 8)
    data[media.start - 8 : media.payload] = wide
    path = tmp_path / "wide.mp4"
    path.write_bytes(data)
    source, _ = far(path)
    with source:
        prefetch(source, [CLIP])
        needed = [f for f in all_frames(path) if 2 <= f.shown < CLIP[1]]
        got = read_clip(source, *CLIP)["video"]
        assert [f for f in got if f in needed] == needed


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_an_error_of_the_clip_or_none(
    seed: int, sample: SampleMaker, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    kinds: list[tuple[VideoSpec, str]] = [
        (SPEC, ".mp4"),
        (replace(SPEC, layout="moov_at_end"), ".mp4"),
        (FRAGMENTED, ".mp4"),
        (replace(SPEC, codec="vp9"), ".webm"),
        (SPEC, ".ts"),
    ]
    spec, suffix = draw.choice(kinds)
    data = bytearray(sample(spec, suffix).path.read_bytes())
    for _ in range(draw.choice([1, 3, 30])):
        near_end = draw.random() < 0.4
        at = len(data) - draw.randrange(1, 6000) if near_end else draw.randrange(4, 6000)
        data[at : at + 4] = draw.choice(
            [bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", draw.randbytes(1), b""]
        )
    with contextlib.suppress(ClipError, FFmpegError), open_bytes(bytes(data)) as source:
        prefetch(source, [CLIP, (Fraction(0), Fraction(1, 2))])
        for clip in (CLIP, (Fraction(0), Fraction(1, 2))):
            seek_to(source, clip[0])
            for _, packet in zip(range(200), source.container.demux(source.video), strict=False):
                bytes(packet)


# --- an index that lies -----------------------------------------------------------------------
def index_of(data: bytes | bytearray) -> Box:
    index = find_box(data, (b"sidx",), 0, len(data))
    assert index is not None
    return index


def check_clip(path: Path, clip: tuple[Fraction, Fraction]) -> CountingReader:
    frames = all_frames(path)
    source, reader = far(path)
    with source:
        prefetch(source, [clip])
        got = read_clip(source, *clip)["video"]
        origin = source.video_origin
    assert got[0].is_key
    assert got[0].shown <= origin + clip[0]
    needed = [f for f in frames if got[0].shown <= f.shown < origin + clip[1]]
    assert [f for f in got if f in needed] == needed
    return reader


def test_a_segment_index_with_wrong_times(sample: SampleMaker, tmp_path: Path) -> None:
    data = bytearray(sample(FRAGMENTED).path.read_bytes())
    index = index_of(data)
    (timescale,) = struct.unpack_from(">I", data, index.payload + 8)
    version = data[index.payload]
    first = index.payload + (32 if version else 24)
    for number, shift in [(1, -2 * timescale // 5), (2, 2 * timescale // 5)]:
        at = first + 12 * number + 4
        (ticks,) = struct.unpack_from(">I", data, at)
        struct.pack_into(">I", data, at, ticks + shift)
    path = tmp_path / "wrong.mp4"
    path.write_bytes(data)
    # the third fragment says that it starts at 1.6 s, and starts at 2
    check_clip(path, (Fraction(17, 10), Fraction(19, 10)))


@pytest.mark.parametrize("is_chain", [False, True])
def test_a_segment_index_with_levels(is_chain: bool, sample: SampleMaker, tmp_path: Path) -> None:
    data = sample(FRAGMENTED).path.read_bytes()
    index = index_of(data)
    width = 8 if data[index.payload] else 4
    head = data[index.payload : index.payload + 12 + width]
    first = index.payload + 16 + 2 * width
    entries = [data[at : at + 12] for at in range(first, index.stop, 12)]
    media = data[index.stop :]

    def level(parts: list[bytes]) -> bytes:
        return box(
            b"sidx", head + bytes(width) + struct.pack(">HH", 0, len(parts)) + b"".join(parts)
        )

    def length(parts: list[bytes]) -> int:
        return sum(struct.unpack_from(">I", part)[0] for part in parts)

    split = length(entries[:2])
    late = level(entries[2:]) + media[split:]
    to_late = struct.pack(">III", len(late) | 1 << 31, 1, 0)
    if is_chain:
        tail = level([*entries[:2], to_late]) + media[:split] + late
    else:
        early = level(entries[:2]) + media[:split]
        tail = level([struct.pack(">III", len(early) | 1 << 31, 1, 0), to_late]) + early + late
    path = tmp_path / "levels.mp4"
    path.write_bytes(data[: index.start] + tail)
    with pytest.raises(FFmpegError):
        av.open(path)  # libav can't
    flat = [frame.data for frame in all_frames(sample(FRAGMENTED).path)]
    for source in (far(path)[0], near(path)):
        with source:
            assert source.plan in {"sidx", "local"}
            assert source.duration == 5
            for start in (Fraction(1, 2), Fraction(21, 10), Fraction(4)):
                prefetch(source, [(start, start + Fraction(1, 2))])
                got = read_clip(source, start, start + Fraction(1, 2))["video"]
                assert got[0].shown <= source.video_origin + start
                place = flat.index(got[0].data)
                assert [f.data for f in got] == flat[place : place + len(got)]
                assert max(f.shown for f in got) >= source.video_origin + start + Fraction(14, 30)


# --- the network ------------------------------------------------------------------------------
@pytest.mark.parametrize("flags", ["+faststart", FRAGMENTS + "+skip_trailer"])
def test_a_broken_connection_is_said_to_be_one_and_may_come_back(
    flags: str, sample: SampleMaker, tmp_path: Path
) -> None:
    spec = replace(SPEC, seconds=3, repeats=4, width=320, height=180, grain=6, audio=None)
    path = remux(sample(spec).path, tmp_path / "v", "mp4", options={"movflags": flags})
    source, reader = far(path)
    clip = Fraction(8), Fraction(9)
    with source:
        reader.is_broken = True
        with pytest.raises(ClipError, match="connection reset") as raised:
            prefetch(source, [clip])
        assert raised.value.reason is Reason.NETWORK
        with pytest.raises(ClipError, match="connection reset"):
            seek_to(source, clip[0])
        reader.is_broken = False
        prefetch(source, [clip])
        assert len(read_clip(source, *clip)["video"]) >= 30


def test_a_connection_that_breaks_while_packets_are_read(
    sample: SampleMaker, tmp_path: Path
) -> None:
    spec = replace(SPEC, seconds=3, repeats=4, width=320, height=180, grain=6, audio=None)
    source, reader = far(sample(spec).path)
    with source:
        prefetch(source, [(Fraction(8), Fraction(9))])
        seek_to(source, Fraction(8))
        reader.is_broken = True
        with pytest.raises(ClipError, match="connection reset"):
            for _ in source.container.demux(source.video):
                pass
